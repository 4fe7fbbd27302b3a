"""What the scheduler asks of the world: things to do, and things to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .deferred import Fate, Row, Verdict
from .events import Place, SaveAsked
from .partition import Entry

# --- to do ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Run these entries; each is the head of its lane, or has no key.

    Whoever runs an entry whose ``more`` is set goes on with ``entry.next`` if it succeeded, and
    clears ``more`` if it stops there.

    ``first``: their time has come, so they go before those that were handed out and wait for a slot.
    """

    entries: Sequence[Entry]
    first: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """Take back what no slot has begun of these partitions (None: of all), answer ``Recalled``."""

    places: Sequence[Place] | None


@dataclass(frozen=True, slots=True)
class BuryEntry:
    """Write a call to the dead letter topic, answer ``Buried`` once acknowledged, or ``NotBuried``.

    What to write is in ``entry.burial``.
    """

    entry: Entry


@dataclass(frozen=True, slots=True)
class OpenStore:
    """Find out what the deferred store has of a partition, answer ``CaughtUp``, tell what becomes due.

    Attributes:
        read_from: where the queue is read from.
        epoch: of the assignment, to be written with everything that is written in it.
        topic_id: Kafka's id of the queue's topic.
    """

    place: Place
    read_from: int
    epoch: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class CloseStore:
    """Let go of the deferred store of these partitions, and tell no more of them."""

    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Defer:
    """Put a call into the deferred store, answer ``Deferred`` once acknowledged, or ``NotDeferred``.

    What to write is in ``entry.deferral``.
    """

    entry: Entry


@dataclass(frozen=True, slots=True)
class Erase:
    """Take a call out of the deferred store, answer ``Erased`` once acknowledged, or ``NotErased``."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Save:
    """Put a call that runs, and goes on, into the deferred store; answer ``Saved``, or ``NotSaved``.

    ``row``: what to write. It stays in this worker's hands.
    """

    entry: Entry
    row: Row


@dataclass(frozen=True, slots=True)
class FetchLane:
    """Take the next calls of a lane from the store, answer ``LaneFetched``.

    ``read``: how far the queue has been read.
    """

    place: Place
    key: bytes
    read: int


@dataclass(frozen=True, slots=True)
class Release:
    """Give calls back to the store that were taken from it, by the offsets of their records."""

    place: Place
    offsets: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell whoever asked what becomes of a call in the store.

    The verdict on a move may be ``UNKNOWN``: something of the call is being written, ask again after that.
    """

    place: Place
    request: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit ``(place, offset, metadata)`` for each, answer ``Committed`` for each."""

    offsets: Sequence[tuple[Place, int, str]]


@dataclass(frozen=True, slots=True)
class Pause:
    """Fetch nothing of these partitions."""

    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Resume:
    """Fetch these partitions again.

    ``stalled``: every partition was paused, and the client sleeps up to a second before it notices;
    seek each to its next offset to wake it. Otherwise a seek would only make it slower.
    """

    places: Sequence[tuple[Place, int]]
    stalled: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """The group is known to count this worker as a member: calls may begin until then (seconds)."""

    until: float


# --- to tell -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retrying:
    """A call failed and waits until ``due`` (epoch seconds) for its next attempt."""

    entry: Entry
    error: BaseException
    due: float


@dataclass(frozen=True, slots=True)
class Suspecting:
    """Owners of a partition ended without a word, and calls of it may be the reason.

    Attributes:
        crashes: how many times in a row.
        start, end: the offsets in between.
    """

    place: Place
    crashes: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A call was deliberately given up: discarded or expired."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class SaveAnswered:
    """What became of a state that a call wanted to be saved.

    ``why``: in words, if it is not certain to be saved.
    """

    asked: SaveAsked
    fate: Fate
    why: str = ""


Command = (
    Start
    | Recall
    | BuryEntry
    | OpenStore
    | CloseStore
    | Defer
    | Erase
    | Save
    | FetchLane
    | Release
    | Answer
    | Commit
    | Pause
    | Resume
    | Lease
    | Retrying
    | Suspecting
    | Dropped
    | SaveAnswered
)
