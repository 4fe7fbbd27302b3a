"""How much is measured: in earnest, or only to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Counts and times of a run.

    Attributes:
        rounds: passes over all rows; what is told is the median over them.
        drain: calls of a no-op drain, and records of the raw loop, which reads the same ones.
        pause_seconds: how long a drain of pausing jobs should take; its calls are counted out from this.
        warm_broker: how long (s) a new broker is written to before that is timed: until it has compiled
            its code it takes five times as long for a record.
        enqueue_seconds: how long calls are enqueued one at a time.
        bulk: calls enqueued at once.
        bulks: times that they are, in one process; the median is taken.
        latencies: calls whose latency is taken, one each 10 ms.
        warm: calls before them that are not counted.
        waiting: calls that wait when a worker's memory is looked at.
        keys: the different keys among them.
        hot: those of them with the same key.
        crash: calls of which half are done when the worker is killed.
        crash_session: the session timeout (s) of that worker; None for the default.
        busy: calls that compute, more than two processes do in the time that is counted.
        busy_seconds: that time.
        storm: calls that are more than is done in a storm.
        storm_seconds: how long (s) it is counted in calm, and in a storm.
        restarts: processes that are replaced.
        poison: calls that are more than is done beside a call that crashes.
        poison_seconds: how long (s) that is counted.
        imports: times that a package is imported.
        peer_seconds: how long a drain of another job system should take.
        few: delayed calls that wait for another time, where they are few.
        many: the same where they are very many.
        ahead: seconds for which calls are scheduled ahead, so that a worker knows of them when they are due.
        fire: calls that fall due together.
        late: calls whose lateness is taken.
        late_seconds: the stretch in which they are due.
        parked: calls behind one of the same key.
        timers: delayed calls that wait while another job system is measured.
    """

    rounds: int
    drain: int
    pause_seconds: float
    warm_broker: float
    enqueue_seconds: float
    bulk: int
    bulks: int
    latencies: int
    warm: int
    waiting: int
    keys: int
    hot: int
    crash: int
    crash_session: float | None
    busy: int
    busy_seconds: float
    storm: int
    storm_seconds: float
    restarts: int
    poison: int
    poison_seconds: float
    imports: int
    peer_seconds: float
    few: int
    many: int
    ahead: float
    fire: int
    late: int
    late_seconds: float
    parked: int
    timers: int


FULL = Scale(
    rounds=3,
    drain=500_000,
    pause_seconds=3.0,
    warm_broker=6.0,
    enqueue_seconds=2.0,
    bulk=100_000,
    bulks=5,
    latencies=2_000,
    warm=50,
    waiting=1_000_000,
    keys=100_000,
    hot=300_000,
    crash=100_000,
    crash_session=None,
    busy=40_000,
    busy_seconds=6.0,
    storm=800_000,
    storm_seconds=30.0,
    restarts=200,
    poison=300_000,
    poison_seconds=60.0,
    imports=20,
    peer_seconds=4.0,
    few=10_000,
    many=1_000_000,
    ahead=10.0,
    fire=60_000,
    late=1_000,
    late_seconds=10.0,
    parked=10_000,
    timers=100_000,
)

#: Says whether every row works. Its numbers say nothing: they are taken while everything warms up.
QUICK = Scale(
    rounds=1,
    drain=20_000,
    pause_seconds=0.2,
    warm_broker=0.2,
    enqueue_seconds=0.2,
    bulk=5_000,
    bulks=1,
    latencies=40,
    warm=10,
    waiting=30_000,
    keys=3_000,
    hot=9_000,
    crash=4_000,
    crash_session=2.0,
    busy=4_000,
    busy_seconds=0.5,
    storm=20_000,
    storm_seconds=2.0,
    restarts=2,
    poison=50_000,
    poison_seconds=8.0,
    imports=3,
    peer_seconds=0.2,
    few=500,
    many=10_000,
    ahead=3.0,
    fire=2_000,
    late=100,
    late_seconds=1.0,
    parked=500,
    timers=1_000,
)
