"""How many calls a second a process gets into the deferred store, acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import PATIENCE, Bench
from benchmarks.measure import Measure

from .waiting import Waiting, scheduled

_QUEUE = "schedule"


class Schedule:
    """Calls with a delay, one at a time and in bulk.

    Args:
        many: the calls that wait for other rows; scheduling them is told too.
    """

    name = "schedule"
    title = "Scheduling calls for later, one process"
    about = (
        "The calls that are enqueued above, with a delay of an hour: they go to the log of the deferred "
        "store instead of the queue. No worker runs. The 1,000,000 are those that wait in the rows below, "
        "due in a year; they are scheduled once in a run, in ten `delay_many` of 100,000."
    )
    measures: Sequence[Measure] = (
        Measure("schedule.one", ".delay() from 1 thread", "calls/s"),
        Measure("schedule.many", "delay_many", "calls/s"),
        Measure("schedule.far", "1,000,000 calls with delay_many", "calls/s"),
    )

    def __init__(self, many: Waiting) -> None:
        self._many = many
        self._far: float | None = None

    def prepare(self, bench: Bench) -> None:
        """Make the queue, and the calls that wait."""
        bench.make_queues(_QUEUE)
        self._far = self._many.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Schedule in every way, each in a process of its own."""
        scale = bench.scale
        yield "schedule.one", scheduled(bench, _QUEUE, "one", scale.enqueue_seconds, seconds=PATIENCE)
        yield "schedule.many", scheduled(bench, _QUEUE, "many", scale.bulk, scale.bulks, seconds=PATIENCE)
        if self._far is not None:
            yield "schedule.far", self._far
            self._far = None
