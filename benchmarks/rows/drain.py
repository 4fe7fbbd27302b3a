"""How many calls a second one worker process gets done when the job itself costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.measure import Measure

from . import backlog

SLOTS = (8, 64)

_QUEUES = (
    ("keyed", backlog.KEYED, "1,000 keys"),
    ("unkeyed", backlog.UNKEYED, "no keys"),
)


class Drain:
    """kjobs' worker over the records of the raw loop."""

    name = "drain"
    title = "A drain of no-op jobs, one worker process"
    about = (
        "The real command, `kjobs worker`, with its default settings but for the number of slots. The job "
        "appends a byte to a file and nothing else."
    )
    measures: Sequence[Measure] = tuple(
        Measure(f"drain.{word}.{slots}", f"{slots} slots, {title}", "calls/s")
        for word, _, title in _QUEUES
        for slots in SLOTS
    )

    def prepare(self, bench: Bench) -> None:
        """Fill the queues."""
        backlog.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Drain each queue with few slots and with many, each time as a new group."""
        total = bench.scale.drain
        for word, queue, _ in _QUEUES:
            for slots in SLOTS:
                tally = bench.tally()
                with bench.worker(queue, tally, threads=slots) as worker:
                    span = tally.watch(total, worker, seconds=120)
                if tally.count != total:
                    raise worker.failure(f"executed {tally.count:,} of {total:,} calls")
                yield f"drain.{word}.{slots}", span.rate
