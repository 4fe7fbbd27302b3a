"""How many calls a second a process gets into Kafka, acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.children import ChildFailedError
from benchmarks.measure import Measure

_QUEUE = "enqueue"


class Enqueue:
    """kjobs and the raw producer, one call at a time and in bulk."""

    name = "enqueue"
    title = "Enqueueing, one process"
    about = (
        "A call has a key (1,000 of them) and two arguments; the raw producer sends the same bytes with the "
        "same guarantees: idempotent, acks=all, lz4, murmur2. What waits for nothing is not measured. After "
        "each run the topic must have as many records more as were acknowledged. The raw producer is timed "
        "with envelopes that it finds ready; kjobs writes them meanwhile. In bulk: 100,000 calls, five "
        "times in a process, of which the median is taken. The broker was written to before, until it was "
        "warm. Most of delay_many's time goes to what the raw producer does not do: check the arguments, "
        "find the key, make an id and write the envelope (its own line below), and take a report for each, "
        "because a handle tells where its call is. So it cannot come near the raw producer in bulk."
    )
    measures: Sequence[Measure] = (
        Measure("enqueue.raw.poll", "raw: produce, poll until its report is there, 1 thread", "calls/s"),
        Measure("enqueue.raw.flush", "raw: produce, flush, 1 thread", "calls/s"),
        Measure("enqueue.delay.1", ".delay() from 1 thread", "calls/s"),
        Measure("enqueue.delay.8", ".delay() from 8 threads", "calls/s"),
        Measure("enqueue.raw.bulk", "raw: produce all, flush", "calls/s"),
        Measure("enqueue.raw.reports", "raw: the same with a report for each", "calls/s"),
        Measure("enqueue.many", "delay_many", "calls/s"),
        Measure("enqueue.write", "delay_many without the sending", "calls/s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queue, and have the broker compile what it needs to take records one by one."""
        bench.make_queues(_QUEUE)
        bench.outcome("enqueue_raw", bench.topics.of(_QUEUE), "poll", bench.scale.warm_broker)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Enqueue in every way, each in a process of its own."""
        topic, seconds = bench.topics.of(_QUEUE), bench.scale.enqueue_seconds
        bulk = (bench.scale.bulk, bench.scale.bulks)
        yield "enqueue.raw.poll", self._rate(bench, "enqueue_raw", topic, "poll", seconds)
        yield "enqueue.raw.flush", self._rate(bench, "enqueue_raw", topic, "flush", seconds)
        yield "enqueue.delay.1", self._rate(bench, "enqueue_kjobs", _QUEUE, "one", 1, seconds)
        yield "enqueue.delay.8", self._rate(bench, "enqueue_kjobs", _QUEUE, "one", 8, seconds)
        yield "enqueue.raw.bulk", self._rate(bench, "enqueue_raw", topic, "bulk", *bulk)
        yield "enqueue.raw.reports", self._rate(bench, "enqueue_raw", topic, "reports", *bulk)
        yield "enqueue.many", self._rate(bench, "enqueue_kjobs", _QUEUE, "many", *bulk)
        yield "enqueue.write", self._rate(bench, "enqueue_kjobs", _QUEUE, "write", *bulk)

    @staticmethod
    def _rate(bench: Bench, program: str, *arguments: object) -> float:
        """Run a program; its rate, if the topic has what it says it sent."""
        before = bench.topics.size(_QUEUE)
        found = bench.outcome(program, *arguments)
        arrived = bench.topics.size(_QUEUE) - before
        expected = found["count"] + found["more"]
        if arrived != expected:
            raise ChildFailedError(f"{program} {arguments}: {expected:,} sent, {arrived:,} arrived")
        return float(found["count"] / found["seconds"])
