"""The waiting calls that the raw loop and the drains read: the very same records for both."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.envelopes import envelope, keys

KEYED, UNKEYED = "backlog-keyed", "backlog-unkeyed"


def make(bench: Bench) -> None:
    """Fill both queues, unless that was done."""
    bench.make_queues(KEYED, UNKEYED)
    for queue, calls in ((KEYED, _keyed(bench.scale.drain)), (UNKEYED, _unkeyed(bench.scale.drain))):
        if not bench.topics.size(queue):
            bench.topics.fill(queue, calls)


def _keyed(count: int) -> Iterator[tuple[bytes, bytes]]:
    for number, key in enumerate(keys(count)):
        yield envelope("bench.noop", number, int(key)), key


def _unkeyed(count: int) -> Iterator[tuple[bytes, None]]:
    for number in range(count):
        yield envelope("bench.noop", number, number % 1000), None
