"""The rules between the log of one partition and what the scheduler hears of it.

A shelf is a store with a memory of what this worker has written and what is in the scheduler's hands. It
does no I/O but the store's: what is to be written to the log it leaves in ``wishes``, and what happened is
told by ``acknowledged`` (of what this worker wrote) and ``read`` (of everything).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from ..core.deferred import Answered, Change, End, Kind, Move, Row, Verdict, moved
from ..core.events import CancelAsked, CaughtUp, Due, Event, LaneDue, LaneFetched, MoveAsked, Place
from ..core.ports import DeferredStore

#: Calls of a kind that one partition may have in the scheduler's hands.
ROOM = 1000
#: Lanes of which it is told that they are due, and that are not fetched yet.
_LANES = 10_000
#: Calls of a lane that are fetched at a time.
BATCH = 32
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
    """

    def __init__(
        self, place: Place, store: DeferredStore, *, epoch: int, name: str, topic_id: str, read_from: int
    ) -> None:
        self.place = place
        self.store = store
        self.owner = (epoch, name)
        self.caught_up = False
        #: What is to be written to the log, in this order.
        self.wishes: list[Change] = []
        self._topic_id = topic_id
        self._read_from = read_from
        self._acked: set[int] = set()
        self._read_unacked: set[int] = set()
        self._ahead: dict[str, int] = {}
        self._stale: dict[str, int] = {}
        self._out: dict[int, Kind] = {}
        self._out_by_kind: Counter[Kind] = Counter()
        self._told: set[bytes] = set()
        self._requests: dict[str, int] = {}
        self._moving: dict[str, Move] = {}
        self._promised: dict[str, str] = {}
        self._early_requests: list[tuple[End | Move, bool]] = []
        self._next: dict[Kind, int | None] | None = None

    # --- the log ---------------------------------------------------------------------------------

    def read(self, changes: Sequence[Change], position: int) -> list[Event]:
        """Take in the next records of the log, of whoever wrote them.

        Args:
            changes: in the order of the log.
            position: one past the last offset that was read.
        """
        events: list[Event] = []
        plain: list[Row | End] = []
        for change in changes:
            match change:
                case Row():
                    if self._is_news(change):
                        plain.append(self._placed(change))
                case End(request="", owner=(_, name)) if name:
                    if not self._mine_already(change):
                        plain.append(change)
                case End():
                    self._apply(plain, events)
                    self._cancel(change, events)
                case Move():
                    self._apply(plain, events)
                    self._requests[change.request] = change.offset
                    if self.caught_up:
                        self._move(change, events)
                    else:
                        self._early_requests.append((change, False))
                case Answered(request=request):
                    self._requests.pop(request, None)
                    self._early_requests = [e for e in self._early_requests if e[0].request != request]
        self._apply(plain, events, min([position, *self._requests.values()]))
        return events

    def acknowledged(self, changes: Sequence[Change], *, wished: bool = False) -> list[Event]:
        """The log has what this worker wrote; each change with the offset it has there.

        ``wished``: they come from ``wishes``, and not from the scheduler, who does not know of them.
        """
        events: list[Event] = []
        plain: list[Row | End] = []
        for change in changes:
            if isinstance(change, Answered):
                self._requests.pop(change.request, None)
                continue
            if not isinstance(change, Row | End):
                continue
            if change.of is not None and change.of >= 0:
                self._back(change.of)
            if wished and (request := self._promised.pop(change.id, None)) is not None:
                self.answer(request, Verdict.MOVED)
            if change.offset in self._read_unacked:
                self._read_unacked.discard(change.offset)
                continue
            self._acked.add(change.offset)
            self._ahead[change.id] = change.offset
            plain.append(self._placed(change) if isinstance(change, Row) else change)
        self._apply(plain, events if wished else [])
        return events

    def _apply(self, plain: list[Row | End], events: list[Event], position: int | None = None) -> None:
        if not plain and position is None:
            return
        applied = self.store.apply(plain, position)
        plain.clear()
        self._next = None
        for call_id in applied.survivors:
            self._assert(call_id)
        if self.caught_up:
            events += [LaneDue(self.place, key, 0) for key in applied.lanes]

    def _is_news(self, row: Row) -> bool:
        """Whether a call that was read is to be taken in."""
        if row.owner[1]:
            return not (self._mine_already(row) or self._is_stale(row))
        if self._ahead.get(row.id, -1) > row.offset:
            # This worker ended an earlier call of that id before it knew of this one. Compaction would keep
            # that only, so this one is written once more.
            self.wishes.append(replace(row, owner=self.owner, offset=-1))
            return False
        return True

    def _mine_already(self, change: Row | End) -> bool:
        """Whether this worker wrote it, and has taken it in."""
        if change.owner != self.owner:
            return False
        if change.offset not in self._acked:
            if self.caught_up:
                self._read_unacked.add(change.offset)
            return False
        self._acked.discard(change.offset)
        if self._ahead.get(change.id) == change.offset:
            del self._ahead[change.id]
        # While an index is made anew, what was written in the meantime is met in the order of the log, and an
        # end must be met again after what it ends.
        return self.caught_up and isinstance(change, Row)

    def _is_stale(self, row: Row) -> bool:
        """Whether an earlier owner, who does not know that it is one, wrote it after this one took over."""
        if not self.caught_up or row.owner == self.owner or row.owner[0] > self.owner[0]:
            return False
        if self.store.taken(row.id):
            self._stale[row.id] = row.offset
        else:
            self._assert(row.id)
        return True

    def _assert(self, call_id: str) -> None:
        """Write once more what is so of a call, because its last record in the log says otherwise."""
        row = self.store.get(call_id)
        if row is None:
            self.wishes.append(End(id=call_id, owner=self.owner))
        elif not self.store.taken(call_id):
            self.wishes.append(replace(row, owner=self.owner, of=-1, offset=-1))

    def _placed(self, row: Row) -> Row:
        """A call with its rank as it is in the queue's topic of today."""
        if row.rank is None or not row.topic_id or not self._topic_id or row.topic_id == self._topic_id:
            return row
        place, turn = row.rank
        return replace(row, rank=(place + _BEFORE, turn)) if place >= 0 else row

    def signed(self, change: Row | End) -> Row | End:
        """A change as this owner writes it, in the knowledge of what it ends or replaces."""
        of = change.of
        if of is not None and of >= 0:
            of = max(of, self._stale.pop(change.id, of))
        return replace(change, owner=self.owner, of=of)

    # --- wishes of others ------------------------------------------------------------------------

    def _cancel(self, end: End, events: list[Event]) -> None:
        """Somebody takes a call out, with or without wanting to know what comes of it."""
        row = self.store.get(end.id)
        held = row is not None and self.store.taken(end.id)
        if self._ahead.get(end.id, -1) > end.offset:
            self.wishes.append(End(id=end.id, owner=self.owner))
        self._apply([replace(end, of=None)], events)
        if not self.caught_up:
            if end.request:
                self._requests[end.request] = end.offset
                self._early_requests.append((end, row is not None))
        elif row is not None and held:
            self._back(row.offset)
            events.append(CancelAsked(self.place, row.offset, end.request))
        else:
            self.answer(end.request, Verdict.GONE if row is None else Verdict.CANCELLED)

    def _move(self, move: Move, events: list[Event]) -> None:
        """Somebody wants a call to be due at another time; it gives up its place in the order of its key."""
        row = self.store.get(move.id)
        if row is None:
            self.answer(move.request, Verdict.GONE)
        elif self.store.taken(move.id):
            self._moving[move.request] = move
            events.append(MoveAsked(self.place, row.offset, move.request))
        else:
            self._put_off(row, move)

    def _put_off(self, row: Row, move: Move) -> None:
        self.wishes.append(replace(moved(row, move.due_ms), owner=self.owner))
        self._promised[row.id] = move.request

    def answer(self, request: str, verdict: Verdict) -> None:
        """Tell whoever asked what becomes of a call, and see to it."""
        move = self._moving.pop(request, None)
        row = None if move is None or not verdict else self.store.get(move.id)
        if move is not None and row is not None:
            self._put_off(row, move)
        elif request:
            self.wishes.append(Answered(request=request, verdict=verdict))

    # --- the scheduler ---------------------------------------------------------------------------

    def begin_anew(self, store: DeferredStore) -> None:
        """The index is lost: here is an empty one, into which the log will be read from its beginning."""
        self.store = store
        self.caught_up = False
        self._told.clear()
        self._read_unacked.clear()
        self._early_requests.clear()
        self._next = None

    def catch_up(self) -> list[Event]:
        """Everything that was in the log is read: tell what there is, and answer who asked meanwhile."""
        self.caught_up = True
        self.store.hold(self._out)
        lanes = self.store.lanes()
        sources = self.store.sources(self._read_from)
        events: list[Event] = [CaughtUp(self.place, tuple(lanes), sources, self.store.last_turn())]
        early, self._early_requests = self._early_requests, []
        for request, was_there in early:
            if isinstance(request, Move):
                self._move(request, events)
            else:
                self.answer(request.request, Verdict.CANCELLED if was_there else Verdict.GONE)
        self._next = None
        return events

    def look(self, now_ms: int, end: Callable[[], int]) -> list[Event]:
        """What is due.

        Args:
            now_ms: the present (ms since the epoch).
            end: asks for the end of the queue's log.
        """
        events: list[Event] = []
        for kind, due_ms in self._times().items():
            room = self._room(kind)
            if due_ms is None or due_ms > now_ms or room <= 0:
                continue
            self._next = None
            if kind is Kind.RANKED:
                for row in self.store.due(kind, now_ms, room):
                    assert row.lane is not None
                    self._told.add(row.lane)
                    events.append(LaneDue(self.place, row.lane, row.needs))
                continue
            upto = end() if kind is Kind.DATED else 0
            rows = self.store.due(kind, now_ms, room)
            self._hand_out(rows)
            events.append(Due(self.place, rows, upto))
        return events

    def next_due(self) -> int | None:
        """When :meth:`look` will have something to tell (ms since the epoch)."""
        if not self.caught_up:
            return None
        return min(
            (due for kind, due in self._times().items() if due is not None and self._room(kind) > 0),
            default=None,
        )

    def _times(self) -> dict[Kind, int | None]:
        if self._next is None:
            self._next = {kind: self.store.next_due(kind) for kind in Kind}
        return self._next

    def _room(self, kind: Kind) -> int:
        if kind is Kind.RANKED:
            return min(ROOM - self._out_by_kind[kind], _LANES - len(self._told))
        return ROOM - self._out_by_kind[kind]

    def lane(self, key: bytes, read: int, now_ms: int) -> LaneFetched:
        """The next calls of a lane."""
        self._told.discard(key)
        rows, head = self.store.lane(key, read, now_ms, BATCH)
        self._hand_out(rows)
        self._next = None
        return LaneFetched(self.place, key, rows, head)

    def release(self, offsets: Collection[int]) -> None:
        """The scheduler gives calls back that it has not begun."""
        for offset in offsets:
            self._back(offset)
        self.store.release(offsets)
        self._next = None

    def _hand_out(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._out[row.offset] = row.kind
            self._out_by_kind[row.kind] += 1

    def _back(self, offset: int) -> None:
        kind = self._out.pop(offset, None)
        if kind is not None:
            self._out_by_kind[kind] -= 1
