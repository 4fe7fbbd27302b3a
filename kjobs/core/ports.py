"""What the core expects of the world around it, as protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from .deferred import End, Kind, Row
    from .partition import Entry

#: A record's headers as Kafka keeps them: ordered, names may repeat, values may be null.
Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """One record of a queue topic; ``confluent_kafka.Message`` is one."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""
        ...

    def __len__(self) -> int:
        """Bytes of the value."""
        ...


class Saver(Protocol):
    """Has the states of running calls saved. Both methods return when that is certain, or raise.

    ``state`` is JSON.
    """

    def save(self, entry: Entry, state: bytes) -> None:
        """Wait in the thread that runs the call."""
        ...

    async def asave(self, entry: Entry, state: bytes) -> None:
        """Wait in a task."""
        ...


class LaneHead(NamedTuple):
    """The first call of a lane that waits in a store.

    Attributes:
        needs: how far the queue must have been read before it may run.
        due_ms: when it is due (ms since the epoch).
    """

    needs: int
    due_ms: int


class Applied(NamedTuple):
    """What came of changes that are not all new calls.

    Attributes:
        survivors: ids whose last record in the log does not say what is so: it goes on from an earlier one
            than the call that is there.
        lanes: keys from whose lanes calls were taken out.
    """

    survivors: Sequence[str] = ()
    lanes: Collection[bytes] = ()


class StoreAway(Exception):
    """A store cannot be asked now, and may be none the worse for it: open it again later.

    Whether what was asked of it is done is not known.
    """


class DeferredStore(Protocol):
    """The calls of one partition that wait for their time, and how far of its log they are known.

    A store is an index of the partition's ``.delayed`` topic, which is the truth: what it forgets is read
    again. One thread uses it. What a method *takes* is in somebody's hands, and is not given out again
    until it is released or replaced.

    Every method but the properties may raise :class:`StoreAway`, if the store is elsewhere; whatever else is
    raised means that it is to be made anew.

    ``tests/deferred/conformance.py`` is the suite that every store must pass.
    """

    @property
    def position(self) -> int:
        """One past the last offset of the log that is applied; 0 for an empty store."""
        ...

    @property
    def count(self) -> int:
        """Calls in the store, those that are taken included."""
        ...

    def apply(self, changes: Sequence[Row | End], position: int | None) -> Applied:
        """Take in what the log says, all of it or nothing.

        Of several records of one call the one with the highest offset counts, in whatever order they come,
        but for those that go on from an earlier record (``of``): they do not count against one after that.
        See :func:`.deferred.unaware` for one that is taken in before what it does not count against.

        Args:
            changes: in the order of their offsets.
            position: the new position; None to leave it.
        """
        ...

    def get(self, call_id: str) -> Row | None:
        """The call of this id."""
        ...

    def taken(self, call_id: str) -> bool:
        """Whether the call of this id is in somebody's hands."""
        ...

    def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Row]:
        """Up to ``limit`` calls of a kind whose time has come, the earliest first.

        Those that are free or dated are taken. Of those with a rank only the first of each lane is told,
        once, and is not taken: the lane is.
        """
        ...

    def next_due(self, kind: Kind) -> int | None:
        """When :meth:`due` will have something to tell (ms since the epoch)."""
        ...

    def lane(self, key: bytes, read: int, now_ms: int, limit: int) -> tuple[Sequence[Row], LaneHead | None]:
        """Take the first calls of a lane, in its order.

        Args:
            key: whose lane.
            read: how far the queue has been read; calls that need more are not given.
            now_ms: the present; nothing is given from the first call on that is not due.
            limit: the most.

        Returns:
            The calls, and if there is none, the head that is not given; None if the lane is empty. If it is
            not due yet, :meth:`due` will tell.
        """
        ...

    def lanes(self) -> Mapping[bytes, int]:
        """Every lane, with what its head needs to have been read. From now on :meth:`due` tells of each."""
        ...

    def sources(self, low: int) -> Collection[int]:
        """Offsets in the queue, from ``low`` on, of calls that are in the store."""
        ...

    def last_turn(self) -> int:
        """The highest turn in a rank, but for those from the queue; 0 if there is none."""
        ...

    def lowest(self) -> int | None:
        """The lowest offset of a call's record; None for an empty store."""
        ...

    def hold(self, offsets: Collection[int]) -> None:
        """Take calls, by the offsets of their records: they are in somebody's hands since before."""
        ...

    def release(self, offsets: Collection[int]) -> None:
        """Give back calls that were taken, by the offsets of their records."""
        ...

    def close(self) -> None:
        """Let go of it; what was taken is released."""
        ...
