"""What the scheduler does about calls that wait in the deferred store.

Two ways in: an enqueuer puts a delayed call there, and the scheduler defers what must wait for long, with
everything behind it in its lane. One way out: when their time has come, calls come from the store as
entries, take their place in the order of their key, run, and are erased.

    defer:   produced ─► acknowledged ─► the offset is finished
    finish:  done ─► erased (acknowledged) ─► what is behind it in the queue may follow
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import assert_never

from .certainty import Pending, answered
from .commands import Answer, Command, Defer, Erase, FetchLane, Release
from .deferred import Row, Verdict
from .events import (
    CancelAsked,
    CaughtUp,
    Certain,
    Deferred,
    Due,
    Erased,
    LaneDue,
    LaneFetched,
    MoveAsked,
    NotDeferred,
    NotErased,
    NotSaved,
    OfEntry,
    Place,
    SaveAsked,
    Saved,
)
from .partition import Entry, Partition
from .ports import Record
from .saving import Saves
from .stored import StoredLane
from .transfer import StoredRecord, row_of

#: Seconds before something that the store did not take is tried again.
PAUSE = 2.0


class Deferral:
    """The scheduler's part that knows of the deferred store.

    Args:
        offer: lets an entry that is the head of its lane begin, when it may.
        command: takes a command.
        later: brings an entry back at a time (epoch seconds).
        opened: what the store has of a partition is known.
        finished: takes in entries whose attempts have ended.
        leased: whether calls may begin at a time (epoch seconds).
    """

    def __init__(
        self,
        *,
        offer: Callable[[Entry, float], None],
        command: Callable[[Command], None],
        later: Callable[[float, Entry], None],
        opened: Callable[[Partition, float], None],
        finished: Callable[[Sequence[Entry], float], None],
        leased: Callable[[float], bool],
    ) -> None:
        self._offer = offer
        self._command = command
        self._later = later
        self._opened = opened
        #: Lanes that are being fetched.
        self.asked: set[tuple[Place, bytes]] = set()
        self.saves = Saves(command=command, later=later, finished=finished, leased=leased)

    def told(
        self,
        partition: Partition | None,
        event: CaughtUp | Due | LaneDue | LaneFetched | CancelAsked | MoveAsked,
        now: float,
    ) -> None:
        """Take in what the store tells of a partition; None if it is not ours any more."""
        if partition is None:
            return
        match event:
            case CaughtUp():
                self._caught_up(partition, event, now)
            case Due():
                self._due(partition, event, now)
            case LaneDue():
                self._lane_due(partition, event)
            case LaneFetched():
                self._lane_fetched(partition, event, now)
            case CancelAsked():
                self._cancel(partition, event)
            case MoveAsked():
                self._move(partition, event)
            case _:
                assert_never(event)

    def answered(self, event: OfEntry, now: float) -> None:
        """Take in what became of an entry that was given to the store, or what is to be saved of one."""
        if isinstance(event, SaveAsked | Saved | Certain | NotSaved):
            self.saves.told(event, now)
            return
        if event.entry.partition.closed:
            return
        match event:
            case Deferred(entry=entry):
                self._deferred(entry)
            case Erased(entry=entry):
                self._erased(entry, now)
            case NotDeferred(entry=entry) | NotErased(entry=entry):
                if entry.row is None:
                    entry.partition.stored.writes -= (
                        1  # the queue has it still, and the commit how often it failed
                    )
                # Otherwise it counts as being written: if the worker left now, the call would run again.
                self._later(now + PAUSE, entry)

    # --- reading the queue -----------------------------------------------------------------------

    def _caught_up(self, partition: Partition, event: CaughtUp, now: float) -> None:
        """The store has told what it has: now the queue may be read."""
        stored = partition.stored
        stored.sources.update(offset for offset in event.sources if offset >= partition.next_offset)
        stored.last_turn = max(stored.last_turn, event.last_turn)
        for key in event.lanes:
            stored.lanes.setdefault(key, StoredLane())
        if stored.caught_up:
            # The store's index was made anew, and what it was asked before will not be answered.
            for key, lane in stored.lanes.items():
                lane.asked = False
                self._ask(partition, key)
            return
        stored.caught_up = True
        records, end = partition.unstash()
        self.fetched(partition, records, now)
        self.skipped(partition, end, now)
        self._opened(partition, now)

    def fetched(self, partition: Partition, records: Sequence[Record], now: float) -> None:
        """Take in records of the queue, of which some may have to do with what is in the store."""
        stored = partition.stored
        if not stored.caught_up:
            partition.stash(records)
            return
        for record in records:
            offset = record.offset()
            self._keep_appointments(partition, offset, now)
            if offset in stored.sources:
                stored.sources.discard(offset)
                partition.pass_over(offset)
                continue
            entry = partition.take_in(record)
            if entry is None:
                continue
            if entry.key is not None and entry.key in stored.lanes:
                self._park(entry)
            elif partition.join_lane(entry):
                self._offer(entry, now)
        self._read_on(partition, now)

    def skipped(self, partition: Partition, offset: int, now: float) -> None:
        """Nothing below an offset will be fetched any more."""
        if not partition.stored.caught_up:
            partition.stash_end = max(partition.stash_end, offset)
            return
        partition.skip_to(offset)
        self._read_on(partition, now)

    def forget(self, partition: Partition) -> None:
        """A partition was taken away."""
        self.asked = {(place, key) for place, key in self.asked if place != partition.place}
        self.saves.forget(partition)

    def _read_on(self, partition: Partition, now: float) -> None:
        """The queue has been read further: those that waited for it may take their places."""
        stored = partition.stored
        self._keep_appointments(partition, partition.next_offset, now)
        while stored.unread and stored.unread[0][0] <= partition.next_offset:
            self._ask(partition, heapq.heappop(stored.unread)[1])

    def _keep_appointments(self, partition: Partition, read: int, now: float) -> None:
        appointments = partition.stored.appointments
        while appointments and appointments[0][0] <= read:
            self._take_place(heapq.heappop(appointments)[2], now)

    # --- calls come from the store ---------------------------------------------------------------

    def _due(self, partition: Partition, event: Due, now: float) -> None:
        """Calls whose time has come: those with a key take their place behind what is in the queue."""
        stored = partition.stored
        # What was written to the queue since the store looked may have begun already.
        place = max(event.end, partition.next_offset)
        for row in event.rows:
            entry = self._entry(partition, row)
            if row.lane is None:
                self._offer(entry, now)
                continue
            stored.last_turn += 1
            entry.rank = (place, stored.last_turn)
            if partition.next_offset >= place:
                self._take_place(entry, now)
            else:
                heapq.heappush(stored.appointments, (*entry.rank, entry))

    def _take_place(self, entry: Entry, now: float) -> None:
        partition = entry.partition
        if entry.cancelled:
            self.withdraw(entry, now)
        elif entry.key in partition.stored.lanes:
            self._park(entry)
        elif partition.join_lane(entry):
            self._offer(entry, now)

    def _lane_due(self, partition: Partition, event: LaneDue) -> None:
        """A lane in the store has something to run, once the queue has been read far enough."""
        stored = partition.stored
        stored.lanes.setdefault(event.key, StoredLane())
        if event.needs <= partition.next_offset:
            self._ask(partition, event.key)
        else:
            heapq.heappush(stored.unread, (event.needs, event.key))

    def _lane_fetched(self, partition: Partition, event: LaneFetched, now: float) -> None:
        """The next calls of a lane are here; or there are none, and the lane is in memory again."""
        stored = partition.stored
        lane = stored.lanes.get(event.key)
        if lane is None:
            return
        lane.asked = False
        self.asked.discard((partition.place, event.key))
        for row in event.rows:
            entry = self._entry(partition, row)
            if partition.join_lane(entry):
                self._offer(entry, now)
        if event.rows:
            return
        if event.head is None:
            if not lane.writes:
                del stored.lanes[event.key]
        elif event.head.needs > partition.next_offset:
            heapq.heappush(stored.unread, (event.head.needs, event.key))
        elif event.head.due_ms <= now * 1000:
            self._ask(partition, event.key)  # the queue was read further since the store was asked

    def _ask(self, partition: Partition, key: bytes) -> None:
        """Fetch a lane, unless something of it is here or on its way."""
        lane = partition.stored.lanes.get(key)
        if lane is None or lane.asked or lane.writes or key in partition.tails:
            return
        lane.asked = True
        self.asked.add((partition.place, key))
        self._command(FetchLane(partition.place, key, partition.next_offset))

    def _entry(self, partition: Partition, row: Row) -> Entry:
        record = StoredRecord(row)
        offset = row.offset if row.source is None else row.source
        size, failures = len(record), row.failures
        # One without an order keeps its rank, too: it is what tells where in the queue it came from.
        entry = Entry(partition, offset, row.key, record, size, failures=failures, row=row, rank=row.rank)
        entry.crashes = row.crashes
        partition.stored.rows[row.offset] = entry
        return entry

    # --- calls go to the store -------------------------------------------------------------------

    def defer(self, entry: Entry, due: float, now: float, *, holds_lane: bool) -> None:
        """Put an entry that is not running into the store, to be due then; its lane goes with it.

        Args:
            entry: the head of its lane, or one without, or outside of its lane.
            due: not to start before (epoch seconds).
            now: the present (epoch seconds).
            holds_lane: later calls of its key wait for it, if it is in its lane. If not, the lane goes on.
        """
        partition, key = entry.partition, entry.key
        outside = entry.loose or (entry.row is not None and entry.row.relaxed)
        if key is None or outside or not holds_lane:
            self._write(entry, due, relaxed=key is not None)
            self._let_go(entry, now)
            return
        behind = partition.clear_lane(key, entry)[1:]
        partition.stored.lanes.setdefault(key, StoredLane())
        self._write(entry, due)
        self.send_back(behind)

    def shorten(self, head: Entry) -> None:
        """Park what is behind the head of a lane, but for what a slot may go on with by itself."""
        partition, last = head.partition, head
        while last.more and last.next is not None:
            last = last.next
        assert head.key is not None
        partition.stored.lanes.setdefault(head.key, StoredLane())
        self.send_back(partition.cut_lane(last))

    def send_back(self, behind: Sequence[Entry]) -> None:
        """Put entries that were taken out of their lane into the store, where their lane is."""
        released: list[int] = []
        for entry in behind:
            if entry.row is not None and (entry.row.rank is not None or entry.cancelled):
                del entry.partition.stored.rows[entry.row.offset]
                if not entry.cancelled:
                    released.append(entry.row.offset)  # the store has it already, with its rank
            else:
                self._park(entry)
        if released:
            self._command(Release(behind[0].partition.place, released))

    def _park(self, entry: Entry) -> None:
        """Put an entry behind those of its key that are in the store."""
        self._write(entry, entry.due if entry.row is None else entry.row.due_ms / 1000)

    def _write(self, entry: Entry, due: float, *, relaxed: bool = False) -> None:
        entry.deferral = row_of(entry, due, relaxed=relaxed)
        self._count(entry, 1)
        self._command(Defer(entry))

    def _deferred(self, entry: Entry) -> None:
        """The store has an entry: it need not be remembered here."""
        entry.deferral = None
        if entry.row is None:
            entry.partition.finish(entry)
        self._written(entry)

    def finished(self, entry: Entry, now: float) -> None:
        """A call of the store is through: take it out.

        What is behind it in the queue may follow only when that is acknowledged: it might be committed, and
        this one come again after a crash. What is behind it in the store may follow at once, because it is
        erased after it.
        """
        entry.ended = True
        self._count(entry, 1)
        self._command(Erase(entry))
        if entry.counted and entry.next is not None and entry.next.row is not None:
            self._let_go(entry, now)

    def _erased(self, entry: Entry, now: float) -> None:
        """The store has forgotten an entry."""
        entry.ended = False
        self._let_go(entry, now)
        self._written(entry)

    def _let_go(self, entry: Entry, now: float) -> None:
        """Let the lane of its head go on."""
        if (head := entry.partition.leave_lane(entry)) is not None:
            self._offer(head, now)
        else:
            self.lane_ended(entry.partition, entry.key)

    def _written(self, entry: Entry) -> None:
        partition = entry.partition
        if entry.row is not None:
            partition.stored.rows.pop(entry.row.offset, None)
        self._count(entry, -1)
        self.lane_ended(partition, entry.key)

    def try_again(self, entry: Entry, now: float) -> None:
        """Say once more to the store what it refused."""
        if entry.out:
            self.saves.try_again(entry, now)
            return
        if entry.row is None:
            entry.partition.stored.writes += 1
        if entry.cancelled and not entry.ended:
            # By somebody's wish the store has forgotten it meanwhile, or has it for another time.
            entry.deferral = None
            self._written(entry)
            return
        self._command(Erase(entry) if entry.ended else Defer(entry))

    def _count(self, entry: Entry, change: int) -> None:
        """One write of an entry more, or less, is under way; a lane in the store waits for its own."""
        stored = entry.partition.stored
        stored.writes += change
        lane = None if entry.key is None else stored.lanes.get(entry.key)
        if lane is not None and (entry.counted or change > 0):
            lane.writes += change
            entry.counted = change > 0

    def lane_ended(self, partition: Partition, key: bytes | None) -> None:
        """Nothing of a lane is in memory any more; there may be more of it in the store."""
        if key is not None and partition.stored.lanes:
            self._ask(partition, key)

    # --- somebody asks ---------------------------------------------------------------------------

    def _cancel(self, partition: Partition, event: CancelAsked) -> None:
        """Let a call of the store, which has forgotten it already, not begin, or not again."""
        entry = partition.stored.rows.get(event.offset)
        # If it is not here, it was given back, or never given: the store will not give it again.
        verdict = Verdict.CANCELLED
        if entry is not None:
            entry.cancelled = True
            verdict = Verdict.STARTED if begun(entry) else Verdict.CANCELLED
        if event.request:
            self._answer(partition, event, verdict)

    def _move(self, partition: Partition, event: MoveAsked) -> None:
        """Let a call of the store that has not begun go: the store brings it again at another time."""
        entry = partition.stored.rows.get(event.offset)
        # If it is not here, the store has it, and sees that nobody is given it.
        verdict = Verdict.MOVED
        if entry is not None and entry.deferral is not None:
            verdict = Verdict.UNKNOWN  # what is being written says how often it failed: ask again after that
        elif entry is not None:
            verdict = Verdict.STARTED if begun(entry) else Verdict.MOVED
            entry.cancelled |= verdict is Verdict.MOVED
        self._answer(partition, event, verdict)

    def _answer(self, partition: Partition, event: CancelAsked | MoveAsked, verdict: Verdict) -> None:
        if event.source is None:
            self._command(Answer(partition.place, event.request, verdict))
            return
        for answer in answered(partition, Pending(event.request, verdict, event.source)):
            self._command(answer)

    def withdraw(self, entry: Entry, now: float) -> None:
        """Forget an entry that is not to begin after all, by somebody's wish."""
        assert entry.row is not None
        entry.partition.stored.rows.pop(entry.row.offset, None)
        self._let_go(entry, now)


def begun(entry: Entry) -> bool:
    """Whether an entry of the store runs, or has."""
    return entry.out or entry.ended or entry.burial is not None
