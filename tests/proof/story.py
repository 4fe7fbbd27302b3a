"""A history, told: logs of records, attempts to run them, sessions of ownership, processes.

Order is by *seq*, an event's index in the history sorted by time: unlike ``t`` it is never equal for two
events. ``NEVER`` stands for what did not happen.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from .history import (
    AnyEvent,
    DeadLogged,
    DelayedLogged,
    Enqueued,
    FinalCommit,
    Gap,
    GapInjected,
    Headers,
    Place,
    Result,
)

#: The seq of what did not happen: later than everything.
NEVER = sys.maxsize


@dataclass(slots=True, eq=False)
class Record:
    """A record of a queue topic, and what became of it.

    Attributes:
        call: the call's id, None if it is not a call.
        source: the event that told of it first.
        known: it is in the log, by the dump or by an acknowledgement.
        logged: it is in the dump.
        deleted: it was deleted from the log, read or not.
        left_out: somebody set the offsets past it before it was finished.
        rank: its index in its lane; -1 without a key, or if it is not known.
        settled: seq of when it was first finished, in whatever way.
        given_up: seq of when it was first finished other than by success.
        effect: seq of the first time that its body did its work.
        burials: seq and session of each acknowledged dead letter.
        dead: its dead letters in the dump.
        due: when it is due, if it was enqueued with a delay.
        stays: its times in the deferred store.
        withdrawn: seq from which on it need not run: it was cancelled, or replaced.
        displaced: seq from which on it may have no place in the order of its key: it was to be moved.
        wishes: what others wanted of it, in the order of the log.
        ends: seqs of the records in that log by which workers ended it.
        states: what it asked to be saved, in that order.
    """

    place: Place
    offset: int
    call: str | None
    key: bytes | None
    source: AnyEvent
    known: bool = True
    logged: bool = False
    digest: str = ""
    headers: Headers = ()
    deleted: bool = False
    left_out: bool = False
    rank: int = -1
    settled: int = NEVER
    given_up: int = NEVER
    effect: int = NEVER
    attempts: list[Attempt] = field(default_factory=list)
    burials: list[tuple[int, Session | None]] = field(default_factory=list)
    dead: list[DeadLogged] = field(default_factory=list)
    due: float | None = None
    stays: list[Stay] = field(default_factory=list)
    withdrawn: int = NEVER
    displaced: int = NEVER
    wishes: list[Wish] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def excused(self) -> bool:
        """Whether it need not be finished."""
        return self.deleted or self.left_out

    @property
    def released(self) -> int:
        """Seq from which on it does not hold up others: it is finished, or need not run now."""
        return min(self.settled, self.withdrawn, self.displaced)

    def stays_at(self, seq: int) -> bool:
        """Whether the deferred store had it."""
        return any(stay.began <= seq < stay.ended for stay in self.stays)

    def __str__(self) -> str:
        what = "an undecodable record" if self.call is None else f"call {self.call!r}"
        key = "" if self.key is None else f" of key {self.key!r}"
        return f"{what}{key} at {self.place[0]}[{self.place[1]}]@{self.offset}"


@dataclass(slots=True, eq=False)
class Stay:
    """A time in which the log of the deferred store said that a call waits, from seq to seq.

    Attributes:
        rows: seq, and what the record says: failures, rank.
    """

    began: int
    ended: int = NEVER
    rows: list[tuple[int, DelayedLogged]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Wish:
    """Somebody wanted a call not to run, or (``due``) to run at another time.

    Attributes:
        seq: of its record in the log.
        done: seq of the record that moves it.
        told: seq of the answer, as whoever asked was told.
        answered: seq of the answer in the log.
        inc: who answered.
    """

    request: str
    seq: int
    due: float | None
    done: int = NEVER
    told: int = NEVER
    answered: int = NEVER
    verdict: str = ""
    inc: str = ""


@dataclass(slots=True, eq=False)
class State:
    """A state that a call that runs asked to be saved.

    Attributes:
        seq: of the request.
        session: of the attempt that asked.
        told: seq of the answer.
        fate: the answer.
    """

    name: str
    seq: int
    session: Session | None
    told: int = NEVER
    fate: str = ""


@dataclass(slots=True, eq=False)
class Placing:
    """A delayed call took its place in the order of its key, before an offset of the queue."""

    seq: int
    record: Record
    before: int


@dataclass(slots=True, eq=False)
class Session:
    """The time from the assignment of a partition to a process until its revocation.

    Attributes:
        how: how it ended: "revoked", "lost", "gone" with its process, "replaced" by another assignment.
        floor: the lowest offset that it may start at: nothing below had to be run again.
        commits: of each acknowledged commit the seq, the time up to which attempts that had ended are
            surely in it, and the offset.
        attempts: in the order they began, within the session's time or not.
        placings: the places that delayed calls took.
    """

    inc: str
    place: Place
    epoch: int
    offset: int
    began: int
    floor: int
    ended: int = NEVER
    how: str = ""
    commits: list[tuple[int, float, int]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    placings: list[Placing] = field(default_factory=list)

    def protects(self, record: Record, t: float, before: int, *, forgetful: bool) -> bool:
        """Whether what happened to the record until ``t`` was surely committed before seq ``before``."""
        for seq, contains, offset in reversed(self.commits):
            if seq < before:
                return contains > t and (not forgetful or offset > record.offset)
        return False

    def last_heard(self, before: int) -> int:
        """Seq of the last sign of the group before ``before``: a commit, or the assignment."""
        return next((seq for seq, _, _ in reversed(self.commits) if seq < before), self.began)


@dataclass(slots=True, eq=False)
class Attempt:
    """One run of a record's call, or (``ran`` is false) a decision about it without a run.

    Attributes:
        session: the session of its epoch; None if there was none.
        ended: seq of ``Ended``.
        until: seq from which it no longer runs: it ended, or its process is gone.
        effect: seq of the first time that its body did its work.
        lease: until when its process might begin calls when it began; None if not told yet.
        heard: when its process had last heard from the group.
        state: with what it began.
    """

    record: Record
    inc: str
    session: Session | None
    number: int
    started: int
    lease: float | None
    heard: float
    ran: bool = True
    ended: int = NEVER
    until: int = NEVER
    effect: int = NEVER
    result: Result | None = None
    due: float | None = None
    state: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded, by the word of its body or of kjobs."""
        return self.ran and (self.effect != NEVER or self.result == "ok")

    @property
    def done(self) -> int:
        """Seq of its end, or of the end of its process if it ran until then."""
        return self.ended if self.ended != NEVER else self.until


@dataclass(slots=True)
class Lease:
    """A time in which a process may begin calls; ``heard``: the last sign of the group before it."""

    seq: int
    until: float
    heard: float


@dataclass(slots=True, eq=False)
class Process:
    """One incarnation of a process.

    Attributes:
        gone: seq of its end.
        crashed: it was killed, or gave up by force.
        frozen: seqs from and to of each freeze.
        terms: seq and grace of each request to stop.
        leases: what it took, in that order.
        heard: when it last heard from the group.
        sessions: its latest session of each partition.
        epochs: its latest session of each partition and epoch.
        running: its attempts that run now.
        latest: its latest attempt of each call.
    """

    inc: str
    gone: int = NEVER
    crashed: bool = False
    frozen: list[tuple[int, int]] = field(default_factory=list)
    terms: list[tuple[int, float]] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    heard: float = float("-inf")
    sessions: dict[Place, Session] = field(default_factory=dict)
    epochs: dict[tuple[Place, int], Session] = field(default_factory=dict)
    running: dict[tuple[Place, int], list[Attempt]] = field(default_factory=dict)
    latest: dict[str | None, Attempt] = field(default_factory=dict)

    def lease_at(self, seq: int) -> float | None:
        """Until when it might begin calls, as it knew at ``seq``."""
        index = bisect_right(self.leases, seq, key=attrgetter("seq"))
        return self.leases[index - 1].until if index else None

    def frozen_at(self, seq: int) -> bool:
        """Whether it was frozen."""
        return any(began <= seq < ended for began, ended in self.frozen)


@dataclass(slots=True, eq=False)
class Log:
    """A partition of a queue topic: the truth about order.

    Attributes:
        records: by offset, those that somebody dealt with though they are not known included.
        order: the known ones, by offset.
        lanes: the known ones of each key, by offset.
        deletions: what was deleted.
        gaps: what was reported to be gone.
        commits: seqs of what shows the committed offset: acknowledged commits, assignments, resets, and
            the final commit.
        resets: seq and offset of each reset.
        final: the final commit.
    """

    place: Place
    records: dict[int, Record] = field(default_factory=dict)
    order: list[Record] = field(default_factory=list)
    lanes: dict[bytes, list[Record]] = field(default_factory=dict)
    deletions: list[GapInjected] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    final: FinalCommit | None = None

    def reset_between(self, first: int, last: int, offset: int) -> bool:
        """Whether the offsets were set to ``offset`` or below between two seqs."""
        return any(first < seq < last and to <= offset for seq, to in self.resets)


@dataclass(slots=True)
class Outage:
    """A time in which commits could fail; ``inc`` is "" if for everybody."""

    began: float
    ended: float
    inc: str


@dataclass(slots=True)
class Story:
    """Everything that a history tells.

    Attributes:
        clashes: what two events say differently about one offset: message, and the two.
        positions: the known records of each call.
        scheduled: the calls that were enqueued with a delay.
        wishes: what others wanted of calls.
        waiting: what a reader of a deferred store's log finds in the end, by name; None for a call that
            nobody knows.
        odd_effects: effects that no attempt accounts for: message, seq.
        doubled: attempts whose body did its work more than once, with the seq of the second time.
    """

    events: list[AnyEvent]
    logs: dict[Place, Log] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    processes: dict[str, Process] = field(default_factory=dict)
    positions: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    enqueued: defaultdict[str, list[Enqueued]] = field(default_factory=lambda: defaultdict(list))
    scheduled: set[str] = field(default_factory=set)
    wishes: list[Wish] = field(default_factory=list)
    waiting: dict[Place, dict[str, Record | None]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    unknown: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    replayed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    dead: list[DeadLogged] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    clashes: list[tuple[str, AnyEvent, AnyEvent]] = field(default_factory=list)
    odd_effects: list[tuple[str, int]] = field(default_factory=list)
    doubled: list[tuple[Attempt, int]] = field(default_factory=list)

    def t(self, seq: int) -> float:
        """When the event of this seq happened."""
        return self.events[seq].t if seq != NEVER else float("inf")

    def at(self, seq: int) -> AnyEvent | None:
        """The event of this seq."""
        return self.events[seq] if seq != NEVER else None

    def records(self) -> Iterator[Record]:
        """Every known record, partition by partition, by offset."""
        for log in self.logs.values():
            yield from log.order

    def lanes(self) -> Iterator[list[Record]]:
        """The records of each partition and key, by offset."""
        for log in self.logs.values():
            yield from log.lanes.values()
