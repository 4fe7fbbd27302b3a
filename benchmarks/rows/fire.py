"""How many calls a second begin that are all due at one moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from benchmarks.bench import PATIENCE, Bench
from benchmarks.children import ChildFailedError
from benchmarks.measure import Measure
from benchmarks.stores import IN_REDIS, Store, Stores

from .waiting import Waiting, scheduled

_KINDS = (("free", "no keys"), ("keyed", "a key each"))


class Fire:
    """Bursts of no-op calls that fall due, with a worker waiting for them.

    Args:
        stores: the kinds of index.
    """

    name = "fire"
    title = "Calls that fall due together, one worker process"
    about = (
        "A worker with 8 slots is idle; calls of a no-op job are scheduled, all for the same moment, some "
        "seconds ahead, so that it knows all of them by then. Timed from the first one that begins to the "
        "last. Each is ended in the deferred store's log, with a record of its own, when it has run. "
        f"{IN_REDIS}"
    )
    measures: Sequence[Measure] = tuple(
        Measure(f"fire.{store.name}.{kind}", f"{title}{store.title}", "calls/s")
        for store in Stores.KINDS
        for kind, title in _KINDS
    )

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._queue = Waiting("fire", lambda scale: 0)
        self._first = True

    def prepare(self, bench: Bench) -> None:
        """Make the queue."""
        self._queue.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Let calls fall due."""
        stores, self._first = self._stores.of_round(first=self._first), False
        for store in stores:
            for kind, _ in _KINDS:
                yield f"fire.{store.name}.{kind}", self._burst(bench, store, kind)

    def _burst(self, bench: Bench, store: Store, kind: str) -> float:
        total, tally = bench.scale.fire, bench.tally()
        with self._queue.worker(bench, store, tally) as (worker, _):
            due_ms = due_in(bench.scale.ahead)
            scheduled(bench, self._queue.queue, "together", kind, total, due_ms, seconds=PATIENCE)
            check_ahead(due_ms)
            span = tally.watch(total, worker, seconds=2 * PATIENCE)
        if tally.count != total:
            raise worker.failure(f"executed {tally.count:,} of {total:,} calls")
        return span.rate


def due_in(seconds: float) -> int:
    """So many seconds from now, in ms since the epoch."""
    return int((time.time() + seconds) * 1000)


def check_ahead(due_ms: int) -> None:
    """See that calls that were just scheduled were not due before.

    Raises:
        ChildFailedError: they were.
    """
    late = time.time() - due_ms / 1000
    if late > 0:
        raise ChildFailedError(f"scheduling calls took {late:.1f} s longer than until they were due")
