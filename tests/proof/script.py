"""Writes histories by hand, a step at a time: what the examples of right and wrong runs are made with.

A script does what it is told, right or wrong; what it is not told, it does right: time passes, the log
grows, a commit takes the watermark and renews the lease, the end dumps everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from .history import (
    AnyEvent,
    AssignedTo,
    Buried,
    Committed,
    DeadLogged,
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
    Started,
    TermBegan,
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

    def start(self, inc: str, what: str | Logged, attempt: int = 1, *, epoch: int | None = None) -> Run:
        """Begin an attempt."""
        record = self.record(what)
        run = Run(inc, record, attempt, self._epochs[inc, record.place] if epoch is None else epoch)
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
            )
        )
        return run

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
            self._shelves[record.place].settled.add(record.offset)

    def decide(self, inc: str, what: str | Logged, result: Result) -> None:
        """Say what becomes of a call without running it."""
        record = self.record(what)
        self.end(Run(inc, record, 1, self._epochs[inc, record.place]), result)

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
        self._shelves[record.place].settled.add(record.offset)
        dead = DeadLogged(
            0.0,
            place=(f"{topic}.dead", part),
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
