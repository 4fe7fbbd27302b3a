"""Jobs that wait, as nearly all jobs do: in threads, and in the event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.envelopes import envelope, keys
from benchmarks.measure import Measure

ASYNC_SLOTS = 512


@dataclass(frozen=True, slots=True)
class Cell:
    """A job's length and what runs it.

    Attributes:
        seconds: that the job waits.
        slots: threads, or async slots.
        job: its name.
        most: calls per second that are surely not surpassed; with them the number of calls is chosen.
    """

    seconds: float
    slots: int
    job: str
    most: float

    @property
    def name(self) -> str:
        """The measure's name."""
        kind = "async" if self.job == "bench.async_pause" else "threads"
        return f"pauses.{self.seconds * 1000:g}ms.{kind}.{self.slots}"

    @property
    def queue(self) -> str:
        """The queue with its calls."""
        return self.name.replace("pauses.", "pauses-").replace(".", "-")

    @property
    def measure(self) -> Measure:
        """What is measured."""
        where = "async slots" if self.job == "bench.async_pause" else "threads"
        return Measure(self.name, f"{self.seconds * 1000:g} ms on {self.slots} {where}", "calls/s")

    def calls(self, lasting: float) -> int:
        """How many calls take about so many seconds."""
        return max(500, int(lasting * min(self.slots / self.seconds, self.most)))


CELLS = (
    *(
        Cell(seconds, slots, "bench.pause", most=30_000)
        for seconds in (0.0001, 0.001, 0.01)
        for slots in (8, 64)
    ),
    Cell(0.01, ASYNC_SLOTS, "bench.async_pause", most=30_000),
)


class Pauses:
    """Drains of jobs that wait."""

    name = "pauses"
    title = "Jobs that wait, one worker process"
    about = (
        "time.sleep, or asyncio.sleep, and then the byte. 1,000 keys. The most that could be is slots "
        "divided by the job's length."
    )
    measures: Sequence[Measure] = tuple(cell.measure for cell in CELLS)

    def prepare(self, bench: Bench) -> None:
        """Fill a queue for each length and number of slots."""
        bench.make_queues(*(cell.queue for cell in CELLS))
        for cell in CELLS:
            count = cell.calls(bench.scale.pause_seconds)
            bench.topics.fill(
                cell.queue,
                ((envelope(cell.job, i, cell.seconds), key) for i, key in enumerate(keys(count))),
            )

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Drain each queue as a new group."""
        for cell in CELLS:
            total = cell.calls(bench.scale.pause_seconds)
            tally = bench.tally()
            is_async = cell.job == "bench.async_pause"
            with bench.worker(
                cell.queue,
                tally,
                threads=8 if is_async else cell.slots,
                KJOBS_ASYNC_SLOTS=str(ASYNC_SLOTS),
            ) as worker:
                span = tally.watch(total, worker, seconds=120)
            if tally.count != total:
                raise worker.failure(f"executed {tally.count:,} of {total:,} calls")
            yield cell.name, span.rate
