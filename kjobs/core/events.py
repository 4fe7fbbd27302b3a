"""What the world tells the scheduler. See ``scheduler.py`` for what it answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .checkpoint import Checkpoint
from .deferred import Row
from .partition import Entry
from .ports import LaneHead, Record

#: A Kafka partition: topic and number.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A partition is this worker's now; records will come from ``offset`` on.

    ``end``: one past the last offset it has now.
    """

    place: Place
    offset: int
    checkpoint: Checkpoint | None = None
    topic_id: str = ""
    end: int = 0


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
class CaughtUp:
    """The deferred store knows everything that was written to it of a partition.

    Attributes:
        lanes: keys of which calls wait in the store.
        sources: offsets, from where the partition is read on, of calls that are in the store.
        last_turn: the highest turn in a rank that was ever given.
    """

    place: Place
    lanes: Collection[bytes] = ()
    sources: Collection[int] = ()
    last_turn: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """Calls in the store whose time has come.

    ``end`` is that of the queue's log now: those with a key take their place in its order there.
    """

    place: Place
    rows: Sequence[Row]
    end: int


@dataclass(frozen=True, slots=True)
class LaneDue:
    """The first call of a lane in the store is due; the queue must have been read up to ``needs``."""

    place: Place
    key: bytes
    needs: int


@dataclass(frozen=True, slots=True)
class LaneFetched:
    """The answer to ``FetchLane``: the next calls of a lane, or its head if none of it may run yet."""

    place: Place
    key: bytes
    rows: Sequence[Row]
    head: LaneHead | None


@dataclass(frozen=True, slots=True)
class OfEntry:
    """What there is to say between an entry and the deferred store; subclasses say what."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Deferred(OfEntry):
    """The deferred store has a call for good."""


@dataclass(frozen=True, slots=True)
class NotDeferred(OfEntry):
    """The deferred store did not take a call; it will be tried again."""


@dataclass(frozen=True, slots=True)
class Erased(OfEntry):
    """The deferred store has forgotten a call for good."""


@dataclass(frozen=True, slots=True)
class NotErased(OfEntry):
    """The deferred store did not forget a call; it will be tried again."""


@dataclass(frozen=True, slots=True)
class SaveAsked(OfEntry):
    """A call that runs wants a state to be saved, to go on with it if it has to begin again.

    Attributes:
        state: as JSON.
        asker: whom ``SaveAnswered`` is for.
    """

    state: bytes
    asker: int


@dataclass(frozen=True, slots=True)
class Saved(OfEntry):
    """The deferred store has a call that runs, with a state; whether that counts is told by ``Certain``.

    ``row``: as it was written, with its offset.
    """

    row: Row


@dataclass(frozen=True, slots=True)
class Certain(OfEntry):
    """What was saved last of a call is what every reader of the log takes for it."""


@dataclass(frozen=True, slots=True)
class NotSaved(OfEntry):
    """The deferred store did not take a state.

    Attributes:
        why: in words.
        definite: it is known not to be there; if it is not known, it will be tried again.
    """

    why: str
    definite: bool


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody wants a call of the store not to run, which has forgotten it already.

    Attributes:
        offset: of its record.
        request: where to answer; "" if nobody waits for that.
        source: its offset in the queue, if it came from there.
    """

    place: Place
    offset: int
    request: str
    source: int | None = None


@dataclass(frozen=True, slots=True)
class MoveAsked:
    """Somebody wants a call of the store to be due at another time; as of ``CancelAsked``."""

    place: Place
    offset: int
    request: str
    source: int | None = None


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
    | CaughtUp
    | Due
    | LaneDue
    | LaneFetched
    | Deferred
    | NotDeferred
    | Erased
    | NotErased
    | SaveAsked
    | Saved
    | Certain
    | NotSaved
    | CancelAsked
    | MoveAsked
    | Committed
    | Revoking
    | Revoked
    | Lost
    | Stopping
)
