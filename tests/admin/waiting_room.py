"""The queue ``mail`` on a real broker, with calls that are delayed, and a real worker if a test wants one."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer

from kjobs import App, Job
from tests.kafka.graveyard import KJOBS, Command, Graveyard
from tests.patience import until

#: What the worker runs. Each call writes its number down.
_JOBS = r"""
from pathlib import Path
from kjobs import App, Backoff, Snooze, current
from tests.patience import until

app = App()


def _note(number):
    with open("ran", "a") as file:
        file.write(f"{number}\n")


@app.job(name="mail.send", queue="mail")
def send(number: int, text: str = "") -> None:
    _note(number)


@app.job(name="mail.order", queue="mail", key="key")
def order(number: int, key: str) -> None:
    _note(number)


@app.job(name="mail.hold", queue="mail")
def hold(number: int, gate: str) -> None:
    _note(-number)
    until(Path(gate).exists, "the gate opens")
    _note(number)


@app.job(name="mail.climb", queue="mail", key="key")
def climb(number: int, key: str, gate: str) -> None:
    call = current()
    for step in range(call.state or 0, 4):
        if step == 2:
            until(lambda: Path(gate).exists() or call.cancelled, "the gate opens, or the worker stops")
            if call.cancelled:
                raise Snooze(0)
        _note(number + step)
        call.checkpoint(step + 1)


@app.job(name="mail.fail", queue="mail", key="key", retries=5, backoff=Backoff(base="1h", jitter="none"))
def fail(number: int, key: str) -> None:
    _note(-number)
    raise ValueError(number)
"""


class WaitingRoom(Graveyard):
    """The queue ``mail`` under a prefix of its own. Close it.

    Args:
        bootstrap: the broker.
        prefix: names the topics and the group.
        folder: where commands are run.
        create: creates topics on a broker that needs to be told in another way.
        settings: of the app, and of commands.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        folder: Path,
        create: Callable[[str, int], object] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(bootstrap, prefix, folder, create)
        self._more = settings
        (folder / "jobs.py").write_text(_JOBS)
        self.shop = App(
            bootstrap_servers=bootstrap, prefix=prefix, group=prefix, **settings
        )  # the same for all handles

        self.send = self._declare("mail.send", lambda number, text="": None)
        self.order = self._declare("mail.order", lambda number, key: None, key="key")
        self.hold = self._declare("mail.hold", lambda number, gate: None)
        self.climb = self._declare("mail.climb", lambda number, key, gate: None, key="key")
        self.fail = self._declare("mail.fail", lambda number, key: None, key="key")

    def _declare(self, name: str, function: Callable[..., None], key: str | None = None) -> Job[..., None]:
        return self.shop.job(name=name, queue="mail", key=key)(function)

    def close(self) -> None:
        """Close what enqueues."""
        self.shop.close()

    @property
    def app(self) -> App:
        """The app that enqueues."""
        return self.shop

    def ran(self) -> Counter[int]:
        """How often each call has run; a failed one has the number with a minus."""
        file = self.folder / "ran"
        return Counter(map(int, file.read_text().split())) if file.exists() else Counter()

    def have_run(self, *numbers: int) -> None:
        """Wait until these calls have run."""
        until(lambda: set(numbers) <= self.ran().keys(), f"{numbers} run", told=self.said)

    def said(self) -> str:
        """What the workers have printed."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker*.log")))

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[Command]:
        """A worker that is ready; it stops in order at the end."""
        log = self.folder / f"worker{len(list(self.folder.glob('worker*.log')))}.log"
        line = [sys.executable, "-c", KJOBS, "worker", "jobs:app", "--processes", "1", *arguments]
        with (
            log.open("w") as output,
            Command(line, self._environment(), self.folder, output.fileno()) as command,
        ):
            until(lambda: " ready" in log.read_text(), "the worker is ready", told=self.said)
            yield command
            os.kill(command.pid, signal.SIGTERM)
            assert command.end().code == 0, self.said()

    @contextmanager
    def stranger(self) -> Iterator[set[int]]:
        """A member of the group that has some partitions, of which it gives the numbers, and does nothing."""
        member = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.prefix,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 100,
            }
        )
        member.subscribe([self.queue_topic])

        def joined() -> set[int]:
            member.poll(0.1)
            return {place.partition for place in member.assignment()}

        try:
            taken = until(joined, "the stranger has a partition", told=self.said)
            until(lambda: "gave back" in self.said(), "the worker gives it back", told=self.said)
            yield taken
        finally:
            member.close()

    def _environment(self) -> dict[str, str]:
        own = {"state_dir": self.folder / "state", **self._more}
        return super()._environment() | {f"KJOBS_{name.upper()}": str(value) for name, value in own.items()}
