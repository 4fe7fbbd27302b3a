"""A worker in one thread: the real scheduler and the real invoker, with memory around them."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import replace
from typing import assert_never

from msgspec.structs import asdict

from ..app import App
from ..context import state_of
from ..core.buffer import Bounds
from ..core.commands import (
    Answer,
    BuryEntry,
    CloseStore,
    Command,
    Commit,
    Defer,
    Dropped,
    Erase,
    FetchLane,
    Lease,
    OpenStore,
    Pause,
    Recall,
    Release,
    Resume,
    Retrying,
    Save,
    SaveAnswered,
    Start,
    Suspecting,
)
from ..core.commits import Rhythm
from ..core.deferred import Change, End, Move, Row, Verdict
from ..core.events import Assigned, Buried, Committed, Event, Fetched, Finished, Place, Recalled, SaveAsked
from ..core.outcome import OK, Condemned, Discarded, Failed, Outcome, Reason, Succeeded
from ..core.partition import Entry
from ..core.scheduler import Scheduler
from ..handle import Handle, row_id
from ..worker.fibres import Aside, AsyncCall
from ..worker.invoke import Invoker
from ..worker.report import Report, Totals
from .calls import DeadCall, RecordedCall, State
from .clock import FrozenClock, moment
from .fibres import PrivateLoop
from .keeper import MemoryKeeper
from .limits import enforced
from .log import DelayedCall, Log, StoredRecord, StoredRow
from .misuse import Misuse
from .saver import MemorySaver

#: Attempts in one go after which it is taken for endless.
MOST_ATTEMPTS = 100_000

#: There is memory enough for a test, nobody takes partitions away, and only an assignment needs a commit, and
#: an answer about a call that came from the queue.
_BOUNDS = Bounds(records=sys.maxsize, size=sys.maxsize)
_RHYTHM = Rhythm(steady=math.inf, urgent=0.0, idle=math.inf, lease=math.inf)


class Stepper:
    """Runs the calls of a log one after another, in the thread that asks for it.

    Args:
        app: whose jobs and middleware.
        log: the calls.
        clock: what the time is.
    """

    def __init__(self, app: App, log: Log, clock: FrozenClock) -> None:
        self.dead: list[DeadCall] = []
        self._app = app
        self._log = log
        self._clock = clock
        self._queues: dict[str, str] = {}
        self._report = Report(self._queues)
        # Without chains a key has its turn and then the next one, so what runs when is plain to see.
        self._scheduler = Scheduler(_BOUNDS, _RHYTHM, chain=1, metadata=sys.maxsize)
        self._ready: deque[Entry] = deque()
        self._keeper = MemoryKeeper(lambda: clock.milliseconds)
        self._saver = MemorySaver(self._save)
        self._loop = PrivateLoop()
        self._running = False
        self._lock = threading.Lock()
        #: One thread at a time may have to do with the scheduler: another may cancel a call while calls run.
        self._turn = threading.RLock()

    @property
    def totals(self) -> Totals:
        """What became of calls so far."""
        return replace(self._report.totals)

    def run(self, *, advance: bool) -> bool:
        """Run calls until none is left that may run; False if that is going on already.

        Args:
            advance: let time pass for those that wait for a time.
        """
        if not self._begin():
            return False
        steps = self._steps(advance)
        try:
            call = next(steps)
            while True:
                call = steps.send(self._loop.run(call.attempt))
        except StopIteration:
            return True
        finally:
            steps.close()

    async def arun(self, *, advance: bool) -> bool:
        """Run calls as :meth:`run` does, ``async def`` jobs in the running event loop."""
        if not self._begin():
            return False
        steps = self._steps(advance)
        try:
            call = next(steps)
            while True:
                call = steps.send(await _outcome(call))
        except StopIteration:
            return True
        finally:
            steps.close()

    def close(self) -> None:
        """End the event loop."""
        self._loop.close()

    # --- one call after another --------------------------------------------------------------------

    def _begin(self) -> bool:
        with self._lock:
            if self._running:
                return False
            self._running = True
            return True

    def _steps(self, advance: bool) -> Generator[AsyncCall, Outcome, None]:
        """Run calls; those of ``async def`` jobs are yielded to be run, and their outcomes sent in."""
        try:
            # Made anew each time: jobs, middleware and subscribers may have come since.
            invoker = Invoker(
                self._app.jobs,
                self._app.middleware,
                queues=self._queues,
                now=lambda: self._clock.instant,
                draw=lambda: 1.0,
            )
            attempts = 0
            while (entry := self._next(advance)) is not None:
                try:
                    outcome = self._attempt(invoker, entry)
                    if isinstance(outcome, AsyncCall):
                        outcome = yield outcome
                    _let_through(outcome)
                except BaseException:
                    self._give_back(entry)
                    raise
                self._ended(entry, outcome)
                attempts += 1
                if attempts >= MOST_ATTEMPTS:
                    raise Misuse(
                        f"{attempts:,} attempts were made and there are still calls to run, of late "
                        f"{self._call(entry)}. Does a job enqueue itself, or snooze, for ever? "
                        "drain(advance=False) runs only what is due now."
                    )
        except BaseException:
            self._running = False
            raise

    def _next(self, advance: bool) -> Entry | None:
        """The next entry to run; None if there is none, and then it is no longer running."""
        while True:
            with self._turn:
                self._feed()
                if self._ready:
                    return self._ready.popleft()
                due = self._next_due()
                if due is not None and (advance or due <= self._clock.instant):
                    self._clock.reach(due)
                    self._handle(())
                    continue
            with self._lock:
                # A thread that enqueues sees that this goes on, and leaves its call to it.
                if not self._log.unread:
                    self._running = False
                    return None

    def _next_due(self) -> float | None:
        """When the next call that waits is due (epoch seconds)."""
        stored = self._keeper.next_due_ms()
        dues = (self._scheduler.next_due(), None if stored is None else stored / 1000)
        return min((due for due in dues if due is not None), default=None)

    def _attempt(self, invoker: Invoker, entry: Entry) -> Outcome | AsyncCall:
        call = self._call(entry)
        call.state = State.RUNNING
        job = self._app.jobs.get(call.job)
        limited = job is not None and job.policy.timeout is not None and not job.is_async
        with enforced(invoker.limits) if limited else nullcontext():
            # What the job sets in its context, as the invoker does current(), is not the test's.
            outcome = copy_context().run(invoker.run, entry)
        assert not isinstance(outcome, Aside), "nothing else runs that it could wait for"
        return outcome

    def _ended(self, entry: Entry, outcome: Outcome) -> None:
        call = self._call(entry)
        call.attempts += _counts(outcome)
        call.error = outcome.error if isinstance(outcome, Failed | Condemned) else None
        call.state = State.SUCCEEDED if outcome is OK else State.WAITING
        if outcome is OK:
            self._report.finished(1)
        entry.outcome = outcome
        with self._turn:
            self._handle([Finished([entry])])
        if call.state in (State.WAITING, State.RETRYING):
            call.due = moment(entry.due)

    def _give_back(self, entry: Entry) -> None:
        """Take an attempt as not made, because it was broken off."""
        self._call(entry).state = State.WAITING
        with self._turn:
            self._handle([Recalled([entry])])

    # --- events in, commands out -------------------------------------------------------------------

    def _feed(self) -> None:
        """Give the scheduler what was enqueued since the last time, in that order, and what is due by now.

        What was due before a call was enqueued comes before it.
        """
        fetched: list[Event] = []
        for record in self._log.read():
            due_ms = self._keeper.next_due_ms()
            if isinstance(record, DelayedCall) or (due_ms is not None and due_ms <= record.written_ms):
                self._handle(fetched)
                fetched = []
            self._fall_due(record.written_ms)
            self._assign(record.place[0], record.call.queue)
            if isinstance(record, DelayedCall):
                self._put_in(record)
            else:
                fetched.append(Fetched(record.place, [record]))
        self._handle(fetched)
        self._fall_due(self._clock.milliseconds)

    def _fall_due(self, now_ms: int) -> None:
        """Let the store tell what is due by then."""
        while (due_ms := self._keeper.next_due_ms()) is not None and due_ms <= now_ms:
            self._handle(self._keeper.look(self._end, now_ms))

    def _end(self, place: Place) -> int:
        """How far the log of a queue was when what is told now happened: all of that is fetched."""
        return self._scheduler.partitions[place].next_offset

    def _assign(self, topic: str, queue: str) -> None:
        """Take the partitions of a queue, if that was not done.

        Before anything is fetched, or it is held until they are open, and comes out by partition.
        """
        if topic not in self._queues:
            self._queues[topic] = queue
            places = [(topic, number) for number in range(self._log.partitions)]
            self._handle([Assigned(place, 0) for place in places])
            for place in places:
                self._scheduler.partitions[place].saver = self._saver

    def _put_in(self, delayed: DelayedCall) -> None:
        place, row = delayed.place, delayed.row
        before = self._keeper.find(place, row.id)
        if before is not None and not self._keeper.taken(place, row.id):
            _end_unrun(before, "replaced by a later one of the same id")
        self._handle(self._keeper.read(place, row))

    # --- wishes ------------------------------------------------------------------------------------

    def cancel(self, handle: Handle) -> Verdict:
        """Let a call that waits not run."""
        with self._turn:
            verdict, row = self._ask(handle, End(id=row_id(handle), request=handle.id))
            if verdict and row is not None:
                _end_unrun(row, "cancelled")
            return verdict

    def reschedule(self, handle: Handle, due_ms: int) -> Verdict:
        """Let a call that waits run at another time."""
        with self._turn:
            wish = Move(request=handle.id, id=row_id(handle), due_ms=due_ms)
            verdict, row = self._ask(handle, wish)
            if verdict and row is not None:
                row.call.due = moment(due_ms / 1000)
            return verdict

    def _ask(self, handle: Handle, wish: Change) -> tuple[Verdict, StoredRow | None]:
        self._feed()
        place = self._log.place_of(handle)
        self._assign(place[0], handle.queue)
        row = self._keeper.find(place, row_id(handle))
        self._handle(self._keeper.read(place, wish))
        assert isinstance(row, StoredRow | None)
        return self._keeper.verdicts.pop(handle.id), row

    def _save(self, asked: SaveAsked) -> None:
        """Save what a call that runs asks for."""
        with self._turn:
            self._handle([asked])
        self._call(asked.entry).checkpoint = state_of(asked.entry)

    def _handle(self, events: Sequence[Event]) -> None:
        while True:
            answers: list[Event] = []
            for command in self._scheduler.handle(events, self._clock.instant):
                self._perform(command, answers)
            if not answers:
                return
            events = answers

    def _perform(self, command: Command, answers: list[Event]) -> None:
        match command:
            case Start(entries=entries):
                self._ready.extend(entries)
            case Commit(offsets=offsets):
                answers += [Committed(place, offset) for place, offset, _ in offsets]
            case BuryEntry(entry=entry):
                self._bury(entry)
                answers.append(Buried(entry))
            case Defer(entry=entry):
                if entry.row is None:
                    assert entry.deferral is not None
                    entry.deferral = StoredRow(**asdict(entry.deferral), call=self._call(entry))
                answers += self._keeper.perform(command)
            case Save(entry=entry, row=row):
                if row.of < 0:
                    known = {**asdict(row), "headers": entry.record.headers()}
                    row = StoredRow(**known, call=self._call(entry))
                answers += self._keeper.perform(Save(entry, row))
            case SaveAnswered():
                self._saver.answer(command)
            case OpenStore() | CloseStore() | Erase() | FetchLane() | Release() | Answer():
                answers += self._keeper.perform(command)
            case Retrying(entry=entry, error=error, due=due):
                self._call(entry).state = State.RETRYING
                self._report.retrying(entry, error, due, self._clock.instant)
            case Dropped(entry=entry, why=why):
                call = self._call(entry)
                call.state, call.why = State.DROPPED, why
                self._report.dropped(entry, why)
            case Recall() | Pause() | Resume() | Lease() | Suspecting():
                pass  # about other workers and about memory, of which a test knows neither
            case _:
                assert_never(command)

    def _bury(self, entry: Entry) -> None:
        burial, call = entry.burial, self._call(entry)
        assert burial is not None
        call.state, call.why = State.DEAD, str(burial.reason)
        self.dead.append(DeadCall(call, burial.reason, burial.error, burial.attempts))
        self._report.buried(entry, burial)

    def _call(self, entry: Entry) -> RecordedCall:
        if isinstance(entry.row, StoredRow):
            return entry.row.call
        record = entry.record
        assert isinstance(record, StoredRecord)
        return record.call


def _end_unrun(row: Row, why: str) -> None:
    """A call of the store will not run."""
    assert isinstance(row, StoredRow)
    row.call.state, row.call.why = State.DROPPED, why


def _counts(outcome: Outcome) -> bool:
    """Whether the job ran, and did not ask for it not to be counted."""
    if isinstance(outcome, Condemned):
        return outcome.reason is Reason.REJECTED
    return isinstance(outcome, Succeeded | Failed | Discarded)


def _let_through(outcome: Outcome) -> None:
    """Raise what is meant for the test and not for the job: Ctrl-C, or pytest's own skip, fail and timeout.

    A worker would retry it as any other failure.
    """
    if isinstance(outcome, Failed) and not isinstance(
        outcome.error, Exception | SystemExit | asyncio.CancelledError
    ):
        raise outcome.error


async def _outcome(call: AsyncCall) -> Outcome:
    """Run the attempt of an ``async def`` job in the running loop, in a task of its own as in a worker."""
    me = asyncio.current_task()
    before = me.cancelling() if me else 0
    outcome = await asyncio.create_task(call.attempt())
    if me and me.cancelling() > before:
        # The attempt took it for a failure of the job's, but it was the test that was cancelled.
        raise asyncio.CancelledError
    return outcome
