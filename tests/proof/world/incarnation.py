"""One life of a simulated worker: the real scheduler, with a simulated shell around it."""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from kjobs.core.checkpoint import Suspected, decode
from kjobs.core.commands import (
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
from kjobs.core.events import (
    Assigned,
    Buried,
    Committed,
    Due,
    Event,
    Fetched,
    Lost,
    NotBuried,
    Place,
    Recalled,
    Revoked,
    Revoking,
    Skipped,
    Stopping,
)
from kjobs.core.outcome import Reason
from kjobs.core.partition import Entry
from kjobs.core.resume import resume
from kjobs.core.scheduler import Scheduler
from tests.proof import history as h

from .disk import QUEUE_ID, Host
from .group import Member
from .keeper import Keeper
from .slots import Slots

if TYPE_CHECKING:
    from .world import World

#: Seconds at most between two turns of an owner that has nothing to do.
_IDLE = 0.3


class Incarnation:
    """A worker process, from its start to its end."""

    def __init__(self, world: World, name: str, member: Member, host: Host) -> None:
        self.world = world
        self.name = name
        self.member = member
        self.host = host
        plan = world.plan
        self.scheduler = Scheduler(
            plan.bounds, plan.rhythm, chain=plan.chain, metadata=plan.metadata, lane_wait=plan.lane_wait
        )
        self.keeper = Keeper(self)
        self.slots = Slots(self)
        self.alive = True
        self.frozen = False
        self.isolated = False
        #: How many times it was out of the group's reach and back.
        self.silences = 0
        self.stopping = False
        self.stop_by = 0.0
        self._thawed: list[Callable[[], None]] = []
        self._positions: dict[Place, int] = {}
        self._assignments: Counter[Place] = Counter()
        self._paused: set[Place] = set()
        self._answers: list[Event] = []
        self._in_transit: deque[Callable[[], None]] = deque()
        self._revoking: tuple[list[Place], float] | None = None
        self._pause = 0.0
        self._wake_at = float("inf")
        self._stalled_until = 0.0

    @property
    def heard(self) -> bool:
        """Whether the group hears from it."""
        return self.alive and not self.frozen and not self.isolated

    @property
    def busy(self) -> bool:
        """Whether there is anything that it has not finished."""
        return bool(self.scheduler.held) or self.keeper.busy

    # --- the owner ---------------------------------------------------------------------------------

    def wake(self, delay: float | None = None) -> None:
        """Take a turn soon."""
        world = self.world
        at = world.now + (world.rng.uniform(0.001, 0.02) if delay is None else delay)
        at = max(at, self._stalled_until)
        if at >= self._wake_at:
            return
        self._wake_at = at

        def step() -> None:
            if self._wake_at == at:
                self._wake_at = float("inf")
                self.step()

        world.after(at - world.now, step)

    def step(self) -> None:
        """One turn of the owner thread."""
        if not self.alive or self.frozen:
            return
        world = self.world
        events = self._gather()
        self._handle(events)
        if self._revoking is not None:
            self._go_on_revoking()
        elif not self.isolated:
            if self.member.evicted:
                self._lose()
            elif self.member.asked_back:
                self._begin_revoking(sorted(self.member.asked_back))
            elif self.member.gained:
                self._gain()
        if self._revoking is None:
            if self.stopping:
                if not self.scheduler.busy() or world.now >= self.stop_by:
                    self._leave()
                    return
            else:
                fetched = self._fetch()
                self._handle(fetched)
                events += fetched
        world.note_held(self)
        self._go_on(busy=bool(events) or self._revoking is not None or self.stopping)

    def _go_on(self, *, busy: bool) -> None:
        """Take another turn: soon if there is much to do, later if there is nothing."""
        world = self.world
        pause = world.rng.uniform(0.003, 0.04)
        self._pause = pause if busy else min(_IDLE, self._pause * 1.5 + pause)
        if world.rng.random() < world.rate(world.plan.stall) * pause:
            self._stalled_until = world.now + world.rng.uniform(0.2, 1.5)
        due = self.scheduler.next_due()
        wait = self._pause if due is None else min(self._pause, max(pause, due - world.now))
        self.wake(wait)

    def _gather(self) -> list[Event]:
        events = self.slots.collect()
        answers, self._answers = self._answers, []
        return events + answers + self.keeper.collect()

    def _fetch(self) -> list[Event]:
        events: list[Event] = []
        world = self.world
        places = [place for place in self._positions if place not in self._paused]
        world.rng.shuffle(places)
        room = self.scheduler.room
        for place in places:
            log = world.logs[place]
            position = self._positions[place]
            if position < log.low:
                world.tell(h.Gap(world.now, self.name, place=place, first=position, after=log.low))
                events.append(Skipped(place, log.low))
                self._positions[place] = position = log.low
            most = min(room, world.rng.randint(1, 12))
            if most <= 0:
                continue
            records, upcoming = log.read(position, most)
            room -= len(records)
            if records:
                events.append(Fetched(place, records))
            if upcoming == log.end > position:
                events.append(Skipped(place, log.end))
            self._positions[place] = upcoming
        return events

    # --- partitions come and go --------------------------------------------------------------------

    def _gain(self) -> None:
        world = self.world
        places, self.member.gained = self.member.gained, []
        for place in places:
            log = world.logs[place]
            offset, metadata = world.group.offsets.get(place, (None, None))
            found = resume(offset, metadata, low=log.low, high=log.end)
            if found.gap is not None:
                world.tell(h.Gap(world.now, self.name, place=place, first=found.gap[0], after=found.gap[1]))
            self._positions[place] = found.offset
            self._assignments[place] += 1
            self._paused.discard(place)
            epoch = (found.checkpoint.epoch if found.checkpoint else 0) + 1
            world.tell(h.AssignedTo(world.now, self.name, place=place, epoch=epoch, offset=found.offset))
            self._handle([Assigned(place, found.offset, found.checkpoint, QUEUE_ID, log.end)])
            if found.checkpoint is not None and not found.checkpoint.clean:
                self._note_accused(place, found.checkpoint.suspected)
            if found.checkpoint is not None and found.checkpoint.trials:
                world.rare["a failure was restored from a checkpoint"] += 1
            if found.checkpoint is not None and found.checkpoint.high > found.offset:
                world.rare["finished calls were skipped after a restart"] += 1
            if self.scheduler.partitions[place].locks:
                world.rare["a key was locked by a call of an earlier assignment"] += 1

    def _note_accused(self, place: Place, suspected: Suspected | None) -> None:
        """Whoever had a partition has not given it back, and these calls ran by what is known of it."""
        running = {one.number for one in suspected.accused if one.runs} if suspected is not None else set()
        for call in self.world.calls.values():
            queued = call.place == place and call.offset in running
            if queued or zlib.crc32((call.name or "").encode()) in running:
                call.cut_off += 1

    def _lose(self) -> None:
        world = self.world
        places = list(self._positions)
        self._positions.clear()
        if self.scheduler.busy(places):
            world.rare["a partition was lost while calls of it ran"] += 1
        for place in places:
            world.tell(h.LostBy(world.now, self.name, place=place))
        self._handle([Lost(places)])
        self._deliver_all()
        world.group.leave(self.member)
        self.member = world.group.join(self.name)

    def _begin_revoking(self, places: list[Place]) -> None:
        self._handle([Revoking(places)])
        self._revoking = (places, self.world.now + self.world.plan.revoke_grace)

    def _go_on_revoking(self) -> None:
        assert self._revoking is not None
        places, until = self._revoking
        world = self.world
        if self.member.evicted and not self.isolated:
            self._revoking = None
            self._lose()
            return
        if self.stopping:
            until = min(until, self.stop_by)
        if self.isolated or (self.scheduler.busy(places) and world.now < until):
            return
        self._revoking = None
        if self.scheduler.busy(places):
            world.rare["a partition was given up while calls of it ran"] += 1
        leased = self.scheduler.leased(world.now)
        answers: list[Event] = []
        for command in self.scheduler.handle([Revoked(places)], world.now):
            if not isinstance(command, Commit):
                self._perform(command, answers)
            elif leased:
                self._commit_last(command)
        self._handle(answers)
        for place in places:
            self._positions.pop(place, None)
            world.tell(h.RevokedFrom(world.now, self.name, place=place))
        self._deliver_all()
        world.group.give_back(self.member, places)

    def _commit_last(self, command: Commit) -> None:
        world = self.world
        self._deliver_all()
        for place, offset, metadata in command.offsets:
            lost = world.rng.random() < world.rate(world.plan.last_commit_lost)
            if lost or world.group.commit(self.member, place, offset, metadata):
                world.tell(h.CommitFailed(world.now, self.name, place=place, offset=offset))
            else:
                world.tell(h.Committed(world.now, self.name, place=place, offset=offset, sent=world.now))

    # --- commands ----------------------------------------------------------------------------------

    def _handle(self, events: list[Event]) -> None:
        if any(isinstance(event, Due) for event in events):
            for event in events:
                self._note_places(event)
                self._handle_all([event])
        else:
            self._handle_all(events)

    def _note_places(self, event: Event) -> None:
        """Write down which calls are about to take their place in the order of their key, and where."""
        partition = self.scheduler.partitions.get(event.place) if isinstance(event, Due) else None
        if not isinstance(event, Due) or partition is None:
            return
        world = self.world
        for row in event.rows:
            call = world.call(row.value)
            if row.lane is not None and call.name is not None:
                before = max(event.end, partition.next_offset)
                took = h.TookPlace(
                    world.now, self.name, call=call.name, place=call.place, offset=call.offset, before=before
                )
                world.tell(took)

    def _handle_all(self, events: list[Event]) -> None:
        while True:
            answers: list[Event] = []
            for command in self.scheduler.handle(events, self.world.now):
                self._perform(command, answers)
            if not answers:
                return
            events = answers

    def _perform(self, command: Command, answers: list[Event]) -> None:
        world = self.world
        match command:
            case Start(entries=entries, first=first):
                self.slots.start(entries, first=first)
            case Recall(places=places):
                if taken := self.slots.recall(places):
                    answers.append(Recalled(taken))
            case OpenStore() | CloseStore() | Defer() | Erase() | Save() | FetchLane() | Release() | Answer():
                self.keeper.perform(command)
            case SaveAnswered():
                self.slots.answer(command)
            case BuryEntry(entry=entry):
                self.slots.decided(entry, None)
                assert entry.burial is not None
                if entry.burial.reason is Reason.CRASHED:
                    world.call(entry.record.value()).condemned = True
                self._bury(entry)
            case Retrying(entry=entry, due=due):
                self.slots.decided(entry, due)
            case Dropped(entry=entry):
                self.slots.decided(entry, None)
            case Commit(offsets=offsets):
                for place, offset, metadata in offsets:
                    self._commit(place, offset, metadata)
            case Suspecting():
                world.rare["calls were suspected"] += 1
            case Pause(places=places):
                world.rare["a partition was paused"] += 1
                self._paused.update(places)
            case Resume(places=places):
                for place, offset in places:
                    self._paused.discard(place)
                    if place in self._positions:
                        self._positions[place] = offset
            case Lease(until=until):
                self.slots.lease = until
                world.tell(h.LeaseUntil(world.now, self.name, until=until))

    def _commit(self, place: Place, offset: int, metadata: str) -> None:
        world, member, sent = self.world, self.member, self.world.now
        assignment = self._assignments[place]
        told = decode(offset, metadata)
        if told is None or told.high < self.scheduler.partitions[place].high:
            world.rare["a commit did not fit into its metadata"] += 1
        if self.isolated or world.rng.random() < world.rate(world.plan.commit_lost):
            return

        def arrive() -> None:
            error = world.group.commit(member, place, offset, metadata)
            if world.rng.random() < world.rate(world.plan.answer_lost):
                return
            world.after(world.rng.uniform(0.001, 0.05), lambda: self.when_running(lambda: answer(error)))

        def answer(error: str | None) -> None:
            if self.isolated:
                return
            if place not in self._positions:
                world.rare["a commit was answered after its partition was gone"] += 1
            fenced = error == "UNKNOWN_MEMBER_ID"
            if self._assignments[place] == assignment:  # or else it came before that, on one connection
                self._answers.append(Committed(place, offset, error, fenced))
                self.wake()
            if error is None:
                world.tell(h.Committed(world.now, self.name, place=place, offset=offset, sent=sent))
            else:
                world.tell(h.CommitFailed(world.now, self.name, place=place, offset=offset))

        self._in_transit.append(arrive)
        world.after(world.rng.uniform(0.001, 0.05), self._deliver)

    def _deliver(self) -> None:
        """The oldest request under way arrives: those of one connection do so in order."""
        if self._in_transit:
            self._in_transit.popleft()()

    def _deliver_all(self) -> None:
        """What is asked of the group now arrives after everything that was sent before."""
        while self._in_transit:
            self._deliver()

    def _bury(self, entry: Entry) -> None:
        world = self.world
        refused = self.isolated or world.rng.random() < world.rate(world.plan.burial_refused)
        mute = world.rng.random() < world.rate(world.plan.burial_answer_lost)
        call = world.call(entry.record.value())
        assert entry.burial is not None
        reason = str(entry.burial.reason)

        def arrive() -> None:
            if not refused:
                world.dead_letter(entry, call)
            self.when_running(lambda: answer(not refused and not mute))

        def answer(stored: bool) -> None:
            if stored:
                world.tell(
                    h.Buried(
                        world.now,
                        self.name,
                        call=call.name,
                        place=call.place,
                        offset=call.offset,
                        reason=reason,
                        epoch=entry.partition.epoch,
                    )
                )
            if not stored:
                world.rare["a dead letter was refused"] += 1
            self._answers.append(Buried(entry) if stored else NotBuried(entry))
            self.wake()

        world.after(world.rng.uniform(0.001, 0.1), arrive)

    # --- life and death ----------------------------------------------------------------------------

    def when_running(self, action: Callable[[], None]) -> None:
        """Do something in this process: now, when it thaws, or never."""
        if not self.alive:
            return
        if self.frozen:
            self._thawed.append(action)
        else:
            action()

    def freeze(self) -> None:
        """Stop in its tracks."""
        self.frozen = True
        self.keeper.freeze()
        self.world.tell(h.Frozen(self.world.now, self.name))

    def thaw(self) -> None:
        """Go on where it stopped: slots first, the owner a moment later."""
        if not self.alive or not self.frozen:
            return
        world = self.world
        self.frozen = False
        self.silences += 1
        world.tell(h.Thawed(world.now, self.name))
        actions, self._thawed = self._thawed, []
        for action in actions:
            world.after(world.rng.uniform(0.0, 0.01), partial(self.when_running, action))
        self._wake_at = float("inf")
        self.wake(world.rng.uniform(0.0, 0.05))

    def crash(self) -> None:
        """Die at once."""
        self.alive = False
        self.keeper.crash()
        self.world.tell(h.Killed(self.world.now, self.name))

    def stop(self, grace: float) -> None:
        """Begin to stop in order."""
        self.stopping = True
        self.stop_by = self.world.now + grace
        self.world.tell(h.TermBegan(self.world.now, self.name, grace=grace))
        self._handle([Stopping()])

    def _leave(self) -> None:
        world = self.world
        forced = self.scheduler.busy()
        if self._positions and not self.member.evicted and not self.isolated:
            places = list(self._positions)
            self._handle([Revoking(places)])
            leased = self.scheduler.leased(world.now)
            for command in self.scheduler.handle([Revoked(places)], world.now):
                if isinstance(command, Commit) and leased:
                    self._commit_last(command)
        self.alive = False
        self.keeper.quit()
        world.tell(h.Exited(world.now, self.name, code=2 if forced else 0))
        if self.isolated:
            world.evict_later(self)
        else:
            self._deliver_all()
            world.group.leave(self.member)
