"""Delays with kjobs and with other Python job systems, while 100,000 calls wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import PATIENCE, Bench
from benchmarks.children import Child
from benchmarks.measure import Measure
from benchmarks.peers import redis
from benchmarks.peers.environment import EnvironmentMissingError, python
from benchmarks.peers.redis import Redis, RedisMissingError
from benchmarks.peers.timing import TIMINGS, Timing
from benchmarks.resident import of_all
from benchmarks.stores import Files
from benchmarks.tally import Tally

from .fire import check_ahead, due_in
from .lateness import told
from .row import SkippedError
from .waiting import Waiting, scheduled

#: Seconds that taking over all calls that wait may take.
_TAKING = 300.0

#: Schedules calls: in what way, how many, and when.
_Scheduler = Callable[..., object]


class Timers:
    """kjobs, Celery, Dramatiq, Huey and arq.

    Args:
        waiting: the calls of kjobs that wait.
    """

    name = "timers"
    title = "Delays in other Python job systems"
    about = (
        "100,000 calls are scheduled that are due in a year, from one process; then a worker is started, and "
        "when it has taken over what it wants to have in memory, calls that are due at random moments tell "
        "how late they begin, 100 a second, and others that are all due at one moment how many begin in a "
        "second. Memory is that of the worker's processes while the calls wait, what they share counted "
        "once. All once in a run, in the first round."
    )
    measures: Sequence[Measure] = tuple(
        measure
        for name, title in (("kjobs", "kjobs"), *((timing.name, timing.title) for timing in TIMINGS))
        for measure in (
            Measure(f"timers.{name}.schedule", f"{title}: scheduled one at a time", "calls/s"),
            *((Measure(f"timers.{name}.bulk", f"{title}: in bulk", "calls/s"),) if name == "kjobs" else ()),
            Measure(f"timers.{name}.memory", f"{title}: the worker's memory", "MB"),
            Measure(f"timers.{name}.p50", f"{title}: lateness, p50", "ms"),
            Measure(f"timers.{name}.p99", f"{title}: lateness, p99", "ms"),
            Measure(f"timers.{name}.max", f"{title}: lateness, the latest", "ms"),
            Measure(f"timers.{name}.early", f"{title}: early", "calls", worst=True),
            Measure(f"timers.{name}.fire", f"{title}: due at one moment", "calls/s"),
        )
    )

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._pythons: Mapping[str, Path] = {}
        self._first = True

    def prepare(self, bench: Bench) -> None:
        """Have Redis and the packages.

        Raises:
            SkippedError: they cannot be had.
        """
        try:
            redis.find()
            self._pythons = {timing.name: python(timing.name) for timing in TIMINGS}
        except (RedisMissingError, EnvironmentMissingError) as error:
            raise SkippedError(str(error)) from None
        self._waiting.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Measure one after the other, each other system on a Redis of its own."""
        if not self._first:
            return
        self._first = False
        yield from self._of_kjobs(bench)
        for timing in TIMINGS:
            with redis.running(bench) as server:
                yield from self._of_peer(bench, server, timing)

    def _of_kjobs(self, bench: Bench) -> Iterator[tuple[str, float]]:
        queue, tally = self._waiting.queue, bench.tally(8)
        yield "timers.kjobs.bulk", self._waiting.make(bench)
        rate = scheduled(bench, queue, "one", bench.scale.enqueue_seconds, seconds=PATIENCE)
        yield "timers.kjobs.schedule", rate

        def schedule(way: str, count: int, *when: object) -> None:
            scheduled(bench, queue, {"together": "latecomers"}.get(way, way), count, *when, seconds=PATIENCE)

        with self._waiting.worker(bench, Files(), tally) as (worker, _):
            yield "timers.kjobs.memory", of_all(worker)
            # Fast enough for as many calls as the row about kjobs alone has.
            found = self._latenesses(bench, worker, tally, schedule, burst=bench.scale.fire, ahead=0.0)
            for what, value in found.items():
                yield f"timers.kjobs.{what}", value

    def _of_peer(self, bench: Bench, server: Redis, timing: Timing) -> Iterator[tuple[str, float]]:
        tally = bench.tally(8)

        def schedule(way: str, count: int, *when: object) -> float:
            command = (
                self._pythons[timing.name],
                "-m",
                "benchmarks.peers.scheduler",
                timing.name,
                way,
                count,
            )
            child = bench.start([*map(str, (*command, *when))], BENCH_REDIS=server.url)
            found = json.loads(child.result(_TAKING))
            return float(found["count"] / found["seconds"])

        yield f"timers.{timing.name}.schedule", schedule("far", bench.scale.timers)
        with self._worker(bench, server, timing, tally) as worker:
            schedule("together", 1, due_in(0))
            worker.await_that(lambda: tally.count == 1, "its first execution", _TAKING)
            if timing.waiting:
                taken = f"LLEN {timing.waiting}"
                worker.await_that(lambda: server.ask(taken) == ":0", "having all that waits", _TAKING)
            yield f"timers.{timing.name}.memory", of_all(worker)
            burst = max(100, int(timing.pace * bench.scale.peer_seconds))
            ahead = 2 * burst / timing.schedules  # on a machine that is half as quick, too
            found = self._latenesses(bench, worker, tally, schedule, burst=burst, ahead=ahead)
            for what, value in found.items():
                yield f"timers.{timing.name}.{what}", value

    @staticmethod
    def _latenesses(
        bench: Bench, worker: Child, tally: Tally, schedule: _Scheduler, *, burst: int, ahead: float
    ) -> Mapping[str, float]:
        """How late calls are one by one, and how many begin in a second when all are due.

        Args:
            bench: the means.
            worker: is ready.
            tally: counts its executions.
            schedule: schedules calls.
            burst: calls that are due at one moment.
            ahead: seconds for scheduling those, on top of what is always given.
        """
        scale, before = bench.scale, tally.count
        begin_ms = due_in(scale.ahead)
        schedule("scattered", scale.late, begin_ms, scale.late_seconds)
        check_ahead(begin_ms)
        upto = before + scale.late
        patience = scale.ahead + scale.late_seconds + PATIENCE
        worker.await_that(lambda: tally.count >= upto, "the last call with a time of its own", patience)
        due_ms = due_in(scale.ahead + ahead)
        schedule("together", burst, due_ms)
        check_ahead(due_ms)
        worker.await_that(lambda: tally.count >= upto + burst, "the last call", 2 * PATIENCE)
        marks = tally.numbers()
        together = marks[upto:]
        rate = (len(together) - 1) / (max(together) - min(together)) * 1e9
        return {**told(marks[before:upto]), "fire": rate}

    @contextmanager
    def _worker(self, bench: Bench, server: Redis, timing: Timing, tally: Tally) -> Iterator[Child]:
        child = bench.start(
            [str(self._pythons[timing.name]), "-m", *timing.worker],
            **{**timing.environ, "BENCH_REDIS": server.url, "BENCH_TALLY": str(tally.path)},
        )
        try:
            yield child
        finally:
            # Killed: there is nothing to be kept, and some take long to give back what they hold.
            child.kill()
