"""Wishes of others to take calls out."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from ..core.deferred import End, Move, Row, Verdict
from ..core.events import CancelAsked, Event
from .debts import Debts
from .early import Early
from .stock import Stock
from .writing import Writing

#: Cancelled calls that are remembered: a record that goes on from before may be on its way.
_REMEMBERED = 10_000


class _Cancelled(NamedTuple):
    """What was cancelled up to which offset, whether it was there, and where the log says so."""

    until: int
    was_there: bool
    at: int


_NEVER = _Cancelled(-1, False, -1)


class Cancels:
    """Takes calls out as others wish, and answers them or lets the scheduler answer.

    Args:
        stock: the calls.
        writing: what this worker writes to the log.
        debts: what is owed to the log.
        early: where wishes wait until everything is read.

    Attributes:
        passed: where calls that were cancelled before everything was read are in the queue, and by which
            request.
    """

    def __init__(self, stock: Stock, writing: Writing, debts: Debts, early: Early) -> None:
        self.passed: dict[int, str] = {}
        self._stock = stock
        self._writing = writing
        self._debts = debts
        self._early = early
        self._cancelled: dict[str, _Cancelled] = {}
        #: Wishes to take out calls that are in the log, or about to be, and not acknowledged yet.
        self._late: dict[str, dict[str, End]] = {}

    # --- what others write -----------------------------------------------------------------------

    def read(self, end: End, events: list[Event]) -> None:
        """Somebody takes a call out, with or without wanting to know what comes of it."""
        row = self._stock.store.get(end.id)
        in_hand = row is not None and row.offset in self._stock.hands
        if not in_hand and self._writing.is_unsure(end.id):
            # It is in the log, or is about to be written there again; that is to be known first.
            self._late.setdefault(end.id, {})[end.request] = end
            if end.request:
                self._debts.owe_answer(end.request, end.offset)
            return
        if row is not None and end.offset < row.offset and not 0 <= row.of < end.offset:
            row = None  # it is another one, or went on in the knowledge of this
        self._take_out(end, row, events, pending=self._debts.owes_answer(end.request))
        if end.request:
            self._debts.owe_answer(end.request, end.offset)  # now: if the store fails, it is read again

    def replaced(self, call_id: str) -> None:
        """Somebody has put in a call: it has nothing to do with one of that id that was cancelled."""
        self._cancelled.pop(call_id, None)

    def denied(self, request: str, wish: End | Move | None) -> None:
        """Whoever had the partition before has answered that there is no such call.

        Args:
            request: to whom.
            wish: what was asked for, if it waited until everything is read.
        """
        # Whoever said so will have it run.
        self.passed = {at: by for at, by in self.passed.items() if by != request}
        if isinstance(wish, End) and wish.id in self._cancelled:
            self._cancelled[wish.id] = self._cancelled[wish.id]._replace(was_there=False)

    # --- what this worker writes -----------------------------------------------------------------

    def is_void(self, row: Row) -> bool:
        """Whether a call was cancelled before an owner wrote that it goes on."""
        until, was_there, at = self._cancelled.get(row.id, _NEVER)
        first = row.of < 0 and was_there  # once more from the queue, in ignorance
        if not (first or 0 <= row.of < until or row.offset < until):
            return False
        # Nor what goes on from there.
        self._cancelled[row.id] = _Cancelled(max(until, row.offset + 1), was_there, at)
        self._debts.owe(row.id, row.offset, at)
        return True

    def has_late(self, call_id: str) -> bool:
        """Whether somebody waits for what this worker writes of a call, to take it out."""
        return call_id in self._late

    def take_out_late(self, call_id: str, events: list[Event]) -> None:
        """What this worker has written of a call is known: see to those who waited for it."""
        for end in self._late.pop(call_id).values():
            row = self._stock.store.get(call_id)
            if row is not None and row.offset > end.offset and not row.owner[1]:
                row = None  # somebody has put in another one since
            self._take_out(end, row, events, pending=False)

    # --- what becomes of it ----------------------------------------------------------------------

    def _take_out(self, end: End, row: Row | None, events: list[Event], *, pending: bool) -> None:
        held = self._stock.held
        if row is not None:
            # What goes on from before it is ended as well.
            self._stock.apply([replace(end, of=None, offset=max(end.offset, row.offset + 1))], events)
            if not self._stock.caught_up and row.source is not None:
                self.passed[row.source] = end.request
        until = end.offset if row is None else max(end.offset, row.offset + 1)
        self._remember(end, until, was_there=row is not None)
        ahead = row is not None and row.offset > end.offset
        if ahead or self._writing.is_busy(end.id):
            self._debts.owe(end.id, end.offset)  # what is on its way goes on from before
        if row is not None and ahead:
            self._debts.owe(end.id, row.offset)
        if row is not None and row.offset in self._stock.hands:
            self._ask(end, row, events)
            return
        if row is not None and held.get(end.id, until) < until:
            del held[end.id]
        if not end.request or pending:
            return
        if self._stock.caught_up:
            self.judge(end, row, events)
        else:
            self._early.add(end, row)

    def _remember(self, end: End, until: int, *, was_there: bool) -> None:
        self._cancelled.pop(end.id, None)
        self._cancelled[end.id] = _Cancelled(until, was_there, end.offset)
        if len(self._cancelled) > _REMEMBERED:
            del self._cancelled[next(iter(self._cancelled))]

    def judge(self, end: End, row: Row | None, events: list[Event]) -> None:
        """Answer whoever took out a call that nobody has in hand."""
        if row is not None and row.source is not None:
            self._ask(end, row, events)  # it is not certain before the queue's offset is committed
        else:
            self._writing.say(end.request, Verdict.GONE if row is None else Verdict.CANCELLED)

    def _ask(self, end: End, row: Row, events: list[Event]) -> None:
        """Let the scheduler say what becomes of a call that is taken out."""
        given = self._stock.hands.given(row.offset)
        self._stock.hands.back(row.offset)
        self._writing.give_up(end.id)
        events.append(CancelAsked(self._stock.place, given, end.request, row.source))
