"""What it costs a worker that very many calls wait: to begin, in memory, on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.measure import Measure
from benchmarks.resident import megabytes
from benchmarks.stores import IN_REDIS, Files, InRedis, Store, Stores

from .waiting import Waiting


class Begun(NamedTuple):
    """A worker that is ready.

    Attributes:
        seconds: from the start of its process until it said so.
        now: its memory then, in MB.
        most: the most it had until then.
    """

    seconds: float
    now: float
    most: float


def _measures(store: type[Files | InRedis]) -> Iterator[Measure]:
    for word, title in (("empty", "nothing waits"), ("many", "1,000,000 wait")):
        name = f"restart.{store.name}.{word}"
        title += store.title
        yield Measure(f"{name}.none.seconds", f"{title}: start without an index", "s")
        yield Measure(f"{name}.warm.seconds", f"{title}: start with an index", "s")
        yield Measure(f"{name}.none.memory", f"{title}: memory, started without an index", "MB")
        yield Measure(f"{name}.none.most", f"{title}: the most until it was ready", "MB")
        yield Measure(f"{name}.warm.memory", f"{title}: memory, started with an index", "MB")
    what = "memory of Redis" if store.name == "redis" else "index on disk"
    yield Measure(f"restart.{store.name}.index", f"{what} per 1,000,000 calls", "MB")


class Restart:
    """Starts of a worker, with and without an index, with and without calls that wait.

    Args:
        stores: the kinds of index.
        many: very many calls that wait.
        nothing: a queue without any.
    """

    name = "restart"
    title = "A worker's start, memory and disk while 1,000,000 calls wait"
    about = (
        "From the start of the process, `kjobs worker`, to the line in its log that it is ready: it has "
        "joined the group and knows which calls wait, and no call begins before that. Without an index it "
        "reads the whole log; with one, what has come since the worker before was stopped, in order. Memory "
        "is resident memory (VmRSS) when it is ready, and the most until then (VmHWM). The calls have a key "
        "and two arguments. The same with nothing waiting is what Python, the client and the group take. "
        "The log is that of the broker, for 1,000,000 calls, compressed as the producer does it. "
        f"{IN_REDIS}"
    )
    measures: Sequence[Measure] = (
        *(measure for store in Stores.KINDS for measure in _measures(store)),
        Measure("restart.log", "log on the broker's disk per 1,000,000 calls", "MB"),
    )

    def __init__(self, stores: Stores, many: Waiting, nothing: Waiting) -> None:
        self._stores = stores
        self._many, self._nothing = many, nothing
        self._first = True

    def prepare(self, bench: Bench) -> None:
        """Make the calls that wait."""
        self._many.make(bench)
        self._nothing.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Start workers."""
        per_million = 1e6 / self._many.count(bench.scale)
        stores = self._stores.of_round(first=self._first)
        for store in stores:
            for word, waiting in (("empty", self._nothing), ("many", self._many)):
                name = f"restart.{store.name}.{word}"
                store.forget(bench, waiting.group)
                bare = store.size(bench, waiting.group)
                cold = self._begun(bench, store, waiting)
                yield f"{name}.none.seconds", cold.seconds
                yield f"{name}.none.memory", cold.now
                yield f"{name}.none.most", cold.most
                warm = self._begun(bench, store, waiting)
                yield f"{name}.warm.seconds", warm.seconds
                yield f"{name}.warm.memory", warm.now
            taken = store.size(bench, self._many.group) - bare
            yield f"restart.{store.name}.index", taken / 1e6 * per_million
        if self._first:
            self._first = False
            # Later there are records in it that came with other rows.
            with suppress(OSError):
                taken = bench.topics.delayed_bytes(self._many.queue)
                yield "restart.log", taken / 1e6 * per_million

    @staticmethod
    def _begun(bench: Bench, store: Store, waiting: Waiting) -> Begun:
        with waiting.worker(bench, store, bench.tally()) as (worker, seconds):
            return Begun(seconds, megabytes(worker, "VmRSS"), megabytes(worker, "VmHWM"))
