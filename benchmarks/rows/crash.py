"""How many calls run twice when a worker is killed in the middle of its work."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.envelopes import envelope, keys
from benchmarks.measure import Measure

_QUEUE = "crash"
_SLOTS = 64


class Crash:
    """SIGKILL half way through, and a second worker right away."""

    name = "crash"
    title = "A worker killed half way"
    about = (
        "Jobs of 10 ms on 64 threads; half way through, SIGKILL, and a second worker is started at once. A "
        "job appends its number when it begins, so a call that was cut off counts as run twice. Every call "
        "must have run. The second worker begins when the group has given up the first one: the session "
        "timeout, 10 s in the full run."
    )
    measures: Sequence[Measure] = (
        Measure("crash.twice", "calls that ran twice", "calls"),
        Measure("crash.rate", "calls begun per second before the kill", "calls/s"),
        Measure("crash.seconds", "the same in seconds of work, less one per slot", "s"),
        Measure("crash.gap", "from the kill to the next call's start", "s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queue."""
        bench.make_queues(_QUEUE)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Kill a worker, let another one finish."""
        total = bench.scale.crash
        before = bench.topics.size(_QUEUE)
        group, tally = bench.group(), bench.tally(8)
        session = bench.scale.crash_session
        variables = {} if session is None else {"KJOBS_SESSION_TIMEOUT": str(session)}
        if not before:
            bench.topics.fill(
                _QUEUE, ((envelope("bench.remember", i, i), key) for i, key in enumerate(keys(total)))
            )
        with bench.worker(_QUEUE, tally, threads=_SLOTS, group=group, **variables) as first:
            span = tally.watch(total // 2, first, seconds=120)
            first.kill()
        killed, begun = time.monotonic(), tally.count
        with bench.worker(_QUEUE, tally, threads=_SLOTS, group=group, **variables) as second:
            second.await_that(lambda: tally.count > begun, "its first call", seconds=60)
            gap = time.monotonic() - killed
            second.await_that(lambda: tally.count >= total, "as many executions as calls", seconds=120)
            second.await_that(lambda: len(set(tally.numbers())) == total, "the last call", seconds=30)
        twice = len(tally.numbers()) - total
        yield "crash.twice", twice
        yield "crash.rate", span.rate
        yield "crash.seconds", max(0, twice - _SLOTS) / span.rate
        yield "crash.gap", gap
