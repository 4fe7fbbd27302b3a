"""What the world tells the scheduler. See ``scheduler.py`` for what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .checkpoint import Checkpoint
from .partition import Entry
from .ports import Record

#: A Kafka partition: topic and number.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A partition is this worker's now; records will come from ``offset`` on."""

    place: Place
    offset: int
    checkpoint: Checkpoint | None = None
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of one partition, in log order."""

    place: Place
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Skipped:
    """No record below ``offset`` will come any more: it is the end of the log, or its new start."""

    place: Place
    offset: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Attempts that ended; each entry carries its outcome."""

    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Recalled:
    """Entries handed out by ``Start`` that were taken back before any slot began them."""

    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Buried:
    """The dead letter topic acknowledged a call."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class NotBuried:
    """The dead letter topic refused a call, or did not answer; it will be tried again."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Committed:
    """The broker answered a commit: ``error`` is None, or why this partition's was not taken.

    ``fenced`` tells that the group no longer counts this worker as the partition's owner.
    """

    place: Place
    offset: int
    error: str | None = None
    fenced: bool = False


@dataclass(frozen=True, slots=True)
class Revoking:
    """These partitions are about to be taken away: begin nothing more of them."""

    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Revoked:
    """These partitions go now; one last commit is possible."""

    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Lost:
    """These partitions are another worker's already; nothing can be committed."""

    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker is to end: begin nothing more."""


Event = (
    Assigned
    | Fetched
    | Skipped
    | Finished
    | Recalled
    | Buried
    | NotBuried
    | Committed
    | Revoking
    | Revoked
    | Lost
    | Stopping
)
