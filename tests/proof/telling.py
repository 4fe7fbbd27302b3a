"""Turns a history into a story; tells (H0) where the history contradicts itself."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from .expectations import Config
from .history import (
    AnyEvent,
    AssignedTo,
    Buried,
    Committed,
    DeadLogged,
    DelayedLogged,
    Effect,
    Ended,
    Enqueued,
    EnqueueFailed,
    EnqueueUnknown,
    Event,
    Exited,
    FaultBegan,
    FaultEnded,
    FinalCommit,
    Frozen,
    Gap,
    GapInjected,
    Killed,
    LeaseUntil,
    Logged,
    LostBy,
    OffsetsReset,
    Place,
    Replayed,
    RevokedFrom,
    SaveTold,
    Saving,
    Scheduled,
    Started,
    TermBegan,
    Thawed,
    TookPlace,
    home,
)
from .shelving import read_stores
from .story import NEVER, Attempt, Lease, Log, Outage, Placing, Process, Record, Session, State, Story
from .violations import Findings

_Handler = Callable[[int, Any], None]

#: What ends an attempt that never began.
_WITHOUT_RUN = frozenset({"expired", "early", "condemned"})


def tell(history: Iterable[AnyEvent], config: Config, findings: Findings) -> Story:
    """Read a history twice: for the logs, and for what the processes did with them."""
    story = Story(sorted(history, key=attrgetter("t")))
    _Logs(story).read()
    read_stores(story)
    _Deeds(story, config, findings).read()
    return story


def _read(events: Iterable[AnyEvent], handlers: dict[type[Event], _Handler]) -> None:
    for seq, event in enumerate(events):
        handler = handlers.get(type(event))
        if handler is not None:
            handler(seq, event)


class _Logs:
    """What was enqueued, and what the dumps show."""

    def __init__(self, story: Story) -> None:
        self._story = story
        #: Where enqueuers put calls into the deferred store.
        self._in_store: dict[tuple[Place, int], DelayedLogged] = {}

    def read(self) -> None:
        story = self._story
        handlers: dict[type[Event], _Handler] = {
            Logged: self._logged,
            Enqueued: self._enqueued,
            Scheduled: self._scheduled,
            DelayedLogged: self._delayed_logged,
            EnqueueFailed: lambda _, event: story.failed.add(event.call),
            EnqueueUnknown: self._unknown,
            Replayed: self._replayed,
            DeadLogged: lambda _, event: story.dead.append(event),
            GapInjected: lambda _, event: self._log(event.place).deletions.append(event),
            Gap: lambda _, event: self._log(event.place).gaps.append(event),
        }
        _read(story.events, handlers)
        for log in story.logs.values():
            self._arrange(log)
        for dead in story.dead:
            self._trace(dead)

    def _log(self, place: Place) -> Log:
        log = self._story.logs.get(place)
        if log is None:
            log = self._story.logs[place] = Log(place)
        return log

    def _logged(self, _: int, event: Logged) -> None:
        records = self._log(event.place).records
        record = records.get(event.offset)
        if record is None:
            record = Record(event.place, event.offset, event.call, event.key, event)
            records[event.offset] = record
        elif record.logged or record.call != event.call or record.key != event.key:
            self._story.clashes.append((f"{record} is another record in the dump", record.source, event))
            record.call, record.key = event.call, event.key
        record.logged = True
        record.digest = event.value_digest
        record.headers = event.headers

    def _enqueued(self, _: int, event: Enqueued) -> None:
        self._story.enqueued[event.call].append(event)
        records = self._log(event.place).records
        record = records.get(event.offset)
        if record is None:
            records[event.offset] = Record(event.place, event.offset, event.call, event.key, event)
        elif record.call != event.call or record.key != event.key:
            self._story.clashes.append(
                (f"call {event.call!r} was acknowledged at the offset of {record}", record.source, event)
            )

    def _scheduled(self, _: int, event: Scheduled) -> None:
        self._story.scheduled.add(event.call)
        record = Record(event.place, event.offset, event.call, event.key, event, due=event.due)
        self._log(event.place).records[event.offset] = record

    def _delayed_logged(self, _: int, event: DelayedLogged) -> None:
        if event.what == "call" and not event.inc:
            self._in_store[event.place, event.offset] = event

    def _unknown(self, _: int, event: EnqueueUnknown) -> None:
        self._story.unknown[event.call] += 1

    def _replayed(self, _: int, event: Replayed) -> None:
        if event.call is not None:
            self._story.replayed[event.call] += 1

    def _arrange(self, log: Log) -> None:
        log.order = sorted(log.records.values(), key=attrgetter("offset"))
        lanes: defaultdict[bytes, list[Record]] = defaultdict(list)
        for record in log.order:
            if record.call is not None:
                self._story.positions[record.call].append(record)
            if record.due is not None:
                if (put := self._in_store.get((record.place, record.offset))) is not None:
                    record.logged, record.digest = True, put.value_digest
            elif record.key is not None:
                lane = lanes[record.key]
                record.rank = len(lane)
                lane.append(record)
        log.lanes = dict(lanes)
        for deletion in log.deletions:
            first = bisect_left(log.order, deletion.first, key=attrgetter("offset"))
            after = bisect_left(log.order, deletion.after, key=attrgetter("offset"))
            for record in log.order[first:after]:
                record.deleted = True

    def _trace(self, dead: DeadLogged) -> None:
        """Find the record that a dead letter came from."""
        if dead.source is not None:
            topic, number, offset = dead.source
            log = self._story.logs.get((topic, number))
            if log is not None and (record := log.records.get(offset)) is not None:
                record.dead.append(dead)


class _Deeds:
    """What the processes did."""

    def __init__(self, story: Story, config: Config, findings: Findings) -> None:
        self._story = story
        self._config = config
        self._findings = findings
        self._states: dict[str, State] = {}
        self._floors: dict[Place, int] = {}
        self._faults: dict[tuple[str, str], Outage] = {}

    def read(self) -> None:
        handlers: dict[type[Event], _Handler] = {
            AssignedTo: self._assigned,
            RevokedFrom: lambda seq, event: self._let_go(seq, event, "revoked"),
            LostBy: lambda seq, event: self._let_go(seq, event, "lost"),
            LeaseUntil: self._lease,
            Started: self._started,
            Saving: self._saving,
            SaveTold: self._save_told,
            Ended: self._ended,
            Effect: self._effect,
            Buried: self._buried,
            TookPlace: self._took_place,
            Committed: self._committed,
            OffsetsReset: self._reset,
            FinalCommit: self._final,
            Killed: lambda seq, event: self._gone(seq, event, crashed=True),
            Exited: lambda seq, event: self._gone(seq, event, crashed=event.code != 0),
            Frozen: lambda seq, event: self._alive(seq, event).frozen.append((seq, NEVER)),
            Thawed: self._thawed,
            TermBegan: lambda seq, event: self._alive(seq, event).terms.append((seq, event.grace)),
            FaultBegan: self._fault_began,
            FaultEnded: self._fault_ended,
        }
        _read(self._story.events, handlers)

    # --- processes and ownership -------------------------------------------------------------------

    def _process(self, inc: str) -> Process:
        process = self._story.processes.get(inc)
        if process is None:
            process = self._story.processes[inc] = Process(inc)
        return process

    def _alive(self, seq: int, event: Event) -> Process:
        """The process of the event, which it cannot have outlived."""
        process = self._process(event.inc)
        if process.gone != NEVER:
            gone = self._story.events[process.gone]
            self._findings.add("H0", f"{event.inc} does something after its end", gone, event)
        return process

    def _assigned(self, seq: int, event: AssignedTo) -> None:
        process = self._alive(seq, event)
        previous = process.sessions.get(event.place)
        if previous is not None and previous.ended == NEVER:
            previous.ended, previous.how = seq, "replaced"
        floor = max(event.offset, self._floors.get(event.place, event.offset))
        self._log(event.place).commits.append(seq)
        session = Session(event.inc, event.place, event.epoch, event.offset, seq, floor)
        process.sessions[event.place] = process.epochs[event.place, event.epoch] = session
        process.heard = max(process.heard, event.t)
        self._story.sessions.append(session)

    def _let_go(self, seq: int, event: RevokedFrom | LostBy, how: str) -> None:
        session = self._alive(seq, event).sessions.get(event.place)
        if session is not None and session.ended == NEVER:
            session.ended, session.how = seq, how

    def _lease(self, seq: int, event: LeaseUntil) -> None:
        process = self._alive(seq, event)
        process.leases.append(Lease(seq, event.until, process.heard))

    def _gone(self, seq: int, event: Killed | Exited, *, crashed: bool) -> None:
        process = self._alive(seq, event)
        process.gone, process.crashed = seq, crashed
        for session in process.sessions.values():
            if session.ended == NEVER:
                session.ended, session.how = seq, "gone"
        for attempts in process.running.values():
            for attempt in attempts:
                attempt.until = seq
        process.running.clear()

    def _thawed(self, seq: int, event: Thawed) -> None:
        frozen = self._alive(seq, event).frozen
        if not frozen or frozen[-1][1] != NEVER:
            self._findings.add("H0", f"{event.inc} is thawed but was not frozen", event)
            return
        frozen[-1] = (frozen[-1][0], seq)

    # --- attempts ----------------------------------------------------------------------------------

    def _record(self, event: Started | Ended | Buried) -> Record:
        log = self._log(event.place)
        record = log.records.get(event.offset)
        if record is None:
            key = None if isinstance(event, Buried) else event.key
            record = Record(event.place, event.offset, event.call, key, event, known=False)
            log.records[event.offset] = record
        elif record.call != event.call or (not isinstance(event, Buried) and record.key != event.key):
            what = type(event).__name__
            self._story.clashes.append((f"{what} takes {record} for another", record.source, event))
        return record

    def _attempt(self, seq: int, event: Started | Ended | Buried, session: Session | None) -> Attempt:
        process = self._process(event.inc)
        record = self._record(event)
        number = 1 if isinstance(event, Buried) else event.attempt
        lease = process.leases[-1].until if process.leases else None
        attempt = Attempt(record, event.inc, session, number, seq, lease, process.heard)
        record.attempts.append(attempt)
        if session is not None:
            session.attempts.append(attempt)
        self._story.attempts.append(attempt)
        return attempt

    def _started(self, seq: int, event: Started) -> None:
        process = self._alive(seq, event)
        attempt = self._attempt(seq, event, process.epochs.get((home(event.place), event.epoch)))
        process.running.setdefault((event.place, event.offset), []).append(attempt)
        process.latest[event.call] = attempt
        attempt.state = event.state

    def _saving(self, seq: int, event: Saving) -> None:
        session = self._alive(seq, event).epochs.get((home(event.place), event.epoch))
        state = State(event.state, seq, session)
        self._states[event.state] = state
        self._log(event.place).records[event.offset].states.append(state)

    def _save_told(self, seq: int, event: SaveTold) -> None:
        self._alive(seq, event)
        state = self._states[event.state]
        state.told, state.fate = seq, event.fate

    def _ended(self, seq: int, event: Ended) -> None:
        process = self._alive(seq, event)
        attempt = self._running(process, event)
        if attempt is None:
            attempt = self._attempt(seq, event, process.epochs.get((home(event.place), event.epoch)))
            attempt.ran = False
            if event.result not in _WITHOUT_RUN:
                self._findings.add("H0", f"an attempt ended {event.result!r} that never started", event)
        elif attempt.number != event.attempt:
            self._findings.add(
                "H0",
                f"attempt {attempt.number} of {attempt.record} ended as attempt {event.attempt}",
                self._story.at(attempt.started),
                event,
            )
        attempt.ended = attempt.until = seq
        attempt.result, attempt.due = event.result, event.due
        if event.result in ("ok", "discarded", "expired"):
            self._settle(attempt.record, seq, by_success=event.result == "ok")

    def _running(self, process: Process, event: Ended) -> Attempt | None:
        running = process.running.get((event.place, event.offset))
        if not running:
            return None
        if len(running) == 1:
            del process.running[event.place, event.offset]
            return running[0]
        epochs = [a.session.epoch if a.session is not None else event.epoch for a in running]
        fitting = [
            index
            for index, attempt in enumerate(running)
            if attempt.number == event.attempt and epochs[index] == event.epoch
        ]
        return running.pop(fitting[-1] if fitting else -1)

    def _effect(self, seq: int, event: Effect) -> None:
        attempt = self._affected(seq, event)
        if attempt is None:
            self._findings.add("H0", f"call {event.call!r} ran in {event.inc} without a start", event)
        elif event.ok:
            if attempt.effect == NEVER:
                attempt.effect = seq
            else:
                self._story.doubled.append((attempt, seq))
            attempt.record.effect = min(attempt.record.effect, seq)

    def _affected(self, seq: int, event: Effect) -> Attempt | None:
        """The attempt that a body ran in."""
        attempt = self._process(event.inc).latest.get(event.call)
        if attempt is None:
            return None
        record = attempt.record
        if event.place is not None and event.offset is not None:
            log = self._story.logs.get(event.place)
            record = log.records.get(event.offset, record) if log is not None else record
        if len(record.attempts) == 1 and attempt.record is record and attempt.number == event.attempt:
            return attempt
        own = [a for a in record.attempts if a.inc == event.inc and a.number == event.attempt]
        if not own:
            self._story.odd_effects.append((f"its attempt is number {attempt.number}", seq))
            return attempt
        # Of those that may have had it, the oldest that still runs without one.
        waiting = [a for a in own if a.effect == NEVER and a.until == NEVER]
        return waiting[0] if waiting else own[-1]

    def _buried(self, seq: int, event: Buried) -> None:
        process = self._alive(seq, event)
        if event.epoch is None:
            session = process.sessions.get(home(event.place))
        else:
            session = process.epochs.get((home(event.place), event.epoch))
        record = self._record(event)
        if not any(attempt.inc == event.inc and attempt.session is session for attempt in record.attempts):
            attempt = self._attempt(seq, event, session)
            attempt.ran = False
            attempt.ended = attempt.until = seq
        record.burials.append((seq, session))
        self._settle(record, seq, by_success=False)

    def _took_place(self, seq: int, event: TookPlace) -> None:
        session = self._alive(seq, event).sessions.get(home(event.place))
        record = self._log(event.place).records.get(event.offset)
        if session is not None and record is not None:
            session.placings.append(Placing(seq, record, event.before))

    def _settle(self, record: Record, seq: int, *, by_success: bool) -> None:
        record.settled = min(record.settled, seq)
        if not by_success:
            record.given_up = min(record.given_up, seq)

    # --- commits -------------------------------------------------------------------------------------

    def _log(self, place: Place) -> Log:
        log = self._story.logs.get(place)
        if log is None:
            log = self._story.logs[place] = Log(place)
        return log

    def _committed(self, seq: int, event: Committed) -> None:
        process = self._alive(seq, event)
        self._log(event.place).commits.append(seq)
        floor = self._floors.get(event.place, event.offset)
        self._floors[event.place] = max(floor, event.offset)
        sent = event.t if event.sent is None else event.sent
        process.heard = max(process.heard, sent)
        session = process.sessions.get(event.place)
        if session is not None:
            lag = self._config.commit_window if event.sent is None else self._config.report_lag
            session.commits.append((seq, sent - lag, event.offset))

    def _reset(self, seq: int, event: OffsetsReset) -> None:
        log = self._log(event.place)
        log.commits.append(seq)
        log.resets.append((seq, event.offset))
        for record in log.order:
            record.left_out = record.offset < event.offset and record.settled == NEVER
        self._floors[event.place] = event.offset

    def _final(self, seq: int, event: FinalCommit) -> None:
        log = self._log(event.place)
        log.commits.append(seq)
        log.final = event

    def _fault_began(self, seq: int, event: FaultBegan) -> None:
        outage = Outage(event.t, float("inf"), event.inc)
        self._faults[event.inc, event.what] = outage
        self._story.outages.append(outage)

    def _fault_ended(self, seq: int, event: FaultEnded) -> None:
        outage = self._faults.pop((event.inc, event.what), None)
        if outage is None:
            self._findings.add("H0", f"fault {event.what!r} ended but never began", event)
        else:
            outage.ended = event.t
