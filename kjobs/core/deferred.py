"""A call in the deferred store, and what the store's log may say of it.

The log is a queue's ``.delayed`` topic: a record puts a call in, replaces it, or (a tombstone) ends it.
A call that waits has a *rank* once it has taken its place in the order of its key; before that it has
only a time.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from .envelope import Malformed, decode
from .ports import Headers

#: The turn of calls that came from the queue: they come after those that took their place before them.
QUEUED: Final = 1 << 53

#: A place in a queue's order: before this offset, and a turn among those with the same one. A call that
#: came from the queue has its own offset, and the turn ``QUEUED``.
Rank = tuple[int, int]


class Kind(IntEnum):
    """What a call in the store waits for."""

    #: For its time only: it has no key, or lets others pass.
    FREE = 0
    #: For its time, and then for its place in the order of its key.
    DATED = 1
    #: In the order of its key, which waits for it.
    RANKED = 2


class Verdict(StrEnum):
    """What became of the wish to cancel a call, or to move it to another time.

    Only ``CANCELLED`` and ``MOVED`` are true: ``if handle.cancel(): ...``.
    """

    #: For certain: it has not begun (since it was put in, or since its last attempt), and will not.
    CANCELLED = "cancelled"
    #: For certain: it has not begun, and will not before the new time.
    MOVED = "moved"
    #: It has begun, or is about to; if this attempt fails there will be no other.
    STARTED = "started"
    #: It does not wait in the store: it has ended, was cancelled before, or never was there.
    GONE = "gone"
    #: No worker answered in time. The wish stays in the log, and counts if the call has not begun by then.
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        return self in (Verdict.CANCELLED, Verdict.MOVED)


class Fate(StrEnum):
    """What became of a state that a call wanted to be saved."""

    #: It is: whoever begins the call again, begins with it, or with a later one.
    SAVED = "saved"
    #: It is not, and nothing was written: the call is not this worker's to go on with.
    REFUSED = "refused"
    #: It is not: the log did not take it.
    FAILED = "failed"
    #: It may be, or not.
    UNKNOWN = "unknown"


class Row(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A call in the deferred store.

    Attributes:
        id: the key of its record: the call's id, with ``@`` and the offset if it came from the queue.
        value: the envelope, as it was enqueued.
        due_ms: not to start before (ms since the epoch).
        key: its ordering key.
        relaxed: later calls of its key may pass it.
        failures: failed attempts so far.
        crashes: times that its process crashed, if it has one of its own.
        since_ms: when its deadline begins to count (ms since the epoch).
        rank: its place in the queue's order, or None if it has not taken one yet.
        topic_id: Kafka's id of the queue's topic that the rank is about.
        owner: epoch and name of the assignment in which a worker wrote this; (0, "") for an enqueuer.
        expires_ms: not to start after, if that is not what the envelope says.
        headers: the headers it was enqueued with.
        state: what the job has saved of how far it is, as JSON; None if nothing.
        of: the offset of the record that it goes on from, or -1. It does not replace a later one.
        offset: of its record in the log.
    """

    id: str
    value: bytes | None
    due_ms: int
    key: bytes | None = None
    relaxed: bool = False
    failures: int = 0
    crashes: int = 0
    since_ms: int = 0
    rank: Rank | None = None
    topic_id: str = ""
    owner: tuple[int, str] = (0, "")
    expires_ms: int | None = None
    headers: Headers | None = None
    state: bytes | None = None
    of: int = -1
    offset: int = -1

    @property
    def lane(self) -> bytes | None:
        """The key whose calls it is ordered with; None for a call that is not."""
        return None if self.relaxed else self.key

    @property
    def kind(self) -> Kind:
        """What it waits for."""
        if self.lane is None:
            return Kind.FREE
        return Kind.DATED if self.rank is None else Kind.RANKED

    @property
    def source(self) -> int | None:
        """Its offset in the queue, if it came from there."""
        return self.rank[0] if self.rank is not None and self.rank[1] == QUEUED else None

    @property
    def needs(self) -> int:
        """How far the queue must have been read before it may run: one past the last offset before it."""
        if self.rank is None:
            return 0
        return self.rank[0] + 1 if self.rank[1] == QUEUED else self.rank[0]


class End(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A tombstone: a call waits no more.

    Attributes:
        id: the call's id.
        of: the offset of the record that it ends, if it says so. A later one it does not end.
        owner: as of a row; (0, "") if it comes from somebody who cancels.
        request: where to tell what became of it.
        offset: of the tombstone in the log.
    """

    id: str
    of: int | None = None
    owner: tuple[int, str] = (0, "")
    request: str = ""
    offset: int = -1


class Move(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Somebody asks for a call to be due at another time.

    Attributes:
        request: the key of the record, and where to tell what became of it.
        id: the call's id.
        due_ms: when it is to be due.
        offset: of the request in the log.
    """

    request: str
    id: str
    due_ms: int
    offset: int = -1


class Answered(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of a request.

    ``offset`` is that of the answer in the log.
    """

    request: str
    verdict: Verdict
    offset: int = -1


Change = Row | End | Move | Answered


def unaware(later: Row, change: Row | End) -> bool:
    """Whether a record of a call goes on from before an earlier one, which puts the call in anew.

    It was written by an owner who did not know of that one, and so does not count against it.
    """
    return isinstance(change, Row) and change.of < 0 <= later.of < change.offset < later.offset


def outdone(row: Row, change: Row | End) -> bool:
    """Whether an owner wrote a record of a call after a later owner had: it neither replaces nor ends that.

    It was written by somebody who did not know that the call is another's by now.
    """
    return bool(change.owner[1]) and bool(row.owner[1]) and change.owner[0] < row.owner[0]


def moved(row: Row, due_ms: int) -> Row:
    """A call at another time; it takes its place in the order of its key then, and has as long to start."""
    expires_ms = row.expires_ms
    if expires_ms is None:
        try:
            expires_ms = decode(row.value).expires
        except Malformed:
            expires_ms = None
    if expires_ms is not None:
        expires_ms = max(0, expires_ms + due_ms - row.due_ms)
    return msgspec.structs.replace(
        row,
        due_ms=due_ms,
        # Of a call that was not tried yet, the deadline counts from when it is due.
        since_ms=due_ms if row.since_ms == row.due_ms else row.since_ms,
        rank=None,
        expires_ms=expires_ms,
        of=row.offset,
        offset=-1,
    )
