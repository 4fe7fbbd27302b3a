"""What the client can do at all: a bare loop, nothing around it. Everything else is compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.measure import Measure
from benchmarks.topics import PARTITIONS

from . import backlog


class Raw:
    """The raw client loop, over the records of the drains."""

    name = "raw"
    title = "The raw client loop"
    about = (
        "poll, then consume(1000, 0), then decode each record with msgspec, over 8 partitions, with the "
        "settings of a tuned client and no commits. The call appends a byte to a file. What is called is "
        "counted from outside; what is only decoded is counted by the loop itself."
    )
    measures: Sequence[Measure] = (
        Measure("raw.decode", "decode only, keyed records", "records/s"),
        Measure("raw.call.keyed", "decode and call, keyed records", "records/s"),
        Measure("raw.call.unkeyed", "decode and call, records without a key", "records/s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Fill the queues."""
        backlog.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Read everything three times."""
        total = bench.scale.drain
        found = bench.outcome("raw_reader", bench.topics.of(backlog.KEYED), PARTITIONS, total, "decode")
        yield "raw.decode", found["count"] / found["seconds"]
        for name, queue in (("raw.call.keyed", backlog.KEYED), ("raw.call.unkeyed", backlog.UNKEYED)):
            tally = bench.tally()
            reader = bench.program(
                *("raw_reader", bench.topics.of(queue), PARTITIONS, total, "call"),
                BENCH_TALLY=str(tally.path),
            )
            span = tally.watch(total, reader, seconds=60)
            reader.result(seconds=10)
            yield name, span.rate
