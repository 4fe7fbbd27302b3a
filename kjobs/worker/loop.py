"""The owner thread: gathers events, lets the scheduler decide, performs its commands.

Only this thread touches the consumer and the scheduler. It never waits for a job, so no job, however
long, keeps the worker from polling; it waits for Kafka when there is room for more records, and for
the slots when there is none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import assert_never

from .. import events
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
from ..core.events import (
    Assigned,
    Buried,
    Committed,
    Deferred,
    Event,
    Fetched,
    Finished,
    Lost,
    Place,
    Recalled,
    Revoked,
    Revoking,
    Stopping,
)
from ..core.hotkeys import hot_keys
from ..core.outcome import OK
from ..core.partition import Entry
from ..core.scheduler import Scheduler
from ..deferred.keeper import Keeper
from ..errors import BrokerError
from ..kafka.consumer import Consumer
from .burial import Burial
from .clock import Clock
from .executor import Executor
from .failpoint import Failpoint, failpoint
from .overtime import Overtime
from .report import Report
from .saves import Saves
from .timelimit import TimeLimits

log = logging.getLogger("kjobs.worker")

#: The most records taken from the client at a time.
_FETCH = 1000
#: Commits without an answer whose times are remembered: the client does not always give one.
_UNANSWERED = 10_000
#: Seconds the owner waits for Kafka when nothing else is to be expected.
_IDLE = 0.05
#: Seconds between two polls while there is no room: rebalances are served in them.
_SERVE_EVERY = 0.05
#: Seconds the owner waits for Kafka, or the slots, when the other may need it soon.
_BRISK = 0.001


class Loop:
    """Runs a worker until it is told to stop.

    Args:
        scheduler: decides.
        executor: runs calls.
        burial: writes dead letters.
        keeper: keeps the deferred store.
        saves: what jobs want to be saved.
        limits: the time limits of running calls.
        overtime: the calls that may outlast them.
        report: tells what happens.
        clock: the worker's clock.
        revoke_grace: seconds to wait for running calls of partitions that are taken away.
        stop_by: when the worker must have ended (monotonic seconds), once it was told to.
        pulse: called again and again, every few milliseconds.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        executor: Executor,
        burial: Burial,
        keeper: Keeper,
        saves: Saves,
        limits: TimeLimits,
        overtime: Overtime,
        report: Report,
        clock: Clock,
        revoke_grace: float,
        stop_by: Callable[[], float],
        pulse: Callable[[], None],
    ) -> None:
        self.scheduler = scheduler
        self._executor = executor
        self._burial = burial
        self._keeper = keeper
        self._saves = saves
        self._limits = limits
        self._overtime = overtime
        #: A call that cannot be ended runs in this process, which is to make room for another one.
        self.spoiled = False
        self._report = report
        self._clock = clock
        self._revoke_grace = revoke_grace
        self._stop_by = stop_by
        self._pulse = pulse
        self._consumer: Consumer
        self._polled_at = 0.0
        #: When commits that are not answered were sent, by place and offset: answers may overtake each other.
        self._sent: dict[tuple[Place, int], float] = {}
        self._sent_at = 0.0
        self._tended_at = 0.0

    def attach(self, consumer: Consumer) -> None:
        """Give the loop its consumer, which needs the loop for its callbacks."""
        self._consumer = consumer

    def step(self) -> None:
        """Do once what there is to do; waits a little if there is nothing."""
        self._handle(self._from_slots())
        self._handle(self._from_kafka())
        self._tend()

    def _tend(self) -> None:
        """Look after what only needs it every millisecond."""
        now = time.monotonic()
        if now - self._tended_at < _BRISK:
            return
        self._tended_at = now
        self._pulse()
        self._executor.tend()
        self._keep_time()
        self._consumer.check_identity()
        if self._keeper.failure is not None:
            raise BrokerError(f"the deferred store cannot go on: {self._keeper.failure}")
        if (ahead := self._keeper.clock_offset) is not None:
            self._report.clocks_apart(ahead)
        if self._report.summary_due():
            scheduler = self.scheduler
            hot = hot_keys(scheduler.partitions.values())
            self._report.summary(scheduler.oldest(), scheduler.held, hot)

    def _keep_time(self) -> None:
        """End calls whose time is up, and give up those that cannot be ended."""
        self._limits.enforce()
        for late in self._overtime.given_up():
            if not self.spoiled:
                self.spoiled = True
                self.stop()  # or it would begin again beside itself
            entry = late.entry
            self._report.given_up(late)
            self._executor.give_up(entry)
            entry.outcome = self._overtime.outcome(late)
            self._handle([Finished([entry])])

    # --- gathering ---------------------------------------------------------------------------------

    def _from_slots(self) -> list[Event]:
        gathered: list[Event] = []
        askers = self._saves.take()
        if entries := self._executor.collect():
            failpoint(Failpoint.AFTER_EFFECT)
            self._report.finished(sum(1 for entry in entries if entry.outcome is OK))
            gathered.append(Finished(entries))
        gathered += [asker.asked for asker in askers if not asker.gone]
        if returned := self._executor.collect_returned():
            gathered.append(Recalled(returned))
        for answer, burial, error in self._burial.collect():
            if isinstance(answer, Buried):
                failpoint(Failpoint.AFTER_BURIAL)
                self._report.buried(answer.entry, burial)
            elif error is not None:
                self._report.not_buried(answer.entry, error)
            gathered.append(answer)
        for told in self._keeper.collect():
            if isinstance(told, Deferred):
                self._report.deferred(told.entry)
            gathered.append(told)
        return gathered

    def _from_kafka(self) -> list[Event]:
        """Wait for what is to be expected next, and return what came from Kafka."""
        executor, room = self._executor, self.scheduler.room
        timeout = self._patience()
        crowded = room < _FETCH and executor.waiting > 0
        if room == 0 or crowded or (executor.starving and self.scheduler.following):
            executor.wait(timeout)
            if crowded and time.monotonic() - self._polled_at < _SERVE_EVERY:
                return []
            timeout = 0.0
        gathered = self._consumer.poll(timeout, max(1, min(room, _FETCH)))
        self._polled_at = time.monotonic()
        for event in gathered:
            if isinstance(event, Committed):
                sent = self._sent.pop((event.place, event.offset), self._sent_at)
                self._report.committed(event, sent)
            elif isinstance(event, Fetched):
                failpoint(Failpoint.AFTER_FETCH)
        return gathered

    def _patience(self) -> float:
        """Seconds that the owner may wait now."""
        executor, scheduler = self._executor, self.scheduler
        if executor.starving and scheduler.following:
            return _BRISK
        patience = 2 * _BRISK if executor.waiting else _IDLE
        for due in (scheduler.next_due(), self._keeper.next_due):
            if due is not None:
                # What is due in the store is about to be told.
                patience = min(patience, max(_BRISK, due - self._clock.now()))
        return patience

    # --- performing --------------------------------------------------------------------------------

    def _handle(self, gathered: Sequence[Event]) -> None:
        """Let the scheduler decide and do what it says, until it has nothing more to say."""
        while True:
            answers: list[Event] = []
            for command in self.scheduler.handle(gathered, self._clock.now()):
                self._perform(command, answers)
            if not answers:
                return
            gathered = answers

    def _perform(self, command: Command, answers: list[Event]) -> None:
        match command:
            case Start(entries=entries, first=first):
                self._executor.start(entries, first=first)
            case Commit(offsets=offsets):
                self._sent_at = time.monotonic()
                if len(self._sent) > _UNANSWERED:
                    self._sent.clear()
                for place, offset, _ in offsets:
                    self._sent.setdefault((place, offset), self._sent_at)
                self._consumer.commit(offsets)
                failpoint(Failpoint.IN_COMMIT)
            case Recall(places=places):
                if recalled := self._executor.recall(places):
                    answers.append(Recalled(recalled))
            case BuryEntry(entry=entry):
                self._burial.bury(entry)
            case OpenStore() | CloseStore() | Defer() | Erase() | Save() | FetchLane() | Release() | Answer():
                self._keeper.perform(command)
            case SaveAnswered():
                self._saves.answer(command)
            case Retrying(entry=entry, error=error, due=due):
                self._report.retrying(entry, error, due, self._clock.now())
            case Dropped(entry=entry, why=why):
                self._report.dropped(entry, why)
            case Suspecting():
                self._report.suspecting(command)
            case Pause(places=places):
                self._consumer.pause(places)
            case Resume(places=places, stalled=stalled):
                self._consumer.resume(places, stalled=stalled)
            case Lease(until=until):
                self._executor.lease(self._clock.monotonic(until))
                events.emit(events.LeaseExtended(self._clock.monotonic(until)))
            case _:
                assert_never(command)

    # --- partitions come and go --------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """Take in assignment and loss, told by the consumer while it polls."""
        match event:
            case Assigned(place=place, offset=offset):
                self._report.assigned(place, offset)
            case Lost(places=places):
                self._report.lost(places)
        self._handle([event])
        if isinstance(event, Assigned):
            self.scheduler.partitions[event.place].saver = self._saves

    def revoke(self, places: Sequence[Place]) -> None:
        """Let partitions go: wait for what runs of them, commit, forget. Called while polling."""
        self._handle([Revoking(places)])
        until = time.monotonic() + self._revoke_grace
        while self.scheduler.busy(places) and time.monotonic() < min(until, self._stop_by()):
            self._executor.wait(10 * _BRISK)
            self._pulse()
            self._handle(self._from_slots())
            self._executor.tend()
            self._keep_time()
        failpoint(Failpoint.IN_REVOKE)
        leased = self.scheduler.leased(self._clock.now())
        answers: list[Event] = []
        for command in self.scheduler.handle([Revoked(places)], self._clock.now()):
            # There may be a second commit, of what stays: that one is like any other.
            if not isinstance(command, Commit) or command.offsets[0][0] not in places:
                self._perform(command, answers)
            elif leased:
                self._commit_last(command)
        if answers:  # what was taken back unbegun locks its key no longer
            self._handle(answers)
        self._report.revoked(places)

    def _commit_last(self, command: Commit) -> None:
        """Commit what will not be this worker's any more.

        It has heard from the group of late, so this does not block for long.
        """
        sent = time.monotonic()
        error = self._consumer.commit_now(command.offsets)
        if error is None:
            stored = [(*place, offset) for place, offset, _ in command.offsets]
            events.emit(events.OffsetsCommitted(stored, sent))
            return
        for place, offset, _ in command.offsets:
            self._report.commit_failed(place, offset, error)
        log.warning(
            "the last commit of %d partitions failed: %s. Calls of them that have just ended will run again.",
            len(command.offsets),
            error,
            extra={"event": "commit.failed"},
        )

    # --- stopping ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin no more calls."""
        self._handle([Stopping()])

    def busy(self) -> bool:
        """Whether calls run, or are being buried."""
        return self.scheduler.busy()

    def position(self, place: Place) -> int | None:
        """Up to where the records of a partition were taken in; None if it is not assigned."""
        partition = self.scheduler.partitions.get(place)
        return None if partition is None else partition.position

    def running(self) -> list[Entry]:
        """The calls that slots have begun."""
        partitions = self.scheduler.partitions.values()
        return self._executor.begun(entry for partition in partitions for entry in partition.handed_out)
