"""What of a partition's deferred store goes to the scheduler when its time has come, and comes back."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..core.deferred import Kind
from ..core.events import Due, Event, LaneDue, LaneFetched, Place
from ..core.ports import DeferredStore
from .hands import Hands

#: Lanes of which it is told that they are due, and that are not fetched yet.
_LANES = 10_000


class Outlet:
    """Tells what is due, as much as there is room for.

    Args:
        place: the partition of the queue.
        store: its index.
        room: calls of a kind that may be in the scheduler's hands.
        batch: calls of a lane that are fetched at a time.
    """

    def __init__(self, place: Place, store: DeferredStore, room: int, batch: int) -> None:
        self.hands = Hands()
        self._place = place
        self._store = store
        self._most = room
        self._batch = batch
        self._told: set[bytes] = set()
        self._next: dict[Kind, int | None] | None = None

    def begin_anew(self, store: DeferredStore) -> None:
        """Here is another index."""
        self._store = store
        self._told.clear()
        self._next = None

    def changed(self) -> None:
        """Something else may be due next."""
        self._next = None

    def look(self, now_ms: int, end: Callable[[], int]) -> list[Event]:
        """What is due.

        Args:
            now_ms: the present (ms since the epoch).
            end: asks for the end of the queue's log.
        """
        kinds = [
            kind
            for kind, due_ms in self._times().items()
            if due_ms is not None and due_ms <= now_ms and self._room(kind) > 0
        ]
        # Before anything is taken: whoever asks may fail, and what was taken then would be told to nobody.
        upto = end() if Kind.DATED in kinds else 0
        told: list[Event] = []
        for kind in kinds:
            self._next = None
            try:
                rows = self._store.due(kind, now_ms, self._room(kind))
            except Exception:
                # The store has to be made anew; what it gave before is to be found there again.
                for row in (row for event in told if isinstance(event, Due) for row in event.rows):
                    self.hands.back(row.offset)
                raise
            if kind is Kind.RANKED:
                for row in rows:
                    assert row.lane is not None
                    self._told.add(row.lane)
                    told.append(LaneDue(self._place, row.lane, row.needs))
            else:
                self.hands.give(rows)
                told.append(Due(self._place, rows, upto if kind is Kind.DATED else 0))
        return told

    def next_due(self) -> int | None:
        """When :meth:`look` will have something to tell (ms since the epoch)."""
        return min(
            (due for kind, due in self._times().items() if due is not None and self._room(kind) > 0),
            default=None,
        )

    def _times(self) -> dict[Kind, int | None]:
        if self._next is None:
            self._next = {kind: self._store.next_due(kind) for kind in Kind}
        return self._next

    def _room(self, kind: Kind) -> int:
        if kind is Kind.RANKED:
            return min(self._most - self.hands.count(kind), _LANES - len(self._told))
        return self._most - self.hands.count(kind)

    def lane(self, key: bytes, read: int, now_ms: int) -> LaneFetched:
        """The next calls of a lane."""
        self._told.discard(key)
        rows, head = self._store.lane(key, read, now_ms, self._batch)
        self.hands.give(rows)
        self._next = None
        return LaneFetched(self._place, key, rows, head)

    def release(self, offsets: Collection[int]) -> None:
        """The scheduler gives calls back."""
        self._store.release([self.hands.back(offset) for offset in offsets])
        self._next = None
