"""How fast a key gets on whose calls were parked behind one that waits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.measure import Measure
from benchmarks.stores import Files

from .waiting import PATIENCE, Waiting


class Lane:
    """Very many calls of one key behind a call that sleeps for an hour, until it is cancelled."""

    name = "lane"
    title = "A key with 10,000 parked calls"
    about = (
        "The first call of a key sleeps for an hour. 10,000 no-op calls of the same key follow and are "
        "parked in the deferred store; timed from before they are enqueued until the log has all of them. "
        "Then the first one is cancelled, and the others run, in order and one at a time, as is checked; "
        "timed from the first that begins to the last."
    )
    measures: Sequence[Measure] = (
        Measure("lane.parked", "enqueued and parked", "calls/s"),
        Measure("lane.run", "run, in order", "calls/s"),
    )

    def __init__(self) -> None:
        self._queue = Waiting("lane", lambda scale: 0)

    def prepare(self, bench: Bench) -> None:
        """Make the queue."""
        self._queue.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Park calls and let them go."""
        total, tally, queue = bench.scale.parked, bench.tally(8), self._queue.queue
        with self._queue.worker(bench, Files(), tally) as (worker, _):
            parking = bench.program("park_kjobs", queue, bench.topics.delayed(queue), total)
            span = tally.watch(total, worker, seconds=PATIENCE)
            found = json.loads(parking.result(seconds=10))
        if tally.numbers() != list(range(total)):
            raise worker.failure(f"{total:,} calls of one key did not run once each, in order")
        yield "lane.parked", found["count"] / found["seconds"]
        yield "lane.run", span.rate
