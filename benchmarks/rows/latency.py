"""How long it takes from enqueueing a call until its job begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import PATIENCE, Bench
from benchmarks.children import Child
from benchmarks.measure import Measure, percentile
from benchmarks.tally import Tally
from benchmarks.topics import PARTITIONS

_QUEUE, _RAW = "latency", "latency-raw"
_SLICES = 4


class Latency:
    """Calls at 100 a second, and raw messages at the same pace, in turns."""

    name = "latency"
    title = "Latency at 100 calls a second"
    about = (
        "From just before `.delay()` in one process to the first statement of the job in the worker's, on "
        "one clock; raw: from just before produce() to the return of poll() in another process. In turns of "
        "a quarter, so that both meet the same machine. An idle worker is waiting, with 8 slots. What kjobs "
        "adds is writing the call, deciding what to start, waking the thread that runs it, and a sender that "
        "wakes at the same moment because it waits for the acknowledgement; all in a fixed time, so that the "
        "ratio is the larger the quicker the machine is just then."
    )
    measures: Sequence[Measure] = (
        Measure("latency.raw.p50", "raw: produce to poll, p50", "ms"),
        Measure("latency.raw.p99", "raw: produce to poll, p99", "ms"),
        Measure("latency.kjobs.p50", ".delay() to the job's start, p50", "ms"),
        Measure("latency.kjobs.p99", ".delay() to the job's start, p99", "ms"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queues."""
        bench.make_queues(_QUEUE, _RAW)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Send both ways."""
        count = bench.scale.warm + bench.scale.latencies
        group = bench.group()
        raw, jobs = bench.tally(8), bench.tally(8)
        # Before the measured worker: a new group would begin with the calls of the round before.
        reader = bench.program(
            *("latency_reader", bench.topics.of(_RAW), PARTITIONS, count), BENCH_TALLY=str(raw.path)
        )
        reader.await_that(lambda: "ready" in reader.said(), "being ready", PATIENCE)
        with bench.worker(_QUEUE, jobs, threads=8, group=group) as worker:
            bench.await_ready(worker)
            waiting = bench.topics.size(_QUEUE)
            _await(jobs, waiting, worker)
            bench.program("latency_sender", _QUEUE, bench.topics.of(_RAW), count, _SLICES).result(
                PATIENCE + 0.02 * count
            )
            _await(jobs, waiting + count, worker)
        reader.await_that(lambda: raw.count == count, "the last message", PATIENCE)
        for name, values in (("raw", raw.numbers()), ("kjobs", jobs.numbers()[waiting:])):
            seen = values[bench.scale.warm :]
            yield f"latency.{name}.p50", percentile(seen, 0.50) / 1e6
            yield f"latency.{name}.p99", percentile(seen, 0.99) / 1e6


def _await(tally: Tally, count: int, worker: Child) -> None:
    worker.await_that(lambda: tally.count >= count, f"{count:,} calls", PATIENCE)
