"""The same drains with other Python job systems, on Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import PATIENCE, Bench
from benchmarks.children import Child
from benchmarks.measure import Measure, percentile
from benchmarks.peers import redis
from benchmarks.peers.environment import EnvironmentMissingError, python
from benchmarks.peers.redis import Redis, RedisMissingError
from benchmarks.peers.system import SYSTEMS, System
from benchmarks.tally import Tally

from .row import SkippedError

_PAUSE = 0.01


class Peers:
    """Celery, Dramatiq and Huey."""

    name = "peers"
    title = "Other Python job systems"
    about = (
        "On a Redis that keeps nothing on disk, on the same machine, in the same run, counted the same way. "
        "Each is set up for speed with what its documentation offers, the fastest of the set-ups tried, and "
        "acknowledges after the job where it can."
    )
    measures: Sequence[Measure] = tuple(
        measure
        for system in SYSTEMS
        for measure in (
            Measure(f"peers.{system.name}.noop", f"{system.title}: no-op jobs", "calls/s"),
            Measure(f"peers.{system.name}.pause", f"{system.title}: 10 ms jobs on 64 threads", "calls/s"),
            Measure(f"peers.{system.name}.p50", f"{system.title}: latency at 100 a second, p50", "ms"),
            Measure(f"peers.{system.name}.p99", f"{system.title}: latency at 100 a second, p99", "ms"),
        )
    )

    def __init__(self) -> None:
        self._python = Path()

    def prepare(self, bench: Bench) -> None:
        """Have Redis and the packages.

        Raises:
            SkippedError: they cannot be had.
        """
        try:
            redis.find()
            self._python = python()
        except (RedisMissingError, EnvironmentMissingError) as error:
            raise SkippedError(str(error)) from None

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Measure one after the other, each on an empty Redis."""
        with redis.running(bench) as server:
            for system in SYSTEMS:
                yield f"peers.{system.name}.noop", self._drain(bench, server, system, "noop")
                yield f"peers.{system.name}.pause", self._drain(bench, server, system, "pause")
                seen = self._latencies(bench, server, system)
                yield f"peers.{system.name}.p50", percentile(seen, 0.50) / 1e6
                yield f"peers.{system.name}.p99", percentile(seen, 0.99) / 1e6

    def _drain(self, bench: Bench, server: Redis, system: System, task: str) -> float:
        """Calls a second of a worker that finds all of them waiting."""
        server.clear()
        tally = bench.tally()
        pace = system.pace[task == "pause"]
        total = max(200, int(pace * bench.scale.peer_seconds))
        self._feed(bench, server, system, task, total)
        arguments = system.pause if task == "pause" else system.noop
        with self._worker(bench, server, system, arguments, tally) as worker:
            return tally.watch(total, worker, seconds=PATIENCE).rate

    def _latencies(self, bench: Bench, server: Redis, system: System) -> list[int]:
        """The latencies (ns) of calls that come one each 10 ms."""
        server.clear()
        tally = bench.tally(8)
        with self._worker(bench, server, system, system.latency, tally) as worker:
            self._feed(bench, server, system, "latency", 1)
            worker.await_that(lambda: tally.count == 1, "its first execution", PATIENCE)
            total = bench.scale.warm + bench.scale.latencies
            self._feed(bench, server, system, "latency", total)
            worker.await_that(lambda: tally.count == 1 + total, "the last execution", PATIENCE)
        return tally.numbers()[1 + bench.scale.warm :]

    def _feed(self, bench: Bench, server: Redis, system: System, task: str, count: int) -> None:
        command = [str(self._python), "-m", "benchmarks.peers.feeder", system.name, task, str(count)]
        bench.start([*command, str(_PAUSE)], BENCH_REDIS=server.url).result(2 * PATIENCE)

    @contextmanager
    def _worker(
        self, bench: Bench, server: Redis, system: System, arguments: Sequence[str], tally: Tally
    ) -> Iterator[Child]:
        child = bench.start(
            [str(self._python), "-m", *arguments],
            **{**system.environ, "BENCH_REDIS": server.url, "BENCH_TALLY": str(tally.path)},
        )
        try:
            yield child
        finally:
            # Killed: there is nothing to be kept, and some take ten seconds to stop.
            child.kill()
