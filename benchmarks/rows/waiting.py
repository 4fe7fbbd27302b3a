"""Calls that wait for a time far off: scheduled once in a run, for all rows that need them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.children import Child, ChildFailedError
from benchmarks.scale import Scale
from benchmarks.stores import Store
from benchmarks.tally import Tally

#: Seconds that making or opening the index of very many calls may take.
PATIENCE = 240.0

#: Of every worker here.
_SLOTS = 8


class Waiting:
    """A queue with calls that are not due in this run, and the group that works on it.

    Args:
        queue: its name.
        count: how many.
    """

    def __init__(self, queue: str, count: Callable[[Scale], int]) -> None:
        self.queue = queue
        self.count = count
        self._group = ""
        self._rate = 0.0

    def make(self, bench: Bench) -> float:
        """Schedule the calls, unless that was done; how many a second were acknowledged then."""
        if not self._group:
            bench.make_queues(self.queue)
            count = self.count(bench.scale)
            if count:
                self._rate = scheduled(bench, self.queue, "far", count, seconds=PATIENCE)
            self._group = bench.group()
        return self._rate

    @property
    def group(self) -> str:
        """The group, the same in every round: its index stays."""
        return self._group

    @contextmanager
    def worker(self, bench: Bench, store: Store, tally: Tally) -> Iterator[tuple[Child, float]]:
        """A worker that is ready, and the seconds it needed for that."""
        begun = time.monotonic()
        with bench.worker(
            self.queue, tally, threads=_SLOTS, group=self.group, **store.variables(bench)
        ) as worker:
            bench.await_ready(worker, PATIENCE)
            yield worker, time.monotonic() - begun


def scheduled(bench: Bench, queue: str, way: str, *arguments: object, seconds: float) -> float:
    """Schedule calls with a program; how many a second were acknowledged, if the log has all of them."""
    before = bench.topics.scheduled(queue)
    found = bench.outcome("schedule_kjobs", queue, way, *arguments, seconds=seconds)
    arrived = bench.topics.scheduled(queue) - before
    expected = found["count"] + found["more"]
    # A worker that runs meanwhile may write there, too.
    if arrived < expected:
        raise ChildFailedError(f"{way} {arguments}: {expected:,} scheduled, {arrived:,} arrived")
    return float(found["count"] / found["seconds"])
