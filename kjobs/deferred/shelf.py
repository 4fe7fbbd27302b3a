"""The rules between the log of one partition and what the scheduler hears of it.

A shelf is a store with a memory of what this worker has written and what is in the scheduler's hands. It
does no I/O but the store's: what is to be written to the log it leaves in ``wishes``, and what happened is
told by ``acknowledged`` (of what this worker wrote) and ``read`` (of everything).

The last record of a call in the log must say what is so, because compaction leaves only that one. Three may
write at once: this worker, enqueuers, and an earlier owner who does not know yet that it is one. So every
record of an owner says which one it goes on from (``of``), and does not count against a later one. Where the
last one does not count, the shelf *owes* another, and the position in the log stays before it until that is
written, so that whoever comes next owes it as well. Of one call only one record is on its way at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ..core.deferred import Answered, Change, End, Move, Row, Verdict, outdone
from ..core.events import CancelAsked, CaughtUp, Event, LaneFetched, Place
from ..core.ports import DeferredStore
from .cancels import Cancels
from .debts import Debts
from .early import Early
from .echo import Echo
from .moves import Moves
from .outlet import Outlet
from .stock import Stock
from .writing import Writing

#: Calls of a kind that one partition may have in the scheduler's hands, unless it is told otherwise.
ROOM = 1000
#: Calls of a lane that are fetched at a time, unless it is told otherwise.
BATCH = 32
#: Later than every epoch.
_ANY = 1 << 62


class Shelf:
    """One partition's part of the deferred store, from assignment to revocation.

    Args:
        place: the partition of the queue.
        store: its index.
        epoch: of the assignment.
        name: of the assignment, unique.
        topic_id: Kafka's id of the queue's topic.
        read_from: where the queue is read from.
        room: calls of a kind that may be in the scheduler's hands.
        batch: calls of a lane that are fetched at a time.
    """

    def __init__(
        self,
        place: Place,
        store: DeferredStore,
        *,
        epoch: int,
        name: str,
        topic_id: str,
        read_from: int,
        room: int = ROOM,
        batch: int = BATCH,
    ) -> None:
        self.place = place
        self.owner = (epoch, name)
        self._read_from = read_from
        self._outlet = Outlet(place, store, room, batch)
        self._hands = self._outlet.hands
        self._debts = Debts()
        self._writing = Writing(self.owner, store.position, self._hands)
        self._stock = Stock(place, store, self._outlet, self._writing, self._debts, topic_id)
        self._early = Early()
        self._cancels = Cancels(self._stock, self._writing, self._debts, self._early)
        self._moves = Moves(self._stock, self._writing, self._debts, self._early)
        self._echo = Echo(self._stock, self._writing, self._debts, self._cancels)
        #: How far the log is read into this store.
        self._read_to = store.position
        #: The latest epoch that was read. What an index had from before may be of any.
        self._latest = _ANY if store.position else 0
        #: Where the log ended when this worker took over.
        self._since: int | None = None
        #: What the scheduler is to be told: if the store fails in the middle of something, it is told later.
        self._untold: list[Event] = []

    @property
    def store(self) -> DeferredStore:
        """The index."""
        return self._stock.store

    @property
    def caught_up(self) -> bool:
        """Whether everything is read that was in the log."""
        return self._stock.caught_up

    @caught_up.setter
    def caught_up(self, caught_up: bool) -> None:
        self._stock.caught_up = caught_up

    @property
    def wishes(self) -> list[Change]:
        """What is to be written to the log, in this order."""
        return self._writing.wishes

    @wishes.setter
    def wishes(self, wishes: list[Change]) -> None:
        self._writing.wishes = wishes

    @property
    def known_to(self) -> int:
        """How far the log was ever read."""
        return self._writing.known_to

    # --- the log ---------------------------------------------------------------------------------

    def read(self, changes: Sequence[Change], position: int) -> list[Event]:
        """Take in the next records of the log, of whoever wrote them.

        Args:
            changes: in the order of the log.
            position: one past the last offset that was read.
        """
        events = self._untold
        plain: list[Row | End] = []
        for change in changes:
            match change:
                case Row():
                    if change.owner == self.owner:
                        self._echo.read(change, plain, events)
                    elif not self._is_outdone(change, plain, events) and self._is_news(change):
                        if not change.owner[1]:
                            self._replace(change, events)
                        plain.append(self._stock.placed(change))
                case End(request="", owner=(_, name)) if name:
                    if change.owner == self.owner:
                        self._echo.read(change, plain, events)
                    elif not self._is_overdue(change):
                        if not self._is_outdone(change, plain, events):
                            plain.append(change)
                    elif not self.caught_up or self.store.get(change.id) is not None:
                        self._debts.owe(change.id, change.offset)  # it may overrule what this one believed
                case End():
                    self._stock.apply(plain, events)
                    self._cancels.read(change, events)
                case Move():
                    self._stock.apply(plain, events)
                    self._moves.read(change, events)
                case Answered():
                    self._answered(change)
        self._read_to = position
        self._writing.known_to = max(self.known_to, position)
        self._stock.apply(plain, events, position)
        self._settle(events)
        return self._told()

    def acknowledged(self, changes: Sequence[Change], *, wished: bool = False) -> list[Event]:
        """The log has what this worker wrote; each change with the offset it has there.

        ``wished``: they come from ``wishes``, and not from the scheduler, who does not know of them.
        """
        events = self._untold
        lanes: list[Event] = events if wished else []
        plain: list[Row | End] = []
        for change in changes:
            if isinstance(change, Answered):
                self._debts.answered(change.request)
            elif isinstance(change, Row | End):
                unread = change.offset >= self._read_to
                self._echo.acknowledged(change, plain, events, wished=wished, unread=unread)
        self._stock.apply(plain, lanes)
        self._settle(events)
        return self._told()

    def _told(self) -> list[Event]:
        """What the scheduler is to be told."""
        told, self._untold = self._untold, []
        return told

    def refused(self, change: Change, *, wished: bool = False) -> None:
        """The log has not taken what this worker wrote, as far as is known."""
        if wished or not isinstance(change, Row | End):
            self._writing.wish_again(change)
        else:
            self._writing.refused(change)

    def is_certain(self, call_id: str) -> bool:
        """Whether what this worker wrote last of a call that runs counts for every reader of the log.

        Everything before it is read, and if something of a former owner was in its way, it is written again.
        """
        if not self.caught_up or self._writing.is_busy(call_id) or self._debts.owes(call_id):
            return False
        now = self._hands.find(call_id)
        return now is None or now < self._read_to

    def withdrawn(self, change: Row | End) -> None:
        """The log has not taken what the scheduler ordered, for certain, and it will not be ordered again."""
        self._writing.withdrawn(change)

    def may_write(self, change: Row | End) -> bool:
        """Whether the scheduler's word about a call may be written now; if not, read on and ask again."""
        of = -1 if change.of is None else self._hands.now(change.of)
        return self._writing.may_follow(change.id, of)

    def signed(self, change: Row | End, *, stays: bool = False) -> Row | End:
        """A change as this owner writes it, in the knowledge of what it goes on from; it is on its way.

        ``stays``: the call runs, and is in the scheduler's hands after it as before.
        """
        return self._writing.sign(change, stays=stays)

    # --- what others wrote -----------------------------------------------------------------------

    def _is_news(self, row: Row) -> bool:
        """Whether a call that somebody else wrote is to be taken in."""
        if row.owner[1]:
            if self._is_overdue(row):
                self._debts.owe(row.id, row.offset)
                return False
            if not self.caught_up and self._cancels.is_void(row):
                return False
        # If the store is made anew, what ends it is perhaps not read again yet.
        return not self._writing.is_ended(row)

    def _is_outdone(self, change: Row | End, plain: list[Row | End], events: list[Event]) -> bool:
        """Whether a later owner than that of this record had written what there is."""
        epoch, name = change.owner
        if self.caught_up or not name:
            return False
        if epoch >= self._latest:
            self._latest = epoch
            return False
        self._stock.apply(plain, events)
        row = self.store.get(change.id)
        if row is None or not outdone(row, change):
            return False
        self._debts.owe(change.id, change.offset)
        return True

    def _is_overdue(self, change: Row | End) -> bool:
        """Whether an earlier owner, who does not know that it is one, wrote it after this one took over."""
        return self._since is not None and change.offset >= self._since and change.owner < self.owner

    def _replace(self, row: Row, events: list[Event]) -> None:
        """Somebody puts in a call: have an earlier one of that id let go of."""
        self._cancels.replaced(row.id)
        self._moves.replaced(row)
        now = self._hands.find(row.id)
        if now is not None and now < row.offset:
            events.append(CancelAsked(self.place, self._hands.given(now), ""))
            self._hands.back(now)

    def _answered(self, answer: Answered) -> None:
        """A request is answered, by this worker or by whoever had the partition before."""
        self._debts.answered(answer.request)
        wish = self._early.answered(answer.request)
        if answer.verdict is Verdict.GONE:
            self._cancels.denied(answer.request, wish)
        elif answer.verdict is Verdict.MOVED and isinstance(wish, Move):
            self._moves.note(wish)

    # --- what the log does not say ---------------------------------------------------------------

    def _settle(self, events: list[Event]) -> None:
        """Write what is owed, and do what had to wait, of calls of which nothing is on its way."""
        if not self.caught_up:
            return
        self._moves.settle(events)
        for call_id, last in self._debts.owed():
            if not self._writing.may_follow(call_id, last):
                continue
            row = self.store.get(call_id)
            of = last if row is None else max(row.offset, last)
            if self._writing.may_follow(call_id, of):
                self._writing.repeat(call_id, row, of)

    def lift(self, call_ids: Sequence[str]) -> None:
        """Write calls once more, as they are, so that their records of now are needed no longer.

        Not those that are not here, or of which a record is on its way.
        """
        for call_id in call_ids:
            row = self.store.get(call_id)
            if row is not None and self._writing.may_follow(call_id, row.offset):
                self._writing.repeat(call_id, row, row.offset)

    # --- the scheduler ---------------------------------------------------------------------------

    def begin_anew(self, store: DeferredStore) -> None:
        """The index was lost: here is another one, into which the log will be read from its position."""
        self._stock.begin_anew(store)
        self._read_to = min(self._read_to, store.position)
        self._latest = _ANY if store.position else 0
        self._writing.begin_anew()
        self._debts.begin_anew()
        for wish, _ in self._early.take():
            self._debts.answered(wish.request)  # or else nobody would see to it when it is read again

    def catch_up(self) -> list[Event]:
        """Everything that was in the log is read: tell what there is, and answer who asked meanwhile."""
        self.caught_up = True
        if self._since is None:
            self._since = self.known_to
        self._stock.hold_again()
        lanes = self.store.lanes()
        sources = {*self.store.sources(self._read_from), *self._cancels.passed}
        events = self._untold
        events.append(CaughtUp(self.place, tuple(lanes), sources, self.store.last_turn()))
        for call_id, _ in self._debts.owed():
            row = self.store.get(call_id)
            if row is not None:
                self._debts.paid(call_id, row.offset - 1)  # somebody has, unless it is owed of that one
        self._see_to_early(events)
        self._settle(events)
        self._outlet.changed()
        return self._told()

    def _see_to_early(self, events: list[Event]) -> None:
        """Answer those whose wishes were read before everything was."""
        early = self._early.take()
        for wish, _ in early:
            if isinstance(wish, Move) and self._moves.is_done(wish):
                self._moves.note(wish)
        for wish, row in early:
            if isinstance(wish, End):
                self._cancels.judge(wish, row, events)
            else:
                self._moves.see_to(wish, events)

    def answer(self, request: str, verdict: Verdict) -> None:
        """Tell whoever asked what becomes of a call, and see to it."""
        if self._moves.is_asking(request):
            self._moves.answer(request, verdict)
        else:
            self._writing.say(request, verdict)

    def look(self, now_ms: int, end: Callable[[], int]) -> list[Event]:
        """What is due.

        Args:
            now_ms: the present (ms since the epoch).
            end: asks for the end of the queue's log.
        """
        return self._outlet.look(now_ms, end)

    def next_due(self) -> int | None:
        """When :meth:`look` will have something to tell (ms since the epoch)."""
        return self._outlet.next_due() if self.caught_up else None

    def doubt_times(self) -> None:
        """Ask the store again, the next time, when something is due."""
        self._outlet.changed()

    def lane(self, key: bytes, read: int, now_ms: int) -> LaneFetched:
        """The next calls of a lane."""
        return self._outlet.lane(key, read, now_ms)

    def release(self, offsets: Collection[int]) -> None:
        """The scheduler gives calls back that it has not begun."""
        self._moves.given_back(offsets)
        self._outlet.release(offsets)
