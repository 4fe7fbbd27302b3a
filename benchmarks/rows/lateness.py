"""How late calls begin that have a time, while few or very many others wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.bench import PATIENCE, Bench
from benchmarks.measure import Measure, percentile
from benchmarks.stores import IN_REDIS, Store, Stores

from .fire import check_ahead, due_in
from .waiting import Waiting, scheduled

_WORDS = (("few", "10,000 waiting"), ("many", "1,000,000 waiting"))


class Lateness:
    """Calls that are due at random moments, 100 a second.

    Args:
        stores: the kinds of index.
        few: some calls that wait.
        many: very many of them.
    """

    name = "lateness"
    title = "Lateness of delayed calls"
    about = (
        "From the moment a call is due to the first statement of its job, by one machine's clock. The "
        "moments are random, 100 in a second on average; half of the calls have no key, and each of the "
        "others has its own. A worker with 8 slots is idle otherwise, and calls that are due in a year wait "
        "in its deferred store. Early: calls that began before their moment; of these the most of all "
        "rounds is told, not the median. "
        f"{IN_REDIS}"
    )
    measures: Sequence[Measure] = tuple(
        measure
        for store in Stores.KINDS
        for word, title in _WORDS
        for measure in (
            Measure(f"lateness.{store.name}.{word}.p50", f"{title}{store.title}: p50", "ms"),
            Measure(f"lateness.{store.name}.{word}.p99", f"{title}{store.title}: p99", "ms"),
            Measure(f"lateness.{store.name}.{word}.max", f"{title}{store.title}: the latest", "ms"),
            Measure(
                f"lateness.{store.name}.{word}.early", f"{title}{store.title}: early", "calls", worst=True
            ),
        )
    )

    def __init__(self, stores: Stores, few: Waiting, many: Waiting) -> None:
        self._stores = stores
        self._waiting: Mapping[str, Waiting] = {"few": few, "many": many}
        self._first = True

    def prepare(self, bench: Bench) -> None:
        """Make the calls that wait."""
        for waiting in self._waiting.values():
            waiting.make(bench)

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Take the lateness beside few others and beside many."""
        stores, self._first = self._stores.of_round(first=self._first), False
        for store in stores:
            for word, waiting in self._waiting.items():
                for what, value in told(self._seen(bench, store, waiting)).items():
                    yield f"lateness.{store.name}.{word}.{what}", value

    @staticmethod
    def _seen(bench: Bench, store: Store, waiting: Waiting) -> list[int]:
        """By how much (ns) calls were late."""
        scale, tally = bench.scale, bench.tally(8)
        with waiting.worker(bench, store, tally) as (worker, _):
            begin_ms = due_in(scale.ahead)
            stretch = (scale.late, begin_ms, scale.late_seconds)
            scheduled(bench, waiting.queue, "scattered", *stretch, seconds=PATIENCE)
            check_ahead(begin_ms)
            patience = scale.ahead + scale.late_seconds + PATIENCE
            worker.await_that(lambda: tally.count >= scale.late, "the last call", patience)
        return tally.numbers()


def told(late: Sequence[int]) -> Mapping[str, float]:
    """What is told of latenesses in ns: ms, and how many were none."""
    return {
        "p50": percentile(late, 0.50) / 1e6,
        "p99": percentile(late, 0.99) / 1e6,
        "max": max(late) / 1e6,
        "early": sum(1 for each in late if each < 0),
    }
