"""The calls of one partition as they are: in its index, and who may have them."""

from __future__ import annotations

from msgspec.structs import replace

from ..core.deferred import End, Row
from ..core.events import Event, LaneDue, Place
from ..core.ports import DeferredStore
from .debts import Debts
from .outlet import Outlet
from .writing import Writing

#: Added to places in a queue's topic that is no more: they come before all others, in their order.
_BEFORE = -(1 << 52)


class Stock:
    """What a shelf has.

    Args:
        place: the partition of the queue.
        store: its index.
        outlet: what of it goes to the scheduler.
        writing: what this worker writes to the log.
        debts: what is owed to the log.
        topic_id: Kafka's id of the queue's topic.

    Attributes:
        place: as above.
        store: as above.
        hands: the calls that the scheduler has.
        held: calls that nobody may have until a record that moves them is written, with their offsets.
        caught_up: everything is read that was in the log.
    """

    def __init__(
        self,
        place: Place,
        store: DeferredStore,
        outlet: Outlet,
        writing: Writing,
        debts: Debts,
        topic_id: str,
    ) -> None:
        self.place = place
        self.store = store
        self.hands = outlet.hands
        self.held: dict[str, int] = {}
        self.caught_up = False
        self._outlet = outlet
        self._writing = writing
        self._debts = debts
        self._topic_id = topic_id

    def begin_anew(self, store: DeferredStore) -> None:
        """Here is another index, into which the log will be read."""
        self.store = store
        self.caught_up = False
        self._outlet.begin_anew(store)

    def apply(self, plain: list[Row | End], events: list[Event], position: int | None = None) -> None:
        """Have the index take in what the log says.

        Args:
            plain: what it says; it is empty afterwards.
            events: what the scheduler is to be told is added here.
            position: how far the log is read; None if nothing is to be noted of that.
        """
        if not plain and position is None:
            return
        applied = self.store.apply(plain, None if position is None else self._safe(position))
        self._outlet.changed()
        for call_id in applied.survivors:
            last = max(change.offset for change in plain if change.id == call_id)
            row = self.store.get(call_id)
            # Or else something later has put it right, or it is older than what is so, and that is met yet.
            if row is not None and row.offset != last:
                self._debts.owe(call_id, last)
        if applied.survivors and position is not None:
            self.store.apply((), self._safe(position))
        plain.clear()
        if self.caught_up:
            events += [LaneDue(self.place, key, 0) for key in applied.lanes]

    def _safe(self, position: int) -> int:
        """From where on the log is to be read by whoever comes next."""
        return self._debts.safe(self._writing.safe(position))

    def hold(self, row: Row) -> None:
        """Nobody may have this call until a record that moves it is written."""
        self.store.hold([row.offset])
        self.held[row.id] = row.offset

    def hold_again(self) -> None:
        """Nobody else may have what somebody has: the index may be another one."""
        self.store.hold([*self.hands, *self.held.values()])

    def keep(self, change: Row) -> bool:
        """Have a call at a later place in the log, if somebody has it in hand: it stays there."""
        row = self.store.get(change.id)
        if row is None or row.offset > change.of:
            return False
        held = self.held.get(change.id) == row.offset
        if not held and row.offset not in self.hands:
            return False
        self.store.apply([self.placed(change)], None)
        self.store.hold([change.offset])
        if held:
            self.held[change.id] = change.offset
        else:
            self.hands.move(row.offset, change.offset)
        return True

    def retain(self, row: Row, plain: list[Row | End], events: list[Event]) -> None:
        """Have a call that runs as it was written meanwhile; it stays in hand, or is from now on.

        Args:
            row: with its offset.
            plain: what the index is to take in before that; it is empty afterwards.
            events: what the scheduler is to be told is added here.
        """
        # First of all: if the index fails now, it is to be held when the log is read again.
        if row.of in self.hands:
            self.hands.move(row.of, row.offset)
        else:
            self.hands.give([row])
        plain.append(self.placed(row))
        self.apply(plain, events)
        self.store.hold([row.offset])

    def placed(self, row: Row) -> Row:
        """A call with its rank as it is in the queue's topic of today."""
        if row.rank is None or not row.topic_id or not self._topic_id or row.topic_id == self._topic_id:
            return row
        place, turn = row.rank
        return replace(row, rank=(place + _BEFORE, turn)) if place >= 0 else row
