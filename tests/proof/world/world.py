"""A world: time, faults, and the history of what happened in it."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import count

import msgspec

from kjobs.core.deferred import Answered, Change, End, Move, Row
from kjobs.core.events import Place
from kjobs.core.outcome import MOST_CRASHES
from kjobs.core.partition import Entry
from tests.proof import history as h
from tests.proof.checker import Config, Rules, Violation, check

from .broker import Log
from .callers import Callers
from .calls import Call
from .changelog import Changelog
from .disk import Host
from .group import Group
from .incarnation import Incarnation
from .plan import Plan, draw

#: Seconds of virtual time between two draws of faults.
_FAULTS_EVERY = 0.1
#: Seconds of virtual time in which everything must be finished once the faults are over: as many waits as
#: there may be one after the other in one key, and some more.
_LIVENESS = 6000.0
#: Seconds that a stopping worker may take.
_GRACE = 3.0
#: Workers that one call ends at most, if each time everything goes with it.
_MOST_CRASHES = 5
#: The most records one fetch of one partition brings.
_FETCH = 12

TOPIC, DEAD, DELAYED = "jobs", "jobs.dead", "jobs.delayed"

#: What must happen now and then, or else the worlds prove less than they seem to.
RARE = frozenset(
    {
        "a call ended its worker",
        "a call was refused its start",
        "a chain of calls of one key ran in one slot",
        "a commit did not fit into its metadata",
        "a commit was answered after its partition was gone",
        "a dead letter was refused",
        "a disk was behind what its worker had known",
        "a disk was in use by another worker",
        "a disk was not trusted: it",
        "a disk was not trusted: it was last used",
        "a disk was not trusted: the id of its log's topi",
        "a disk was trusted",
        "a failure was restored from a checkpoint",
        "a key was locked by a call of an earlier assignment",
        "a log was compacted",
        "a partition was given up while calls of it ran",
        "a partition was lost while calls of it ran",
        "a partition was paused",
        "a state was saved of a delayed call",
        "a state was saved: failed",
        "a state was saved: refused",
        "a state was saved: saved",
        "a state was saved: unknown",
        "a call goes on with a state in another worker",
        "a call ended while its state was being saved",
        "a wish was answered: cancelled",
        "a wish was answered: gone",
        "a wish was answered: moved",
        "a wish was answered: started",
        "a wish was not answered in time",
        "a write appeared twice",
        "a write arrived of which nobody was told",
        "a write was refused",
        "calls were suspected",
        "an index was made anew while its calls were out",
        "finished calls were skipped after a restart",
    }
)


class World:
    """One simulated run; ``run`` plays it and returns what the checker says."""

    def __init__(self, seed: int) -> None:
        self.plan: Plan = draw(seed)
        self.rng = random.Random(seed ^ 0x5EED)
        #: What has to do with saved states is drawn apart, so that worlds without them stay as they are.
        self.save_rng = random.Random(seed ^ 0x5A7ED)
        self.now = 0.0
        self.history: list[h.AnyEvent] = []
        self.rules: dict[str, Rules] = {}
        places = [self.place(number) for number in range(self.plan.partitions)]
        self.logs: dict[Place, Log] = {place: Log(place) for place in places}
        #: The logs of the deferred store, by the queue's partitions.
        self.changelogs: dict[Place, Changelog] = {place: Changelog(self.delayed(place)) for place in places}
        #: All calls, by their values.
        self.calls: dict[bytes, Call] = {}
        self.callers = Callers(self)
        self.hosts = [Host(self) for _ in range(self.plan.hosts)]
        self.group = Group(self.logs, self.rng.shuffle)
        self.workers: list[Incarnation] = []
        self.calm = False
        #: How often what is rare happened; see :data:`RARE`.
        self.rare: Counter[str] = Counter()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = count()
        self._lives = count(1)
        self._names = count(1)
        self._most_held: dict[str, int] = {}
        self._dead_ends: dict[int, int] = {}

    # --- time and history --------------------------------------------------------------------------

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._agenda, (self.now + delay, next(self._ticket), action))

    def tell(self, event: h.AnyEvent) -> int:
        """Write an event down; returns its place in the history."""
        self.history.append(event)
        return len(self.history) - 1

    def retell(self, index: int, due: float) -> None:
        """Add to the end of an attempt when the next may begin, now that it is decided."""
        self.history[index] = msgspec.structs.replace(self.history[index], due=due)

    def rate(self, rate: float) -> float:
        """A rate or chance of the plan; nothing goes wrong any more once the world is calm."""
        return 0.0 if self.calm else rate

    def note_held(self, worker: Incarnation) -> None:
        """Write down how much a worker holds, when it is more than ever."""
        held = worker.scheduler.held
        if held > self._most_held.get(worker.name, -1):
            self._most_held[worker.name] = held
            self.tell(h.Buffered(self.now, worker.name, records=held, size=held * 50))

    def chance(self, rate: float) -> bool:
        """Whether something that goes wrong at this rate does so now."""
        return rate > 0 and not self.calm and self.rng.random() < rate

    # --- names -------------------------------------------------------------------------------------

    def place(self, number: int) -> Place:
        """A partition of the queue."""
        return (TOPIC, number)

    def delayed(self, place: Place) -> Place:
        """The partition of the deferred store's log that belongs to one of the queue."""
        return (DELAYED, place[1])

    def fresh(self, prefix: str) -> str:
        """A name that nothing else has."""
        return f"{prefix}{next(self._names)}"

    # --- calls -------------------------------------------------------------------------------------

    def call(self, value: bytes | None) -> Call:
        """The call whose records have this value."""
        assert value is not None
        return self.calls[value]

    def append(self, place: Place, change: Change, inc: str) -> Change:
        """Write to the log of the deferred store of a partition; those who follow it will notice."""
        log = self.changelogs[place]
        if self.chance(self.plan.log_gap):
            log.skip()
        known = log.append(change, self.now)
        self.tell(self._logged(log, known, inc))
        for worker in self.workers:
            if worker.alive:
                worker.keeper.appended(place)
        if isinstance(known, Answered):
            self.callers.answered(known)
        return known

    def _logged(self, log: Changelog, change: Change, inc: str) -> h.DelayedLogged:
        place, offset = log.place, change.offset
        match change:
            case Row():
                return h.DelayedLogged(
                    self.now,
                    inc,
                    place=place,
                    offset=offset,
                    name=change.id,
                    what="call",
                    call=self.call(change.value).name,
                    due=change.due_ms / 1000,
                    rank=change.rank,
                    failures=change.failures,
                    epoch=change.owner[0],
                    of=change.of if change.of >= 0 else None,
                    value_digest=str(change.value),
                    state=None if change.state is None else change.state.decode(),
                )
            case End():
                return h.DelayedLogged(
                    self.now,
                    inc,
                    place=place,
                    offset=offset,
                    name=change.id,
                    what="end",
                    epoch=change.owner[0],
                    of=change.of,
                    request=change.request,
                )
            case Move():
                return h.DelayedLogged(
                    self.now,
                    inc,
                    place=place,
                    offset=offset,
                    name=change.id,
                    what="move",
                    due=change.due_ms / 1000,
                    request=change.request,
                )
            case Answered():
                return h.DelayedLogged(
                    self.now,
                    inc,
                    place=place,
                    offset=offset,
                    name=change.request,
                    what="answer",
                    request=change.request,
                    verdict=change.verdict.value,
                )

    def dead_letter(self, entry: Entry, call: Call) -> None:
        """The dead letter topic takes a record."""
        number = entry.partition.place[1]
        offset = self._dead_ends.get(number, 0)
        self._dead_ends[number] = offset + 1
        self.tell(
            h.DeadLogged(
                self.now,
                place=(DEAD, number),
                offset=offset,
                call=call.name,
                key=entry.key,
                value_digest=str(call.value),
                headers=(("kj-reason", b"simulated"),),
                source=(*call.place, call.offset),
            )
        )

    # --- workers and faults --------------------------------------------------------------------------

    def _begin(self) -> None:
        name = f"w{next(self._lives)}"
        worker = Incarnation(self, name, self.group.join(name), self.rng.choice(self.hosts))
        self.workers.append(worker)
        worker.wake(self.rng.uniform(0.0, 0.1))

    def kill(self, worker: Incarnation) -> None:
        """End a worker at once; another one begins a while later."""
        worker.crash()
        self.evict_later(worker)
        self.after(self.rng.uniform(0.1, 2.0), self._begin)

    def evict_later(self, worker: Incarnation) -> None:
        """The group gives up on a worker that it does not hear from for the session's length."""
        member, silence = worker.member, worker.silences

        def look() -> None:
            if worker.member is member and worker.silences == silence and not worker.heard:
                member.evicted = True
                self.group.leave(member)

        self.after(self.plan.session, look)

    def _faults(self) -> None:
        if self.calm:
            return
        plan, rng = self.plan, self.rng

        def strikes(rate: float) -> bool:
            return rng.random() < rate * _FAULTS_EVERY

        for worker in [worker for worker in self.workers if worker.alive]:
            if strikes(plan.crash):
                self.kill(worker)
            elif worker.frozen or worker.isolated or worker.stopping:
                continue
            elif strikes(plan.freeze):
                worker.freeze()
                self.evict_later(worker)
                self.after(plan.session * rng.uniform(0.2, 2.5), worker.thaw)
            elif strikes(plan.isolate):
                self._isolate(worker, plan.session * rng.uniform(0.2, 2.5))
            elif strikes(plan.expel):
                self._expel(worker)
            elif strikes(plan.leave):
                worker.stop(_GRACE)
                self.after(rng.uniform(0.1, 1.0), self._begin)
        if strikes(plan.join) and sum(worker.alive for worker in self.workers) < plan.workers + 2:
            self._begin()
        if strikes(plan.wander):
            self.group.move(rng.choice(self.group.places))
        if strikes(plan.retention):
            self._delete_some()
        if strikes(plan.compaction):
            self._compact()
        self.after(_FAULTS_EVERY, self._faults)

    def _expel(self, worker: Incarnation) -> None:
        """A worker that is well loses its membership, and learns of it with its next poll."""
        worker.member.evicted = True

    def _isolate(self, worker: Incarnation, length: float) -> None:
        worker.isolated = True
        self.tell(h.FaultBegan(self.now, worker.name, what="isolated"))
        self.evict_later(worker)
        self.after(length, lambda: self._heal(worker))

    def _heal(self, worker: Incarnation) -> None:
        if worker.isolated and worker.alive:
            worker.isolated = False
            worker.silences += 1
            self.tell(h.FaultEnded(self.now, worker.name, what="isolated"))

    def _delete_some(self) -> None:
        log = self.rng.choice(list(self.logs.values()))
        # A group that never committed anything cannot know what it has missed.
        if log.end > log.low and log.place in self.group.offsets:
            first, after = log.low, self.rng.randint(log.low + 1, log.end)
            log.delete_to(after)
            self.tell(h.GapInjected(self.now, place=log.place, first=first, after=after))

    def _compact(self) -> None:
        """Compact a log, up to what its owner has had time to read: half an hour is long, in life."""
        plan = self.plan
        place, log = self.rng.choice(list(self.changelogs.items()))
        before = min(self.now - plan.compaction_lag, self._known_until(place))
        gone = log.compact(before, min(before, self.now - plan.tombstones))
        if gone:
            self.rare["a log was compacted"] += 1
            self.tell(h.Compacted(self.now, place=log.place, offsets=tuple(gone)))

    def _known_until(self, place: Place) -> float:
        owner = self.group.owner[place]
        for worker in self.workers:
            if worker.member is owner and worker.heard:
                return worker.keeper.settled_until(place)
        return 0.0

    def _calm_down(self) -> None:
        """End all faults; whatever is left must finish now."""
        self.calm = True
        if self._commits_fail():
            self.tell(h.FaultEnded(self.now, what="commits fail"))
        for worker in self.workers:
            worker.thaw()
            self._heal(worker)
        if not any(worker.alive and not worker.stopping for worker in self.workers):
            self._begin()

    def _commits_fail(self) -> bool:
        plan = self.plan
        return bool(plan.commit_lost or plan.answer_lost or plan.last_commit_lost)

    # --- running -----------------------------------------------------------------------------------

    def run(self) -> list[Violation]:
        """Play the world and judge its history."""
        plan, rng = self.plan, self.rng
        for number in range(plan.calls):
            at = 0.0 if rng.random() < 0.5 else rng.uniform(0.0, plan.faults_until)
            self.after(at, lambda name=f"c{number}": self.callers.enqueue(name))  # type: ignore[misc]
        for number in range(plan.delayed):
            at = rng.uniform(0.0, plan.faults_until * rng.choice((0.1, 1.0)))
            self.after(at, lambda name=f"d{number}": self.callers.schedule(name))  # type: ignore[misc]
        for _ in range(plan.wishes):
            self.after(rng.uniform(0.0, plan.faults_until + 2.0), self.callers.wish)
        for _ in range(plan.workers):
            self.after(rng.uniform(0.0, 1.0), self._begin)
        if self._commits_fail():
            self.tell(h.FaultBegan(0.0, what="commits fail"))
        self.after(_FAULTS_EVERY, self._faults)
        self.after(plan.faults_until, self._calm_down)
        deadline = plan.faults_until + _LIVENESS
        looked = 0.0
        while self._agenda and self.now < deadline:
            self.now, _, action = heapq.heappop(self._agenda)
            action()
            if self.calm and self.now - looked > 1.0:
                looked = self.now
                if self._drained():
                    break
        self._dump()
        return [*check(self.history, config=self._config()), *self._poison()]

    def _poison(self) -> list[Violation]:
        """I17: a call that crashes is given up before it has ended many workers, and no other one is."""
        found: list[Violation] = []
        for call in self.calls.values():
            crashes = {"crash", "crack"} & set(call.script.endings)
            if call.crashes > _MOST_CRASHES:
                found.append(Violation("I17", f"{call.name} has ended {call.crashes} workers"))
            if call.condemned and not crashes and call.cut_off < MOST_CRASHES:
                told = f"{call.name} is given up, but named {call.cut_off} times when a worker went"
                found.append(Violation("I17", told))
        return found

    def _drained(self) -> bool:
        return (
            all(self.group.offsets.get(place, (0, ""))[0] >= log.end for place, log in self.logs.items())
            and not any(log.live for log in self.changelogs.values())
            and not any(worker.alive and worker.busy for worker in self.workers)
            and not self.callers.waiting
        )

    def _dump(self) -> None:
        for place, log in self.logs.items():
            for record in log.records:
                self.tell(
                    h.Logged(
                        self.now,
                        place=place,
                        offset=record.offset(),
                        call=self.call(record.value()).name,
                        key=record.key(),
                        value_digest=str(record.value()),
                    )
                )
            if place in self.group.offsets:
                self.tell(h.FinalCommit(self.now, place=place, offset=self.group.offsets[place][0]))

    def _patient(self) -> bool:
        """Whether there is time to write what is to be written before a partition is given back."""
        plan = self.plan
        return plan.revoke_grace > 2 * (plan.read_lag + plan.write_lag + plan.ack_lag) + (
            1.6 if plan.stall else 0.1
        )

    def _most_stored(self) -> int:
        """Calls that may come from the deferred store at once."""
        plan = self.plan
        return plan.partitions * min(plan.delayed + plan.calls, 2 * plan.room + plan.room + plan.batch)

    def _config(self) -> Config:
        plan = self.plan
        stall = 1.6 if plan.stall else 0.1
        return Config(
            graceful_only=plan.graceful and not plan.slow and plan.metadata >= 4000 and self._patient(),
            rules=self.rules,
            slots=plan.slots,
            max_records=2 * plan.bounds.records + _FETCH * plan.partitions + self._most_stored(),
            session_timeout=plan.session,
            confirmed=True,
            commit_window=plan.rhythm.patience + plan.rhythm.idle + 2 * stall,
            erase_window=plan.rhythm.patience + plan.rhythm.idle + 2 * stall + 6.0,
            notice=None if plan.slow else plan.read_lag + 4 * stall + 2.0,
            report_lag=stall,
            revoke_budget=plan.revoke_grace,
            forgetful=plan.metadata < 4000,
            exit_slack=1.0 + 2 * stall,
            dead_headers=frozenset(),
        )
