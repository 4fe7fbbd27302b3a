"""What is put up: which queues there are, and who works on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Who enqueues, as the brokers' doors are named.
CALLERS = "callers"

#: Failed attempts of a call after which it is given up.
RETRIES = 3


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        name: without the prefix.
        partitions: of each of its topics.
        share: of all calls, in per mille.
        keyed: its calls may have keys.
    """

    name: str
    partitions: int
    share: int
    keyed: bool = True


@dataclass(frozen=True, slots=True)
class Crew:
    """A ``kjobs worker`` command that is kept running.

    Attributes:
        name: of its workers in the history, and of its doors to the brokers.
        group: the consumer group.
        queues: what it serves.
        processes: how many; with one there is no supervisor.
        settings: as ``grace=2``.
    """

    name: str
    group: str
    queues: tuple[str, ...]
    processes: int
    settings: Mapping[str, object] = field(default_factory=dict)


#: Those in which nothing may be lost, whatever happens.
SAFE = (
    Queue("orders", 8, 420),
    Queue("mail", 8, 420),
    Queue("media", 4, 20),
    Queue("vault", 4, 80),
)
#: Those to which something is done that takes calls away, or doubles them: what exactly, is judged.
DOOMED = (
    Queue("anew", 2, 0),
    Queue("trimmed", 2, 15),
    Queue("growing", 2, 15, keyed=False),
    Queue("forgotten", 2, 15),
)
QUEUES = (*SAFE, *DOOMED)

CREWS = (
    Crew("w1", "main", ("orders", "mail", "media"), 2),
    Crew("w2", "main", ("orders", "mail", "media"), 2, {"instance": "w2"}),
    Crew("w3", "vault", ("vault",), 1),
    Crew("w4", "doomed", ("anew", "trimmed", "growing"), 1),
    Crew("w5", "forgotten", ("forgotten",), 1),
)
PARTIES = (*(crew.name for crew in CREWS), CALLERS)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps what it writes.

    Attributes:
        root: all of it.
        desk: the socket at which processes report; its name must be short, as that of a socket.
    """

    root: Path
    desk: Path

    @property
    def histories(self) -> Path:
        """What workers and callers tell, a file per process."""
        return self.root / "histories"

    @property
    def effects(self) -> Path:
        """What the jobs themselves tell, a file per process."""
        return self.root / "effects"

    @property
    def logs(self) -> Path:
        """What processes print."""
        return self.root / "logs"

    @property
    def marks(self) -> Path:
        """Calls that crash once leave a file here."""
        return self.root / "marks"

    @property
    def state(self) -> Path:
        """The workers' indexes of delayed calls."""
        return self.root / "state"

    @property
    def shards(self) -> Path:
        """All histories again, by partition."""
        return self.root / "shards"

    def make(self) -> None:
        """Make them."""
        for folder in (self.histories, self.effects, self.logs, self.marks, self.state, self.shards):
            folder.mkdir(parents=True, exist_ok=True)
