"""What a call that ends its process every time costs the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.envelopes import envelope, keys
from benchmarks.measure import Measure

_JOBS = {"none": "bench.remember", "thread": "bench.burst", "isolated": "bench.crack"}
_SLOTS = 16
#: Where the call is among the others.
_AT = 3_000


class Poison:
    """The same work twice, the second time with a call among it that crashes until it is given up."""

    name = "poison"
    title = "A call that crashes its process, among others"
    about = (
        "Jobs of 10 ms on two processes of 16 threads, with names (`instance`). Counted for some time; then "
        "again, while one call among them ends the process it runs in, every time it is "
        "begun, until it is a dead letter. In a thread it takes its worker with it twice before it is found "
        "out; with `isolate=True` never."
    )
    measures: Sequence[Measure] = (
        Measure("poison.none", "without it", "calls/s"),
        Measure("poison.thread", "with it, in a thread", "calls/s"),
        Measure("poison.isolated", "with it, isolated", "calls/s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queues, and fill them with more than can be done."""
        bench.make_queues(*map(_queue, _JOBS))
        calls = bench.scale.poison
        for name, job in _JOBS.items():
            bench.topics.fill(
                _queue(name),
                (
                    (envelope(job if i == _AT else "bench.remember", i, i), key)
                    for i, key in enumerate(keys(calls))
                ),
            )

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Work without and with it."""
        for name in _JOBS:
            tally, group = bench.tally(8), bench.group()
            with bench.worker(
                _queue(name), tally, threads=_SLOTS, processes=2, group=group, KJOBS_INSTANCE=group
            ) as worker:
                bench.await_ready(worker)
                begun, before = time.monotonic(), tally.count
                time.sleep(bench.scale.poison_seconds)
                yield f"poison.{name}", (tally.count - before) / (time.monotonic() - begun)
                if name != "none":
                    worker.await_that(lambda: "(crashed)" in worker.said(), "a dead letter", 60)


def _queue(name: str) -> str:
    return f"among-{name}"
