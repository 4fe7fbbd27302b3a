"""The scheduler: events in, commands out. The one place that decides what runs, waits and commits.

The rules it keeps: *an offset passes the watermark only after its call succeeded, was acknowledged on
the dead letter topic, or was deliberately dropped*; and *of one key, only the oldest unfinished call
may run*.

It is pure: it has no clock (``now`` is an argument, in epoch seconds), no random source (a failed
outcome brings its own draw), no thread, and does no I/O.

    fetched ─► lane ─► head ─► out ─┬─► finished ─► below the watermark ─► committed
                        ▲           ├─► waiting (backoff, snooze) ─► head
                        │           ├─► deferred ─► finished; when due, back from the store
                        └───────────┴─► burying ─► finished

What has to do with the deferred store is in ``deferral.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from .buffer import Bounds, Buffer
from .burials import Burials
from .certainty import certain
from .checkpoint import LIMIT
from .commands import (
    CloseStore,
    Command,
    Commit,
    Dropped,
    Lease,
    OpenStore,
    Pause,
    Recall,
    Resume,
    Retrying,
    Start,
    Suspecting,
)
from .commits import Commits, Rhythm
from .deferral import Deferral
from .events import (
    Assigned,
    Buried,
    CancelAsked,
    CaughtUp,
    Committed,
    Due,
    Event,
    Fetched,
    Finished,
    LaneDue,
    LaneFetched,
    Lost,
    MoveAsked,
    NotBuried,
    OfEntry,
    Place,
    Recalled,
    Revoked,
    Revoking,
    Skipped,
    Stopping,
)
from .orphans import Orphans
from .outcome import OK, Bury, Done, Drop, Early, Outcome, RetryAt, WaitUntil, dispose
from .outlook import Outlook
from .partition import Entry, Partition
from .policy import LONGEST_WAIT_IN_LANE
from .ports import Record
from .relief import Relief
from .suspects import Suspects
from .suspicion import suspicion
from .timers import Timers


class Scheduler(Outlook):
    """The state machine of one consumer; ``handle`` is its only way in.

    Args:
        bounds: how much may be held.
        rhythm: how often to commit.
        chain: calls of one key that a slot may run one after the other without asking.
        attempts: how many attempts to begin in all; None for no end.
        metadata: characters that the metadata of a commit may have.
        lane_wait: the longest a call from the queue waits in its lane, in memory (seconds).
    """

    def __init__(
        self,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        rhythm: Rhythm = Rhythm(),  # noqa: B008 - frozen
        *,
        chain: int = 16,
        attempts: int | None = None,
        metadata: int = LIMIT,
        lane_wait: float = LONGEST_WAIT_IN_LANE,
    ) -> None:
        self.partitions: dict[Place, Partition] = {}
        self.stopping = False
        self.attempts_left = attempts
        self._metadata = metadata
        self._lane_wait = lane_wait
        self._chain = 1 if attempts is not None else chain
        self._buffer = Buffer(bounds)
        self._commits = Commits(rhythm)
        self._lease = float("-inf")
        self._leased = False
        self._timers = Timers()
        self._orphans = Orphans()
        #: Of partitions that were lost, the last assignment.
        self._lost: dict[Place, int] = {}
        self._starts: list[Entry] = []
        self._due_starts: list[Entry] = []
        self._commands: list[Command] = []
        # What an owner may have begun beyond what it said is finished: all that it may have held.
        self._reach = 2 * bounds.records

        def command(command: Command) -> None:
            self._commands.append(command)

        self._burials = Burials(command=command, later=self._timers.put)
        self.suspects = Suspects(self._burials)
        self._deferral = Deferral(
            offer=self._offer,
            command=command,
            later=self._timers.put,
            opened=self._opened,
            finished=self._finished,
            leased=self.leased,
        )
        self._relief = Relief(self._buffer, self._deferral)

    def handle(self, events: Iterable[Event], now: float) -> list[Command]:
        """Take in what happened, in that order, and return what is to be done, in that order."""
        for event in events:
            match event:
                case Finished(entries=entries):
                    self._finished(entries, now)
                case Fetched(place=place, records=records):
                    self._fetched(place, records, now)
                case Skipped(place=place, offset=offset):
                    if (partition := self.partitions.get(place)) is not None:
                        self._deferral.skipped(partition, offset, now)
                case Buried() | NotBuried():
                    if self._burials.answered(event, now):
                        self._settle(event.entry, now)
                case CaughtUp() | Due() | LaneDue() | LaneFetched() | CancelAsked() | MoveAsked():
                    partition = self.partitions.get(event.place)
                    self._deferral.told(partition, event, now)
                    # Somebody waits for an answer that is certain only when a commit tells.
                    self._commits.urgent |= partition is not None and bool(partition.stored.pending)
                case OfEntry():
                    self._deferral.answered(event, now)
                case Committed():
                    self._committed(event, now)
                case Recalled(entries=entries):
                    self._recalled(entries, now)
                case Assigned() | Revoking() | Revoked() | Lost() | Stopping():
                    self._ownership(event, now)
                case _:
                    assert_never(event)
        if self._leased and now >= self._lease:
            self._leased = False
            self._commands.append(Recall(None))
        self._wake(now)
        self._balance(now)
        if self.suspects and self.suspects.claim():
            self._commits.at_once = True
        if offsets := self._commits.due(self.partitions.values(), now):
            self._commands.append(Commit(offsets))
        if self._due_starts:
            self._commands.append(Start(self._due_starts, first=True))
            self._due_starts = []
        if self._starts:
            self._commands.append(Start(self._starts))
            self._starts = []
        commands, self._commands = self._commands, []
        return commands

    # --- partitions come and go ------------------------------------------------------------------

    def _ownership(self, event: Assigned | Revoking | Revoked | Lost | Stopping, now: float) -> None:
        match event:
            case Assigned():
                self._assigned(event, now)
            case Revoking(places=places):
                self._revoking(places)
            case Revoked(places=places):
                self._forget(places, commit=True)
            case Lost(places=places):
                self._forget(places, commit=False)
            case Stopping():
                self._stop()
            case _:
                assert_never(event)

    def _assigned(self, event: Assigned, now: float) -> None:
        partition = Partition(event.place, event.offset, event.checkpoint, event.topic_id, self._metadata)
        partition.leaving = self.stopping
        partition.locks = self._orphans.locks(event.place)
        last, lost = event.checkpoint, self._lost.pop(event.place, None)
        # Who lost a partition and is here to have it again did not crash, though it did not give it back.
        crashed = last is not None and not last.clean and last.epoch != lost
        partition.suspicion = suspicion(last, event.offset, event.end, self._reach, now, crashed=crashed)
        if partition.suspicion is not None and partition.suspicion.active:
            crashes, end = partition.suspicion.crashes, partition.suspicion.end
            self._commands.append(Suspecting(event.place, crashes, event.offset, end))
        self.partitions[event.place] = partition
        self._commits.urgent = True

    def _opened(self, partition: Partition, now: float) -> None:
        """What waits in the store is known: calls may begin, if the group has confirmed the assignment."""
        partition.open = partition.may_open
        self._release(partition, now)

    def _stop(self) -> None:
        self.stopping = True
        for partition in self.partitions.values():
            partition.open = False
            partition.leaving = True
        self._commands.append(Recall(None))

    def _revoking(self, places: Sequence[Place]) -> None:
        for place in places:
            if (partition := self.partitions.get(place)) is not None:
                partition.open = False
                partition.leaving = True
        self._commands.append(Recall(places))

    def _forget(self, places: Sequence[Place], *, commit: bool) -> None:
        last: list[tuple[Place, int, str]] = []
        for place in places:
            partition = self.partitions.pop(place, None)
            if partition is None:
                continue
            partition.open = False
            partition.closed = True
            self._commits.forget(place)
            self._deferral.forget(partition)
            self.suspects.forget(partition)
            self._orphans.take_in(partition)
            if commit:
                last.append((place, *partition.snapshot(clean=True)))
            else:
                self._lost[place] = partition.epoch
        self._commands.append(Recall(places))
        self._commands.append(CloseStore(places))
        if last:
            self._commands.append(Commit(last))

    # --- calls come in ---------------------------------------------------------------------------

    def _fetched(self, place: Place, records: Sequence[Record], now: float) -> None:
        partition = self.partitions.get(place)
        if partition is None:
            return
        if partition.stored.matters:
            self._deferral.fetched(partition, records, now)
            return
        for head in partition.feed(records):
            self._offer(head, now)

    def _offer(self, entry: Entry, now: float) -> None:
        """Hand out the head of a lane, or keep it until it may run."""
        partition = entry.partition
        if entry.due > now:
            if entry.due - now > self._lane_wait:
                self._deferral.defer(entry, entry.due, now, holds_lane=True)
            else:
                self._timers.put(entry.due, entry)
            return
        if entry.cancelled:
            self._deferral.withdraw(entry, now)
            return
        if not partition.open or now >= self._lease or self.attempts_left == 0:
            partition.held.append(entry)
            return
        if partition.locks and entry.token in partition.locks:
            partition.locks[entry.token].append(entry)
            return
        if partition.suspicion is not None and partition.suspicion.covers(entry):
            self.suspects.take(entry)
            return
        if self.attempts_left is not None:
            self.attempts_left -= 1
        entry.out = True
        partition.out += 1
        if entry.row is not None:
            self._due_starts.append(entry)
            return
        if entry.next is not None and partition.suspicion is None:
            entry.chain(self._chain)
        self._starts.append(entry)

    def _begin_suspect(self, entry: Entry, now: float) -> None:
        """The group knows which call it is, should the process end."""
        partition = entry.partition
        if not partition.open or now >= self._lease or self.attempts_left == 0 or entry.cancelled:
            self.suspects.taken_back(entry)
            self._offer(entry, now)
            return
        if self.attempts_left is not None:
            self.attempts_left -= 1
        entry.suspect = entry.out = True
        partition.out += 1
        self._due_starts.append(entry)

    def _wake(self, now: float) -> None:
        for entry in self._timers.due(now):
            if entry.partition.closed:
                continue
            if entry.burial is not None:
                self._burials.again(entry)
            elif entry.out or entry.deferral is not None or entry.ended:
                self._deferral.try_again(entry, now)
            else:
                self._offer(entry, now)

    def _release(self, partition: Partition, now: float) -> None:
        held, partition.held = partition.held, []
        for entry in held:
            self._offer(entry, now)

    # --- calls come back -------------------------------------------------------------------------

    def _finished(self, entries: Sequence[Entry], now: float) -> None:
        for entry in entries:
            partition = entry.partition
            outcome = entry.outcome
            if partition.closed:
                if not (entry.more and outcome is OK):
                    self._orphan_ended(entry, now)
            elif outcome is OK:
                entry.out = False
                if entry.suspect:
                    self.suspects.ended(entry)
                if entry.row is not None:
                    if not self._deferral.saves.hold(entry):
                        partition.out -= 1
                        self._deferral.finished(entry, now)
                    continue
                head = partition.finish(entry)
                if head is not None and entry.more:
                    head.out = True  # whoever ran the entry is running this one now
                    continue
                partition.out -= 1
                if head is not None:
                    self._offer(head, now)
                elif partition.stored.lanes:
                    self._deferral.lane_ended(partition, entry.key)
            else:
                self._ended(entry, outcome, now)

    def _ended(self, entry: Entry, outcome: Outcome, now: float) -> None:
        """An attempt ended otherwise than by success."""
        if self._deferral.saves.hold(entry):
            return
        partition = entry.partition
        entry.out = False
        entry.more = False
        entry.outcome = OK  # the error of a failed one keeps its frames alive
        partition.out -= 1
        since = entry.record.timestamp()[1] / 1000
        crashes = self.suspects.convicted(entry, outcome) if entry.suspect else entry.crashes
        disposition = dispose(outcome, failures=entry.failures, since=since, now=now, crashes=crashes)
        match disposition:
            case Done():
                self._settle(entry, now)
            case RetryAt() | WaitUntil() if entry.cancelled:
                self._commands.append(Dropped(entry, "cancelled while it ran"))
                self._settle(entry, now)
            case RetryAt(due=due, error=error, failures=failures):
                # Counted only now: a failure that ends in a burial is forgotten if we crash before its
                # acknowledgement, and the attempt made again.
                entry.failures, entry.crashes = failures, disposition.crashes
                partition.retry(entry, due)
                self._commits.urgent = True
                self._commands.append(Retrying(entry, error, due))
                self._wait(entry, disposition.holds_lane, now)
            case WaitUntil(due=due):
                if isinstance(outcome, Early):
                    if self.attempts_left is not None:
                        self.attempts_left += 1  # it was looked at, not begun
                    entry.due = due  # written in the call itself, so nothing needs to remember it
                else:
                    partition.retry(entry, due)
                self._wait(entry, disposition.holds_lane, now)
            case Bury():
                self._burials.order(entry, disposition)
            case Drop(why=why):
                self._commands.append(Dropped(entry, why))
                self._settle(entry, now)
            case _:
                assert_never(disposition)

    def _wait(self, entry: Entry, holds_lane: bool, now: float) -> None:
        """Bring an entry back when it is due: from memory, or from the store if that is long to go."""
        if entry.row is not None or entry.due - now > self._lane_wait:
            self._deferral.defer(entry, entry.due, now, holds_lane=holds_lane)
            return
        self._timers.put(entry.due, entry)
        if not holds_lane:
            entry.loose = True
            self._goes_on(entry, entry.partition.leave_lane(entry), now)

    def _settle(self, entry: Entry, now: float) -> None:
        if entry.row is not None:
            self._deferral.finished(entry, now)
        else:
            self._goes_on(entry, entry.partition.finish(entry), now)

    def _goes_on(self, entry: Entry, head: Entry | None, now: float) -> None:
        """The lane of an entry goes on, with this head."""
        if head is not None:
            self._offer(head, now)
        else:
            self._deferral.lane_ended(entry.partition, entry.key)

    def _recalled(self, entries: Sequence[Entry], now: float) -> None:
        for entry in entries:
            partition = entry.partition
            if partition.closed:
                self._orphan_ended(entry, now)
                continue
            entry.out = False
            entry.more = False
            partition.out -= 1
            if entry.suspect:
                self.suspects.taken_back(entry)
            if self.attempts_left is not None:
                self.attempts_left += 1
            self._offer(entry, now)

    def _orphan_ended(self, entry: Entry, now: float) -> None:
        """A call of a forgotten partition no longer runs: its key is free, also for a new assignment."""
        if not self._orphans.ended(entry):
            return
        partition = self.partitions.get(entry.partition.place)
        if partition is not None:
            for waiting in partition.locks.pop(entry.token, ()):
                self._offer(waiting, now)

    # --- commits and back-pressure ---------------------------------------------------------------

    def _committed(self, event: Committed, now: float) -> None:
        answered = self._commits.answered(event.place)
        if answered is None:
            return
        partition, until = answered.partition, self._commits.leased(answered)
        if event.error is not None:
            partition.dirty = True
            if event.fenced:
                self._lease = now
                self._commands.append(Lease(0.0))
            return
        if until > self._lease:
            self._lease = until
            self._commands.append(Lease(until))
        renewed, self._leased = not self._leased, now < until
        if not partition.confirmed:
            partition.confirmed = True
            # Not before: whoever had it must not write to the store any more when its end is looked for.
            place, topic_id = partition.place, partition.topic_id
            self._commands.append(OpenStore(place, partition.next_offset, partition.epoch, topic_id))
        partition.committed = max(partition.committed, event.offset)
        if partition.stored.pending:
            self._commands += certain(partition, answered.whole)
        partition.open = partition.may_open
        for held in self.partitions.values() if renewed else (partition,):
            self._release(held, now)
        for entry in self.suspects.confirmed(partition, answered.snapshot):
            self._begin_suspect(entry, now)
        if partition.suspicion is not None and not self.suspects.runs(partition):
            partition.suspicion = partition.suspicion.unless_over(partition, now)

    def _balance(self, now: float) -> None:
        partitions = self.partitions.values()
        if moved := self._relief.look(partitions, now):
            self._timers.forget(moved)
        if resumed := self._buffer.resume(partitions, now):
            # Every partition was paused if those resumed now are all that are not.
            stalled = len(resumed) == sum(not partition.paused for partition in partitions)
            self._commands.append(Resume([(p.place, p.next_offset) for p in resumed], stalled))
        if paused := self._buffer.pause(partitions, now):
            self._commands.append(Pause([partition.place for partition in paused]))
