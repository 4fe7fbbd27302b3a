"""Writes histories by hand, a step at a time: what the examples of right and wrong runs are made with.

A script does what it is told, right or wrong; what it is not told, it does right: time passes, the log
grows, a commit takes the watermark and renews the lease, the end dumps everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

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
    Exited,
    FinalCommit,
    Headers,
    Killed,
    LeaseUntil,
    Logged,
    LostBy,
    Place,
    Result,
    RevokedFrom,
    SaveTold,
    Saving,
    Scheduled,
    Started,
    TermBegan,
    Told,
    TookPlace,
    home,
)

TOPIC = "kjobs.mail"

#: Seconds between two steps, and from a commit until its lease ends.
STEP = 0.01
LEASE = 8.0


@dataclass(slots=True)
class Run:
    """An attempt that a script began."""

    inc: str
    record: Logged
    attempt: int
    epoch: int


@dataclass(slots=True)
class Shelf:
    """A partition as a script knows it."""

    records: list[Logged] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    committed: int = 0
    epoch: int = 0

    def watermark(self) -> int:
        """The offset below which everything is finished."""
        unsettled = (record.offset for record in self.records if record.offset not in self.settled)
        return next(unsettled, len(self.records))


class Script:
    """A history in the making."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.now = 100.0
        self.dump: list[Logged] = []
        self.dead: list[DeadLogged] = []
        self.leases = True
        self.tells_sent = True
        self._shelves: dict[Place, Shelf] = {}
        self._epochs: dict[tuple[str, Place], int] = {}
        self._seqs: dict[str, int] = {}
        self._first: dict[str, Logged] = {}
        self._ends: dict[int, int] = {}
        self._names: dict[str, str] = {}
        self._dues: dict[str, float] = {}

    # --- time ----------------------------------------------------------------------------------------

    def tick(self, seconds: float = STEP) -> float:
        """Let time pass; returns the new time."""
        self.now = round(self.now + seconds, 6)
        return self.now

    def add(self, *events: AnyEvent) -> None:
        """Add events as they are."""
        self.events.extend(events)

    # --- enqueueing ----------------------------------------------------------------------------------

    def shelf(self, part: int = 0) -> Shelf:
        """The state of a partition."""
        return self._shelves.setdefault((TOPIC, part), Shelf())

    def append(
        self, call: str | None, key: bytes | None = None, part: int = 0, *, headers: Headers = ()
    ) -> Logged:
        """Put a record into the log without saying so: what is not a call, or what nobody saw written."""
        records = self.shelf(part).records
        record = Logged(
            0.0,
            place=(TOPIC, part),
            offset=len(records),
            call=call,
            key=key,
            value_digest=f"digest of {call} at {len(records)}",
            headers=headers,
        )
        records.append(record)
        self.dump.append(record)
        if call is not None:
            self._first.setdefault(call, record)
        return record

    def enqueue(
        self,
        *calls: str,
        key: bytes | None = None,
        part: int = 0,
        producer: str = "web",
        headers: Headers = (),
        due: float | None = None,
    ) -> None:
        """Enqueue calls, acknowledged, one after the other."""
        for call in calls:
            record = self.append(call, key, part, headers=headers)
            self.acknowledge(record, producer=producer, due=due)

    def acknowledge(self, record: Logged, *, producer: str = "web", due: float | None = None) -> None:
        """Say that a call was enqueued, as the next one of its producer."""
        seq = self._seqs[producer] = self._seqs.get(producer, -1) + 1
        assert record.call is not None
        event = Enqueued(
            self.tick(),
            producer,
            call=record.call,
            place=record.place,
            offset=record.offset,
            key=record.key,
            producer=producer,
            seq=seq,
            due=due,
        )
        self.add(event)

    def record(self, what: str | Logged) -> Logged:
        """The record of a call: the first one, if it has several."""
        return self._first[what] if isinstance(what, str) else what

    # --- ownership -----------------------------------------------------------------------------------

    def assign(self, inc: str, part: int = 0, *, offset: int | None = None, epoch: int | None = None) -> None:
        """Give a partition to a process, which commits at once what it found."""
        shelf, place = self.shelf(part), (TOPIC, part)
        shelf.epoch = shelf.epoch + 1 if epoch is None else epoch
        self._epochs[inc, place] = shelf.epoch
        start = shelf.committed if offset is None else offset
        self.add(AssignedTo(self.tick(), inc, place=place, epoch=shelf.epoch, offset=start))
        self.commit(inc, part, offset=shelf.committed)

    def revoke(self, inc: str, part: int = 0) -> None:
        """Take a partition away in order: with a last commit."""
        self.add(RevokedFrom(self.tick(), inc, place=(TOPIC, part)))
        self.commit(inc, part, lease=False)

    def lose(self, inc: str, part: int = 0) -> None:
        """Tell a process that its partition is another's already."""
        self.add(LostBy(self.tick(), inc, place=(TOPIC, part)))

    def commit(
        self, inc: str, part: int = 0, *, offset: int | None = None, lease: bool = True, delay: float = STEP
    ) -> None:
        """Commit the watermark, or another offset, and have it acknowledged."""
        shelf = self.shelf(part)
        shelf.committed = shelf.watermark() if offset is None else offset
        sent = self.tick()
        event = Committed(
            self.tick(delay),
            inc,
            place=(TOPIC, part),
            offset=shelf.committed,
            sent=sent if self.tells_sent else None,
        )
        self.add(event)
        if lease and self.leases:
            self.add(LeaseUntil(self.now, inc, until=sent + LEASE))

    # --- attempts ------------------------------------------------------------------------------------

    def start(
        self,
        inc: str,
        what: str | Logged,
        attempt: int = 1,
        *,
        epoch: int | None = None,
        state: str | None = None,
    ) -> Run:
        """Begin an attempt."""
        record = self.record(what)
        run = Run(inc, record, attempt, self._epochs[inc, home(record.place)] if epoch is None else epoch)
        self.add(
            Started(
                self.tick(),
                inc,
                call=record.call,
                place=record.place,
                offset=record.offset,
                key=record.key,
                attempt=attempt,
                epoch=run.epoch,
                state=state,
            )
        )
        return run

    def save(self, run: Run, state: str, fate: str = "saved", *, written: bool = True) -> None:
        """Let a call that runs save a state; ``written``: it is in the log of the deferred store."""
        record = run.record
        assert record.call is not None
        ask = Saving(
            self.tick(),
            run.inc,
            call=record.call,
            place=record.place,
            offset=record.offset,
            epoch=run.epoch,
            state=state,
        )
        self.add(ask)
        if written:
            self.store(run.inc, record.call, failures=run.attempt - 1, state=state)
        if fate:
            self.add(SaveTold(self.tick(), run.inc, call=record.call, state=state, fate=fate))

    def effect(self, run: Run, *, exact: bool = False) -> None:
        """Let the body of the job do its work; ``exact``: it also says at which record."""
        assert run.record.call is not None
        place, offset = (run.record.place, run.record.offset) if exact else (None, None)
        event = Effect(
            self.tick(), run.inc, call=run.record.call, attempt=run.attempt, place=place, offset=offset
        )
        self.add(event)

    def end(
        self, run: Run, result: Result = "ok", *, retry_in: float | None = None, effect: bool = True
    ) -> None:
        """End an attempt; a successful one has its effect just before."""
        record = run.record
        if result == "ok" and effect:
            self.effect(run)
        t = self.tick()
        self.add(
            Ended(
                t,
                run.inc,
                call=record.call,
                place=record.place,
                offset=record.offset,
                key=record.key,
                attempt=run.attempt,
                epoch=run.epoch,
                result=result,
                due=None if retry_in is None else t + retry_in,
            )
        )
        if result in ("ok", "discarded", "expired"):
            self._settle(record)

    def decide(self, inc: str, what: str | Logged, result: Result) -> None:
        """Say what becomes of a call without running it."""
        record = self.record(what)
        self.end(Run(inc, record, 1, self._epochs[inc, home(record.place)]), result)

    def run(
        self,
        inc: str,
        what: str | Logged,
        result: Result = "ok",
        *,
        attempt: int = 1,
        retry_in: float | None = None,
    ) -> None:
        """Begin and end an attempt."""
        self.end(self.start(inc, what, attempt), result, retry_in=retry_in)

    def bury(
        self, inc: str, what: str | Logged, *, reason: str = "not-retried", written: bool = True
    ) -> DeadLogged:
        """Write a record to the dead letter topic, acknowledged."""
        record = self.record(what)
        topic, part = record.place
        self.add(
            Buried(
                self.tick(), inc, call=record.call, place=record.place, offset=record.offset, reason=reason
            )
        )
        self._settle(record)
        dead = DeadLogged(
            0.0,
            place=(f"{home(record.place)[0]}.dead", part),
            offset=len(self.dead),
            call=record.call,
            key=record.key,
            value_digest=record.value_digest,
            headers=(*record.headers, ("kj-reason", reason.encode())),
            source=(topic, part, record.offset),
        )
        if written:
            self.dead.append(dead)
        return dead

    def _settle(self, record: Logged) -> None:
        if home(record.place) == record.place:
            self._shelves[record.place].settled.add(record.offset)

    # --- the deferred store ----------------------------------------------------------------------------

    def schedule(
        self,
        call: str,
        *,
        due_in: float,
        key: bytes | None = None,
        part: int = 0,
        name: str | None = None,
        written: bool = True,
    ) -> None:
        """Delay a call; ``name``: that of an earlier one, which it replaces."""
        due = self.tick() + due_in
        place = (f"{TOPIC}.delayed", part)
        record = Logged(
            0.0,
            place=place,
            offset=self._ends.get(part, 0),
            call=call,
            key=key,
            value_digest=f"digest of {call}",
        )
        self._first[call] = record
        self._names[call] = name or call
        self._dues[call] = due
        if written:
            self._log("", call, what="call", due=due, digest=record.value_digest)
        self.add(
            Scheduled(
                self.now,
                call=call,
                name=self._names[call],
                place=place,
                offset=record.offset,
                key=key,
                due=due,
            )
        )

    def take_place(self, inc: str, call: str, *, before: int | None = None) -> None:
        """Let a delayed call that is due take its place behind what is in the queue."""
        record = self._first[call]
        if before is None:
            before = len(self.shelf(record.place[1]).records)
        event = TookPlace(
            self.tick(), inc, call=call, place=record.place, offset=record.offset, before=before
        )
        self.add(event)

    def store(
        self,
        inc: str,
        call: str,
        *,
        due_in: float = 0.0,
        failures: int = 0,
        rank: tuple[int, int] | None = None,
        state: str | None = None,
    ) -> None:
        """Write a call to the deferred store's log, acknowledged: for a retry, or behind one."""
        record = self._first[call]
        if home(record.place) == record.place:
            self._names[call] = f"{call}@{record.offset}"
            rank = (record.offset, 1 << 53) if rank is None else rank
        self.tick()
        self._log(inc, call, what="call", due=self.now + due_in, failures=failures, rank=rank, state=state)
        self._settle(record)

    def erase(self, inc: str, call: str) -> None:
        """Write to the deferred store's log that a call waits no more."""
        self.tick()
        self._log(inc, call, what="end")

    def ask(self, call: str, *, due_in: float | None = None, request: str = "r1") -> None:
        """Wish a call not to run, or to run at another time."""
        self.tick()
        if due_in is None:
            self._log("", call, what="end", request=request)
        else:
            self._log("", call, what="move", request=request, due=self.now + due_in)

    def answer(self, inc: str, verdict: str, *, request: str = "r1") -> None:
        """Tell whoever asked what comes of it."""
        self.tick()
        self._log(inc, request, what="answer", request=request, verdict=verdict)
        self.add(Told(self.tick(), request=request, verdict=verdict))

    def _log(self, inc: str, name: str, *, digest: str = "", **said: Any) -> None:
        part = self._first[name].place[1] if name in self._first else 0
        offset = self._ends[part] = self._ends.get(part, 0) + 1
        event = DelayedLogged(
            self.now,
            inc,
            place=(f"{TOPIC}.delayed", part),
            offset=offset - 1,
            name=self._names.get(name, name),
            call=name if said["what"] == "call" else None,
            value_digest=digest,
            epoch=self._epochs.get((inc, (TOPIC, part)), 0),
            **said,
        )
        self.add(event)

    # --- processes -------------------------------------------------------------------------------------

    def kill(self, inc: str) -> None:
        """Kill a process."""
        self.add(Killed(self.tick(), inc))

    def stop(self, inc: str, *parts: int, grace: float = 5.0) -> None:
        """Stop a process in order."""
        self.add(TermBegan(self.tick(), inc, grace=grace))
        for part in parts:
            self.revoke(inc, part)
        self.add(Exited(self.tick(), inc, code=0))

    # --- the end ---------------------------------------------------------------------------------------

    def finish(self) -> list[AnyEvent]:
        """Read the committed offsets and dump the topics."""
        for place, shelf in self._shelves.items():
            self.add(FinalCommit(self.tick(), place=place, offset=shelf.committed))
        self.tick()
        at_end: list[Logged | DeadLogged] = [*self.dump, *self.dead]
        for record in at_end:
            self.add(_at(record, self.now))
        return self.events


def _at(record: Logged | DeadLogged, t: float) -> Logged | DeadLogged:
    return msgspec.structs.replace(record, t=t)
