"""Wishes of others that calls be due at another time."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from msgspec.structs import replace

from ..core.deferred import Move, Row, Verdict
from ..core.events import Event, MoveAsked
from .debts import Debts
from .early import Early
from .stock import Stock
from .writing import Writing

#: Moved calls that are remembered: an earlier request may wait, or be read again.
_REMEMBERED = 10_000


class _Asked(NamedTuple):
    """A wish about which the scheduler is asked: which call, and by which offset it knows that.

    That is -1 once the scheduler has given the call back.
    """

    move: Move
    row: Row
    given: int


class Moves:
    """Moves calls as others wish, once the scheduler has let go of them, and answers.

    Args:
        stock: the calls.
        writing: what this worker writes to the log.
        debts: what is owed to the log.
        early: where wishes wait until everything is read.
    """

    def __init__(self, stock: Stock, writing: Writing, debts: Debts, early: Early) -> None:
        self._stock = stock
        self._writing = writing
        self._debts = debts
        self._early = early
        #: Calls that were moved, and by which request: an earlier one is overtaken.
        self._moved: dict[str, int] = {}
        #: Wishes that wait for the scheduler's word, and for a record that is on its way.
        self._asked: dict[str, _Asked] = {}
        self._later: dict[str, list[Move]] = {}

    # --- what others write -----------------------------------------------------------------------

    def read(self, move: Move, events: list[Event]) -> None:
        """Somebody wants a call to be due at another time."""
        if self._debts.owes_answer(move.request):
            return  # it was read before, and is being seen to
        if self._stock.caught_up:
            self._move(move, events)
        else:
            self._early.add(move)
        self._debts.owe_answer(move.request, move.offset)

    def replaced(self, row: Row) -> None:
        """Somebody has put in a call: those who wanted an earlier one of that id to be moved are late."""
        for move in self._later.pop(row.id, []):
            if move.offset < row.offset:
                self._writing.say(move.request, Verdict.GONE)
            else:
                self._wait(move)

    def see_to(self, move: Move, events: list[Event]) -> None:
        """Do what had to wait until everything was read."""
        if self.is_done(move):
            self._writing.say(move.request, Verdict.MOVED)
        else:
            self._move(move, events)

    def is_done(self, move: Move) -> bool:
        """Whether a call has been moved as somebody wished, or since then, or another one put in."""
        row = self._stock.store.get(move.id)
        if row is None or row.offset < move.offset:
            return False
        return row.due_ms == move.due_ms or (row.of < 0 and not row.owner[1])

    def note(self, move: Move) -> None:
        """A call is moved as somebody wished."""
        self._moved[move.id] = max(move.offset, self._moved.get(move.id, -1))
        if len(self._moved) > _REMEMBERED:
            del self._moved[next(iter(self._moved))]

    # --- what becomes of it ----------------------------------------------------------------------

    def settle(self, events: list[Event]) -> None:
        """Do what had to wait, of calls of which nothing is on its way."""
        for call_id in [i for i in self._later if not self._writing.is_open(i) and not self._is_asked(i)]:
            for move in self._later.pop(call_id):
                self._move(move, events)

    def _move(self, move: Move, events: list[Event]) -> None:
        """Let a call be due at another time; it gives up its place in the order of its key."""
        stock = self._stock
        row = stock.store.get(move.id)
        if row is None and self._writing.is_unsure(move.id):
            self._wait(move)
        elif row is None:
            self._writing.say(move.request, Verdict.GONE)
        elif self._is_overtaken(move):
            self._writing.say(move.request, Verdict.MOVED)
        elif self._is_asked(move.id):
            self._wait(move)
        elif row.offset in stock.hands:
            self._ask(_Asked(move, row, stock.hands.given(row.offset)), events)
        elif row.source is not None and row.id not in stock.held:
            # Without its place nothing tells that the queue's is not to come: not before the group knows.
            stock.hold(row)
            self._ask(_Asked(move, row, row.offset), events)
        elif row.of < 0 and stock.held.get(move.id, row.offset) != row.offset:
            del stock.held[move.id]  # somebody has put in another one since
            self._writing.say(move.request, Verdict.MOVED)
        else:
            self._put_off(row, move)

    def _wait(self, move: Move) -> None:
        self._later.setdefault(move.id, []).append(move)

    def _is_overtaken(self, move: Move) -> bool:
        """Whether a call was moved by a later request."""
        return self._moved.get(move.id, -1) > move.offset

    def _put_off(self, row: Row, move: Move) -> None:
        """Write that a call that nobody has in hand is due at another time."""
        if not self._writing.may_follow(row.id, row.offset):
            self._wait(move)
        elif self._is_overtaken(move):
            self._writing.say(move.request, Verdict.MOVED)
        else:
            self.note(move)
            self._stock.hold(row)
            self._writing.promise(row, move)

    # --- the scheduler ---------------------------------------------------------------------------

    def _ask(self, asked: _Asked, events: list[Event]) -> None:
        """Ask the scheduler whether a call may be moved."""
        request = asked.move.request
        self._asked[request] = asked
        events.append(MoveAsked(self._stock.place, asked.given, request, asked.row.source))

    def _is_asked(self, call_id: str) -> bool:
        """Whether the scheduler is asked about a call that somebody wants to be moved."""
        return any(asked.move.id == call_id for asked in self._asked.values())

    def is_asking(self, request: str) -> bool:
        """Whether the scheduler is asked about a request."""
        return request in self._asked

    def answer(self, request: str, verdict: Verdict) -> None:
        """The scheduler says whether a call may be moved: tell whoever asked, and see to it."""
        move, row, given = self._asked[request]
        if verdict is Verdict.UNKNOWN:
            del self._asked[request]
            self._wait(move)
            return
        if not verdict:
            del self._asked[request]
            self._writing.say(request, verdict)
            return
        if given < 0:
            del self._asked[request]
            self._wait(move)  # it was given back, and may be in hand again
            return
        stock = self._stock
        now = stock.hands.now(given)
        found = stock.store.get(move.id) if stock.caught_up else replace(row, offset=now)
        stock.hands.back(given)
        del self._asked[request]
        if found is None or (found.offset != now and not found.owner[1]):
            self._writing.say(request, verdict)  # somebody has taken it out since, or put in another one
        elif found.offset != now:
            self._wait(move)  # it went on, and may be in hand again
        else:
            stock.held[move.id] = now
            self._put_off(found, move)

    def given_back(self, offsets: Collection[int]) -> None:
        """The scheduler gives calls back that it has not begun."""
        for request, asked in self._asked.items():
            if asked.given in offsets and self._stock.hands.knows(asked.given):
                self._asked[request] = asked._replace(given=-1)
