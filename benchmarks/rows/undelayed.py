"""Whether calls without a delay suffer from very many that wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.envelopes import envelope, keys
from benchmarks.measure import Measure
from benchmarks.stores import Files

from .waiting import Waiting

#: Drains of one worker.
_DRAINS = 3


class Undelayed:
    """The drain of no-op calls, beside calls that wait and beside none.

    Args:
        many: very many calls that wait.
        nothing: a queue without any.
    """

    name = "undelayed"
    title = "Undelayed calls while 1,000,000 wait"
    about = (
        "Three drains of no-op calls with 1,000 keys, 8 slots, by a worker in whose deferred store calls "
        "wait, and by one with an empty store; which comes first changes with every round. The worker is "
        "ready before, and frozen (SIGSTOP) while the calls are enqueued, so that the time taken is that of "
        "the drain alone."
    )
    measures: Sequence[Measure] = (
        Measure("undelayed.alone", "nothing waits", "calls/s"),
        Measure("undelayed.beside", "1,000,000 wait", "calls/s"),
    )

    def __init__(self, many: Waiting, nothing: Waiting) -> None:
        self._waiting: Mapping[str, Waiting] = {"alone": nothing, "beside": many}
        self._order = list(self._waiting)

    def prepare(self, bench: Bench) -> None:
        """Make the calls that wait."""
        for waiting in self._waiting.values():
            waiting.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Drain both queues some times."""
        for word in self._order:
            yield f"undelayed.{word}", self._rate(bench, self._waiting[word])
        self._order.reverse()

    @staticmethod
    def _rate(bench: Bench, waiting: Waiting) -> float:
        """Calls a second over some drains."""
        total, tally = bench.scale.drain, bench.tally()
        count, seconds = 0, 0.0
        with waiting.worker(bench, Files(), tally) as (worker, _):
            for drain in range(_DRAINS):
                with _frozen(worker):
                    calls = ((envelope("bench.noop", i, int(key)), key) for i, key in enumerate(keys(total)))
                    bench.topics.fill(waiting.queue, calls)
                span = tally.watch((drain + 1) * total, worker, seconds=120, before=drain * total)
                count, seconds = count + span.count, seconds + span.seconds
        if tally.count != _DRAINS * total:
            raise worker.failure(f"executed {tally.count:,} of {_DRAINS * total:,} calls")
        return count / seconds


@contextmanager
def _frozen(child: Child) -> Iterator[None]:
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)
