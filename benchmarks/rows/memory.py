"""How much memory a worker needs more when very much is waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.envelopes import envelope, with_hot_key
from benchmarks.measure import Measure
from benchmarks.resident import megabytes

_QUEUE, _EMPTY = "waiting", "empty"
_SLOTS = 8


class Memory:
    """The memory of a worker with nothing to do, and the most while it drains a large queue."""

    name = "memory"
    title = "A worker's memory"
    about = (
        "Resident memory as the kernel has it: now (VmRSS) for the idle worker, the most ever (VmHWM) for "
        "the one that drains. In the full run 1,000,000 calls of 100,000 keys wait, 300,000 of them of one "
        "key."
    )
    measures: Sequence[Measure] = (
        Measure("memory.idle", "idle worker, empty queue", "MB"),
        Measure("memory.draining", "worker while it drains, the most", "MB"),
    )

    def prepare(self, bench: Bench) -> None:
        """Fill one queue and leave the other empty."""
        scale = bench.scale
        bench.make_queues(_QUEUE, _EMPTY)
        keys = with_hot_key(scale.waiting, scale.keys, scale.hot)
        bench.topics.fill(_QUEUE, ((envelope("bench.noop", i, i), key) for i, key in enumerate(keys)))

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Look at an idle worker, then at one that drains."""
        with bench.worker(_EMPTY, bench.tally(), threads=_SLOTS) as worker:
            bench.await_ready(worker)
            yield "memory.idle", megabytes(worker, "VmRSS")
        tally = bench.tally()
        with bench.worker(_QUEUE, tally, threads=_SLOTS) as worker:
            tally.watch(bench.scale.waiting, worker, seconds=180)
            yield "memory.draining", megabytes(worker, "VmHWM")
