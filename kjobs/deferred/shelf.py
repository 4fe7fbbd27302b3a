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

from msgspec.structs import replace

from ..core.deferred import Answered, Change, End, Move, Row, Verdict, moved
from ..core.events import CancelAsked, CaughtUp, Event, LaneDue, LaneFetched, MoveAsked, Place
from ..core.ports import DeferredStore
from .outlet import Outlet

#: Calls of a kind that one partition may have in the scheduler's hands, unless it is told otherwise.
ROOM = 1000
#: Calls of a lane that are fetched at a time, unless it is told otherwise.
BATCH = 32
#: Cancelled calls that are remembered: a record that goes on from before may be on its way.
_CANCELLED = 10_000
#: Added to places in a queue's topic that is no more: they come before all others, in their order.
_BEFORE = -(1 << 52)


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
        self.store = store
        self.owner = (epoch, name)
        self.caught_up = False
        #: What is to be written to the log, in this order.
        self.wishes: list[Change] = []
        self._topic_id = topic_id
        self._read_from = read_from
        self._outlet = Outlet(place, store, room, batch)
        self._hands = self._outlet.hands
        #: How far the log is read into this store, and how far it was ever.
        self._read_to = self._known_to = store.position
        #: Where the log ended when this worker took over.
        self._since: int | None = None
        #: Calls of which a record is on its way: that the scheduler ordered, that says once more what is so,
        #: that moves it (with the request); with the offset of the record that it goes on from.
        self._ordered: set[str] = set()
        #: Calls of which such a record was refused, and is going to be ordered again.
        self._refused: set[str] = set()
        #: Such records that are in the log though nobody has acknowledged them, or not yet.
        self._unsure: dict[int, str] = {}
        self._asserting: dict[str, int] = {}
        self._promised: dict[str, tuple[str, int]] = {}
        #: Calls that were moved, and by which request: an earlier one is overtaken.
        self._moved: dict[str, int] = {}
        #: Calls that nobody may have until a record that moves them is written, with their offsets.
        self._held: dict[str, int] = {}
        #: What is acknowledged and not read yet: offsets, and of ends by id what they end.
        self._acked: set[int] = set()
        self._ended: dict[str, tuple[int, int | None]] = {}
        #: By id, where the log does not say what is so: the first and the last such record.
        self._owed: dict[str, tuple[int, int]] = {}
        #: By id, what was cancelled up to which offset, whether it was there, and where the log says so.
        self._cancelled: dict[str, tuple[int, bool, int]] = {}
        #: Where calls that were cancelled before everything was read are in the queue, and by which request.
        self._passed: dict[int, str] = {}
        #: What the scheduler is to be told: if the store fails in the middle of something, it is told later.
        self._untold: list[Event] = []
        #: Requests that are not answered in the log, with their offsets.
        self._requests: dict[str, int] = {}
        #: Those that wait until everything is read (with whether the call was there), for the scheduler's
        #: word, and for a record that is on its way.
        self._early: dict[str, tuple[End | Move, Row | None]] = {}
        self._moving: dict[str, tuple[Move, Row, int]] = {}
        self._later: dict[str, list[Move]] = {}
        #: Wishes to take out calls that are in the log, or about to be, and not acknowledged yet.
        self._late: dict[str, dict[str, End]] = {}

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
                        self._met(change, plain, events)
                    elif self._is_news(change):
                        if not change.owner[1]:
                            self._replace(change, events)
                        plain.append(self._placed(change))
                case End(request="", owner=(_, name)) if name:
                    if change.owner == self.owner:
                        self._met(change, plain, events)
                    elif not self._is_overdue(change):
                        plain.append(change)
                    elif not self.caught_up or self.store.get(change.id) is not None:
                        self._owe(change.id, change.offset)  # it may overrule what this one believed
                case End():
                    self._apply(plain, events)
                    self._cancel(change, events)
                case Move():
                    self._apply(plain, events)
                    self._asked(change, events)
                case Answered(request=request, verdict=verdict):
                    if verdict is Verdict.GONE:  # whoever said so will have it run
                        self._passed = {at: by for at, by in self._passed.items() if by != request}
                    self._requests.pop(request, None)
                    self._answered(request, verdict)
        self._read_to = position
        self._known_to = max(self._known_to, position)
        self._apply(plain, events, position)
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
                self._requests.pop(change.request, None)
            elif isinstance(change, Row | End) and self._unsure.pop(change.offset, None) is not None:
                self._landed(change, plain, events, wished=wished)
            elif isinstance(change, Row | End) and change.offset >= self._read_to:
                self._acked.add(change.offset)
                if isinstance(change, End):
                    of = None if change.of is None else self._hands.now(change.of)
                    self._ended[change.id] = (change.offset, of)
                self._landed(change, plain, events, wished=wished)
            elif isinstance(change, Row | End) and not wished:
                self._ordered.discard(change.id)  # it was read before, and what comes of it is known
        self._apply(plain, lanes)
        self._settle(events)
        return self._told()

    def _told(self) -> list[Event]:
        """What the scheduler is to be told."""
        told, self._untold = self._untold, []
        return told

    def refused(self, change: Change, *, wished: bool = False) -> None:
        """The log has not taken what this worker wrote, as far as is known."""
        if not isinstance(change, Row | End):
            self.wishes.append(change)
        elif not wished:
            self._ordered.discard(change.id)
            self._refused.add(change.id)
        elif change.of == self._asserting.get(change.id) or self._is_promised(change):
            self.wishes.append(change)  # or else it was read since: it is there all the same

    def may_write(self, change: Row | End) -> bool:
        """Whether the scheduler's word about a call may be written now; if not, read on and ask again.

        No other record of it may be on its way, and the one that it goes on from must have been read: there
        may be another one of an enqueuer before that.
        """
        of = -1 if change.of is None else self._hands.now(change.of)
        return of < self._known_to and not self._busy(change.id)

    def signed(self, change: Row | End) -> Row | End:
        """A change as this owner writes it, in the knowledge of what it goes on from; it is on its way."""
        of = change.of if change.of is None or change.of < 0 else self._hands.now(change.of)
        self._ordered.add(change.id)
        return replace(change, owner=self.owner, of=of)

    def _busy(self, call_id: str) -> bool:
        return call_id in self._ordered or call_id in self._asserting or call_id in self._promised

    def _apply(self, plain: list[Row | End], events: list[Event], position: int | None = None) -> None:
        if not plain and position is None:
            return
        applied = self.store.apply(plain, None if position is None else self._safe(position))
        self._outlet.changed()
        for call_id in applied.survivors:
            last = max(change.offset for change in plain if change.id == call_id)
            row = self.store.get(call_id)
            # Or else something later has put it right, or it is older than what is so, and that is met yet.
            if row is not None and row.offset != last:
                self._owe(call_id, last)
        if applied.survivors and position is not None:
            self.store.apply((), self._safe(position))
        plain.clear()
        if self.caught_up:
            events += [LaneDue(self.place, key, 0) for key in applied.lanes]

    def _safe(self, position: int) -> int:
        """From where on the log is to be read by whoever comes next."""
        owed = (first for first, _ in self._owed.values())
        return min([position, *self._requests.values(), *owed, *self._unsure])

    def _is_news(self, row: Row) -> bool:
        """Whether a call that somebody else wrote is to be taken in."""
        if row.owner[1]:
            if self._is_overdue(row):
                self._owe(row.id, row.offset)
                return False
            if not self.caught_up and self._is_void(row):
                return False
        if row.id in self._ended:
            # The store is made anew, and what ends it is not read again yet.
            offset, of = self._ended[row.id]
            return offset < row.offset or (of is not None and of < row.offset)
        return True

    def _is_overdue(self, change: Row | End) -> bool:
        """Whether an earlier owner, who does not know that it is one, wrote it after this one took over."""
        return self._since is not None and change.offset >= self._since and change.owner < self.owner

    def _replace(self, row: Row, events: list[Event]) -> None:
        """Somebody puts in a call: have an earlier one of that id let go of."""
        self._cancelled.pop(row.id, None)
        moves = self._later.pop(row.id, [])
        for move in moves:
            if move.offset < row.offset:
                self._say(move.request, Verdict.GONE)
            else:
                self._later.setdefault(row.id, []).append(move)
        now = self._hands.find(row.id)
        if now is not None and now < row.offset:
            events.append(CancelAsked(self.place, self._hands.given(now), ""))
            self._hands.back(now)

    def _is_void(self, row: Row) -> bool:
        """Whether a call was cancelled before an owner wrote that it goes on."""
        until, was_there, at = self._cancelled.get(row.id, (-1, False, -1))
        first = row.of < 0 and was_there  # once more from the queue, in ignorance
        if not (first or 0 <= row.of < until or row.offset < until):
            return False
        self._cancelled[row.id] = (max(until, row.offset + 1), was_there, at)  # nor what goes on from there
        self._owe(row.id, row.offset, at)
        return True

    def _met(self, change: Row | End, plain: list[Row | End], events: list[Event]) -> None:
        """Take in what this worker wrote, as it is read."""
        if change.offset not in self._acked:
            if self._is_limbo(change):
                self._unsure[change.offset] = change.id
            elif self._is_wished(change):
                self._landed(change, plain, events, wished=True)
            elif isinstance(change, End) and self._ended.get(change.id, (-1,))[0] == change.offset:
                plain.append(replace(change, of=self._ended.pop(change.id)[1]))  # into a store made anew
            elif isinstance(change, Row) and change.offset in self._hands:
                self._apply(plain, events)  # whatever a reader would think of it, this one is what was given
                row = self.store.get(change.id)
                plain.append(self._placed(change if row is None else replace(change, of=row.offset)))
            elif not self._is_copy(change):
                plain.append(self._placed(change) if isinstance(change, Row) else change)
            return
        self._acked.discard(change.offset)
        if isinstance(change, End):
            if self._ended.get(change.id, (-1,))[0] == change.offset:
                del self._ended[change.id]
            plain.append(change)
        elif self._is_news_again(change):
            plain.append(self._placed(change))

    def _is_copy(self, change: Row | End) -> bool:
        """Whether what is read says once more what is known, or over; a reader may take it for news."""
        if isinstance(change, End):
            return False
        if self.caught_up:
            self._owe(change.id, change.offset)
            return True
        return not self._is_news_again(change)

    def _is_limbo(self, change: Row | End) -> bool:
        """Whether the scheduler ordered what is read, and does not know yet that it is there.

        If it never does, because it was refused, it will order the same again.
        """
        if change.id not in self._ordered and change.id not in self._refused:
            return False
        first = change.of is not None and change.of < 0
        return not self._hands.knows(change.offset) and (first or self._hands.knows(change.of))

    def _is_wished(self, change: Row | End) -> bool:
        """Whether what is read comes from ``wishes``, and not from the scheduler."""
        if not self._is_promised(change) and self._asserting.get(change.id, -2) != change.of:
            return False
        return change.id not in self._ordered or not self._hands.knows(change.of)

    def _is_promised(self, change: Row | End) -> bool:
        """Whether it moves a call as somebody wished."""
        return self._promised.get(change.id, ("", None))[1] == change.of is not None

    def _is_news_again(self, row: Row) -> bool:
        """Whether a call that was taken in when it was acknowledged is to be taken in when it is read."""
        ended = self._ended.get(row.id)
        if ended is not None and ended[0] > row.offset and (ended[1] is None or ended[1] >= row.offset):
            return False
        return not self._is_void(row)

    def _landed(
        self, change: Row | End, plain: list[Row | End], events: list[Event], *, wished: bool
    ) -> None:
        """Take in what this worker wrote, as soon as it is known to be in the log."""
        call_id = change.id
        lanes: list[Event] = events if wished else []  # of its own the scheduler need not be told
        if wished:
            self.wishes = [wish for wish in self.wishes if not _is_same(wish, change)]
            if self._is_promised(change):
                self._held.pop(call_id, None)
                self._say(self._promised.pop(call_id)[0], Verdict.MOVED)
            elif self._asserting.get(call_id, -2) == change.of:
                del self._asserting[call_id]
                if self._owed.get(call_id, (0, -1))[1] <= (change.of or 0):
                    self._owed.pop(call_id, None)
                self._apply(plain, lanes)
                if isinstance(change, Row) and self._kept(change):
                    return
            else:
                self._owe(call_id, change.offset)  # it was read before, and this is said once more
                return
        else:
            self._ordered.discard(call_id)
            self._refused.discard(call_id)
            for offset in [o for o, name in self._unsure.items() if name == call_id]:
                del self._unsure[offset]
                self._owe(call_id, max(offset, change.offset))  # to a reader, that one may be what counts
            if change.of is not None and change.of >= 0:
                now = self._hands.back(change.of)
                if now > change.of:
                    # It is the same call, but a reader of the log cannot know.
                    self._owe(call_id, change.offset)
                    change = replace(change, of=now)
        if isinstance(change, End):
            plain.append(change)
        elif not self._is_void(change):
            plain.append(self._placed(change))
        if call_id in self._late:
            self._apply(plain, lanes)
            for end in self._late.pop(call_id).values():
                row = self.store.get(call_id)
                if row is not None and row.offset > end.offset and not row.owner[1]:
                    row = None  # somebody has put in another one since
                self._take_out(end, row, events, pending=False)
            self._owe(call_id, change.offset)

    def _kept(self, change: Row) -> bool:
        """Have a call at a later place in the log, if somebody has it in hand: it stays there."""
        row = self.store.get(change.id)
        if row is None or row.offset > change.of:
            return False
        held = self._held.get(change.id) == row.offset
        if not held and row.offset not in self._hands:
            return False
        self.store.apply([self._placed(change)], None)
        self.store.hold([change.offset])
        if held:
            self._held[change.id] = change.offset
        else:
            self._hands.move(row.offset, change.offset)
        return True

    def _placed(self, row: Row) -> Row:
        """A call with its rank as it is in the queue's topic of today."""
        if row.rank is None or not row.topic_id or not self._topic_id or row.topic_id == self._topic_id:
            return row
        place, turn = row.rank
        return replace(row, rank=(place + _BEFORE, turn)) if place >= 0 else row

    # --- what the log does not say ---------------------------------------------------------------

    def _owe(self, call_id: str, offset: int, since: int | None = None) -> None:
        """The record at this offset is the last one of a call, and does not say what is so.

        ``since``: where the log says what is so, if that is not met by whoever reads from this record on.
        """
        first, last = self._owed.get(call_id, (offset, offset))
        self._owed[call_id] = (min(first, offset if since is None else since), max(last, offset))

    def _settle(self, events: list[Event]) -> None:
        """Write what is owed, and do what had to wait, of calls of which nothing is on its way."""
        if not self.caught_up:
            return
        for call_id in [i for i in self._later if not self._busy(i) and i not in self._refused]:
            if self._is_asked(call_id) or call_id in self._unsure.values():
                continue
            for move in self._later.pop(call_id):
                self._move(move, events)
        for call_id, (_, last) in list(self._owed.items()):
            if self._busy(call_id) or last >= self._known_to:
                continue
            row = self.store.get(call_id)
            of = last if row is None else max(row.offset, last)
            if row is None:
                self.wishes.append(End(id=call_id, of=of, owner=self.owner))
            elif row.offset < self._known_to:
                self.wishes.append(replace(row, owner=self.owner, of=of, offset=-1))
            else:
                continue
            self._asserting[call_id] = of

    def lift(self, call_ids: Sequence[str]) -> None:
        """Write calls once more, as they are, so that their records of now are needed no longer.

        Not those that are not here, or of which a record is on its way.
        """
        for call_id in call_ids:
            row = self.store.get(call_id)
            if row is not None and row.offset < self._known_to and not self._busy(call_id):
                self.wishes.append(replace(row, owner=self.owner, of=row.offset, offset=-1))
                self._asserting[call_id] = row.offset

    # --- wishes of others ------------------------------------------------------------------------

    def _cancel(self, end: End, events: list[Event]) -> None:
        """Somebody takes a call out, with or without wanting to know what comes of it."""
        row = self.store.get(end.id)
        in_hand = row is not None and row.offset in self._hands
        if not in_hand and end.id in self._unsure.values():
            # It is in the log, or is about to be written there again; that is to be known first.
            self._late.setdefault(end.id, {})[end.request] = end
            if end.request:
                self._requests.setdefault(end.request, end.offset)
            return
        if row is not None and end.offset < row.offset and not 0 <= row.of < end.offset:
            row = None  # it is another one, or went on in the knowledge of this
        self._take_out(end, row, events, pending=end.request in self._requests)
        if end.request:
            self._requests.setdefault(end.request, end.offset)  # now: if the store fails, it is read again

    def _take_out(self, end: End, row: Row | None, events: list[Event], *, pending: bool) -> None:
        if row is not None:
            # What goes on from before it is ended as well.
            self._apply([replace(end, of=None, offset=max(end.offset, row.offset + 1))], events)
            if not self.caught_up and row.source is not None:
                self._passed[row.source] = end.request
        self._cancelled.pop(end.id, None)
        until = end.offset if row is None else max(end.offset, row.offset + 1)
        self._cancelled[end.id] = (until, row is not None, end.offset)
        if len(self._cancelled) > _CANCELLED:
            del self._cancelled[next(iter(self._cancelled))]
        ahead = row is not None and row.offset > end.offset
        if ahead or self._busy(end.id):
            self._owe(end.id, end.offset)  # what is on its way goes on from before
        if row is not None and ahead:
            self._owe(end.id, row.offset)
        if row is not None and row.offset in self._hands:
            self._ask(end, row, events)
            return
        if row is not None and self._held.get(end.id, until) < until:
            del self._held[end.id]
        if not end.request or pending:
            return
        if self.caught_up:
            self._judge(end, row, events)
        else:
            self._early[end.request] = (end, row)

    def _judge(self, end: End, row: Row | None, events: list[Event]) -> None:
        """Answer whoever took out a call that nobody has in hand."""
        if row is not None and row.source is not None:
            self._ask(end, row, events)  # it is not certain before the queue's offset is committed
        else:
            self._say(end.request, Verdict.GONE if row is None else Verdict.CANCELLED)

    def _ask(self, end: End, row: Row, events: list[Event]) -> None:
        """Let the scheduler say what becomes of a call that is taken out."""
        given = self._hands.given(row.offset)
        self._hands.back(row.offset)
        self._refused.discard(end.id)
        for offset in [o for o, name in self._unsure.items() if name == end.id]:
            del self._unsure[offset]
        events.append(CancelAsked(self.place, given, end.request, row.source))

    def _asked(self, move: Move, events: list[Event]) -> None:
        """Somebody wants a call to be due at another time."""
        if move.request in self._requests:
            return  # it was read before, and is being seen to
        if self.caught_up:
            self._move(move, events)
        else:
            self._early[move.request] = (move, None)
        self._requests[move.request] = move.offset

    def _answered(self, request: str, verdict: Verdict) -> None:
        """Whoever had the partition before has answered a wish that was read before everything was."""
        wish, _ = self._early.pop(request, (None, None))
        if isinstance(wish, Move) and verdict is Verdict.MOVED:
            self._note_moved(wish)
        elif isinstance(wish, End) and verdict is Verdict.GONE and wish.id in self._cancelled:
            until, _, at = self._cancelled[wish.id]
            self._cancelled[wish.id] = (until, False, at)

    def _note_moved(self, move: Move) -> None:
        self._moved[move.id] = max(move.offset, self._moved.get(move.id, -1))
        if len(self._moved) > _CANCELLED:
            del self._moved[next(iter(self._moved))]

    def _is_moved(self, move: Move) -> bool:
        """Whether a call has been moved as somebody wished, or since then, or another one put in."""
        row = self.store.get(move.id)
        if row is None or row.offset < move.offset:
            return False
        return row.due_ms == move.due_ms or (row.of < 0 and not row.owner[1])

    def _move(self, move: Move, events: list[Event]) -> None:
        """Let a call be due at another time; it gives up its place in the order of its key."""
        row = self.store.get(move.id)
        if row is None and move.id in self._unsure.values():
            self._later.setdefault(move.id, []).append(move)
        elif row is None:
            self._say(move.request, Verdict.GONE)
        elif self._moved.get(move.id, -1) > move.offset:
            self._say(move.request, Verdict.MOVED)
        elif self._is_asked(move.id):
            self._later.setdefault(row.id, []).append(move)
        elif row.offset in self._hands:
            given = self._hands.given(row.offset)
            self._moving[move.request] = (move, row, given)
            events.append(MoveAsked(self.place, given, move.request, row.source))
        elif row.source is not None and row.id not in self._held:
            # Without its place nothing tells that the queue's is not to come: not before the group knows.
            self.store.hold([row.offset])
            self._held[row.id] = row.offset
            self._moving[move.request] = (move, row, row.offset)
            events.append(MoveAsked(self.place, row.offset, move.request, row.source))
        elif row.of < 0 and self._held.get(move.id, row.offset) != row.offset:
            del self._held[move.id]  # somebody has put in another one since
            self._say(move.request, Verdict.MOVED)
        else:
            self._put_off(row, move)

    def _is_asked(self, call_id: str) -> bool:
        """Whether the scheduler is asked about a call that somebody wants to be moved."""
        return any(move.id == call_id for move, _, _ in self._moving.values())

    def _put_off(self, row: Row, move: Move) -> None:
        """Write that a call that nobody has in hand is due at another time."""
        if self._busy(row.id) or row.offset >= self._known_to:
            self._later.setdefault(row.id, []).append(move)
            return
        if self._moved.get(row.id, -1) > move.offset:
            self._say(move.request, Verdict.MOVED)
            return
        self._note_moved(move)
        self.store.hold([row.offset])
        self._held[row.id] = row.offset
        self._promised[row.id] = move.request, row.offset
        self.wishes.append(replace(moved(row, move.due_ms), owner=self.owner))

    def answer(self, request: str, verdict: Verdict) -> None:
        """Tell whoever asked what becomes of a call, and see to it."""
        asked = self._moving.get(request)
        if asked is not None and verdict is Verdict.UNKNOWN:
            del self._moving[request]
            self._later.setdefault(asked[0].id, []).append(asked[0])
            return
        if asked is None or not verdict:
            self._moving.pop(request, None)
            self._say(request, verdict)
            return
        move, row, given = asked
        if given < 0:
            del self._moving[request]
            self._later.setdefault(move.id, []).append(move)  # it was given back, and may be in hand again
            return
        now = self._hands.now(given)
        found = self.store.get(move.id) if self.caught_up else replace(row, offset=now)
        self._hands.back(given)
        del self._moving[request]
        if found is None or (found.offset != now and not found.owner[1]):
            self._say(request, verdict)  # somebody has taken it out since, or put in another one
        elif found.offset != now:
            self._later.setdefault(move.id, []).append(move)  # it went on, and may be in hand again
        else:
            self._held[move.id] = now
            self._put_off(found, move)

    def _say(self, request: str, verdict: Verdict) -> None:
        if request:
            self.wishes.append(Answered(request=request, verdict=verdict))

    # --- the scheduler ---------------------------------------------------------------------------

    def begin_anew(self, store: DeferredStore) -> None:
        """The index was lost: here is another one, into which the log will be read from its position."""
        self.store = store
        self.caught_up = False
        self._read_to = min(self._read_to, store.position)
        self._outlet.begin_anew(store)
        self._acked.clear()
        self._unsure.clear()
        self._owed.clear()
        for request in self._early:
            self._requests.pop(request, None)
        self._early.clear()

    def catch_up(self) -> list[Event]:
        """Everything that was in the log is read: tell what there is, and answer who asked meanwhile."""
        self.caught_up = True
        if self._since is None:
            self._since = self._known_to
        self.store.hold([*self._hands, *self._held.values()])
        lanes = self.store.lanes()
        sources = {*self.store.sources(self._read_from), *self._passed}
        events = self._untold
        events.append(CaughtUp(self.place, tuple(lanes), sources, self.store.last_turn()))
        for call_id, (_, last) in list(self._owed.items()):
            row = self.store.get(call_id)
            if row is not None and row.offset > last:
                del self._owed[call_id]  # somebody has paid
        early, self._early = self._early, {}
        for wish, _ in early.values():
            if isinstance(wish, Move) and self._is_moved(wish):
                self._note_moved(wish)
        for request, (wish, row) in early.items():
            if isinstance(wish, End):
                self._judge(wish, row, events)
            elif self._is_moved(wish):
                self._say(request, Verdict.MOVED)
            else:
                self._move(wish, events)
        self._settle(events)
        self._outlet.changed()
        return self._told()

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
        for request, (move, row, given) in self._moving.items():
            if given in offsets and self._hands.knows(given):
                self._moving[request] = (move, row, -1)
        self._outlet.release(offsets)


def _is_same(wish: Change, change: Row | End) -> bool:
    return isinstance(wish, Row | End) and (wish.id, wish.of) == (change.id, change.of)
