"""What this worker wrote to the log, as it comes back: acknowledged, or read, or both."""

from __future__ import annotations

from msgspec.structs import replace

from ..core.deferred import End, Row
from ..core.events import Event
from .cancels import Cancels
from .debts import Debts
from .stock import Stock
from .writing import Writing


class Echo:
    """Takes in what this worker wrote, once.

    Args:
        stock: the calls.
        writing: what this worker writes to the log.
        debts: what is owed to the log.
        cancels: takes out what others wish to be taken out.
    """

    def __init__(self, stock: Stock, writing: Writing, debts: Debts, cancels: Cancels) -> None:
        self._stock = stock
        self._writing = writing
        self._debts = debts
        self._cancels = cancels

    def acknowledged(
        self, change: Row | End, plain: list[Row | End], events: list[Event], *, wished: bool, unread: bool
    ) -> None:
        """Take in what this worker wrote, as it is acknowledged.

        Args:
            change: with the offset it has in the log.
            plain: what the store is to take in is added here.
            events: what the scheduler is to be told is added here.
            wished: it comes from ``wishes``, and not from the scheduler.
            unread: the log is not read up to there.
        """
        if self._writing.confirm(change):
            self._landed(change, plain, events, wished=wished)
        elif unread:
            self._writing.expect(change)
            self._landed(change, plain, events, wished=wished)
        elif not wished:
            self._writing.arrived(change.id)

    def read(self, change: Row | End, plain: list[Row | End], events: list[Event]) -> None:
        """Take in what this worker wrote, as it is read.

        Args:
            change: as it is in the log.
            plain: what the store is to take in is added here.
            events: what the scheduler is to be told is added here.
        """
        if self._writing.meet(change):
            self._read_again(change, plain)
        elif self._writing.is_limbo(change):
            self._writing.set_aside(change)
        elif self._writing.is_wished(change):
            self._landed(change, plain, events, wished=True)
        elif isinstance(change, End) and (end := self._writing.recall(change)) is not None:
            plain.append(end)  # into a store made anew
        elif isinstance(change, Row) and change.offset in self._stock.hands:
            # Whatever a reader would think of it, this one is what was given.
            self._stock.apply(plain, events)
            row = self._stock.store.get(change.id)
            plain.append(self._stock.placed(change if row is None else replace(change, of=row.offset)))
        elif not self._is_copy(change):
            plain.append(self._stock.placed(change) if isinstance(change, Row) else change)

    def _read_again(self, change: Row | End, plain: list[Row | End]) -> None:
        """Take in what was taken in when it was acknowledged."""
        if isinstance(change, End):
            self._writing.recall(change)
            plain.append(change)
        elif self._is_news_again(change):
            plain.append(self._stock.placed(change))

    def _is_news_again(self, row: Row) -> bool:
        """Whether a call that was taken in when it was acknowledged is to be taken in when it is read."""
        return not self._writing.is_ended(row) and not self._cancels.is_void(row)

    def _is_copy(self, change: Row | End) -> bool:
        """Whether what is read says once more what is known, or over; a reader may take it for news."""
        if isinstance(change, End):
            return False
        if self._stock.caught_up:
            self._debts.owe(change.id, change.offset)
            return True
        return not self._is_news_again(change)

    # --- what is known to be in the log ----------------------------------------------------------

    def _landed(
        self, change: Row | End, plain: list[Row | End], events: list[Event], *, wished: bool
    ) -> None:
        """Take in what this worker wrote, as soon as it is known to be in the log."""
        lanes: list[Event] = events if wished else []  # of its own the scheduler need not be told
        stays = not wished and self._stays(change)
        if not wished:
            change = self._order_landed(change, stays=stays)
        elif not self._wish_landed(change, plain, lanes):
            return
        if isinstance(change, End):
            plain.append(change)
        elif self._cancels.is_void(change):
            pass
        elif stays:
            self._stock.retain(change, plain, lanes)
        else:
            plain.append(self._stock.placed(change))
        if self._cancels.has_late(change.id):
            self._stock.apply(plain, lanes)
            self._cancels.take_out_late(change.id, events)
            self._debts.owe(change.id, change.offset)

    def _stays(self, change: Row | End) -> bool:
        """Whether a call that this worker wrote is in hand still: nobody has cancelled or replaced it."""
        return self._writing.stays(change) and (change.of == -1 or self._stock.hands.knows(change.of))

    def _order_landed(self, change: Row | End, *, stays: bool) -> Row | End:
        """What the scheduler ordered is in the log; returns it with what it goes on from as that is now."""
        for offset in self._writing.landed(change.id):
            # To a reader, that one may be what counts.
            self._debts.owe(change.id, max(offset, change.offset))
        if change.of is None or change.of < 0:
            return change
        now = self._stock.hands.now(change.of) if stays else self._stock.hands.back(change.of)
        if now <= change.of:
            return change
        # It is the same call, but a reader of the log cannot know.
        self._debts.owe(change.id, change.offset)
        return replace(change, of=now)

    def _wish_landed(self, change: Row | End, plain: list[Row | End], lanes: list[Event]) -> bool:
        """A wish is in the log; whether what it says is still to be taken in."""
        self._writing.drop(change)
        if self._writing.keep_promise(change):
            self._stock.held.pop(change.id, None)
            return True
        if self._writing.end_repeat(change):
            self._debts.paid(change.id, change.of or 0)
            self._stock.apply(plain, lanes)
            return isinstance(change, End) or not self._stock.keep(change)
        self._debts.owe(change.id, change.offset)  # it was read before, and this is said once more
        return False
