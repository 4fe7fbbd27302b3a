"""What is done, and what is done twice, while a group is rebalanced all the time, and over many deploys."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.envelopes import envelope, keys
from benchmarks.measure import Measure
from benchmarks.tally import Tally

_QUEUE, _OTHER = "storm", "handover"
_SLOTS = 16
#: Seconds between somebody's coming and leaving.
_EACH = 1.0


class Storm:
    """A member that comes and goes each second, and processes that are replaced again and again."""

    name = "storm"
    title = "Rebalances and deploys"
    about = (
        "Jobs of 10 ms on 16 threads. First calm; then a bare consumer joins the group and leaves it, each "
        "for a second, and takes its share of the partitions every time; counted for the same time. Then the "
        "two processes of a supervisor are replaced one after the other, again and again (SIGHUP). A job "
        "appends its number when it begins. At last, with jobs of 1 ms, one of two workers is told to stop; "
        "the longest time is taken in which no call of one of its partitions began."
    )
    measures: Sequence[Measure] = (
        Measure("storm.calm", "calm", "calls/s"),
        Measure("storm.rate", "while somebody comes and goes", "calls/s"),
        Measure("storm.passes", "times that somebody came and went", "times"),
        Measure("storm.twice", "calls that ran twice meanwhile", "calls"),
        Measure("storm.share", "the same of all", "%"),
        Measure("storm.restarts", "processes that were replaced in order", "times"),
        Measure("storm.restarted", "calls that ran twice because of that", "calls"),
        Measure("storm.handover", "from a worker that stops to the next call of its partitions", "s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queue, and fill it with more than can be done."""
        bench.make_queues(_QUEUE, _OTHER)
        calls = bench.scale.storm
        bench.topics.fill(_OTHER, ((envelope("bench.where", i), None) for i in range(calls)))
        bench.topics.fill(
            _QUEUE, ((envelope("bench.remember", i, i), key) for i, key in enumerate(keys(calls)))
        )

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Work in calm and in a storm, and through deploys."""
        tally, group, seconds = bench.tally(8), bench.group(), bench.scale.storm_seconds
        with bench.worker(_QUEUE, tally, threads=_SLOTS, group=group) as worker:
            bench.await_ready(worker)
            yield "storm.calm", _rate(tally, seconds)
            before = tally.count
            passer = bench.program("passer_by", bench.topics.of(_QUEUE), group, _EACH)
            yield "storm.rate", _rate(tally, seconds)
            passer.kill()
            yield "storm.passes", len(passer.said().split())
        numbers = tally.numbers()
        twice = len(numbers) - len(set(numbers))
        yield "storm.twice", twice
        yield "storm.share", 100 * twice / max(1, len(numbers) - before)
        yield from self._restarts(bench)
        yield "storm.handover", self._handover(bench)

    def _restarts(self, bench: Bench) -> Iterator[tuple[str, float]]:
        tally, wanted = bench.tally(8), bench.scale.restarts
        with bench.worker(_QUEUE, tally, threads=_SLOTS, processes=2, group=bench.group()) as worker:
            bench.await_ready(worker)
            while (begun := _begun(worker)) < wanted + 2:
                worker.send(signal.SIGHUP)
                worker.await_that(lambda begun=begun: _begun(worker) >= begun + 2, "two new processes", 120)  # type: ignore[misc]
        numbers = tally.numbers()
        yield "storm.restarts", begun - 2
        yield "storm.restarted", len(numbers) - len(set(numbers))

    def _handover(self, bench: Bench) -> float:
        tally, group = bench.tally(8), bench.group()
        with bench.worker(_OTHER, tally, threads=4, group=group) as staying:
            bench.await_ready(staying)
            with bench.worker(_OTHER, tally, threads=4, group=group) as going:
                bench.await_ready(going)
                time.sleep(_EACH)
                told = time.monotonic()
            ended = time.monotonic()
            staying.await_that(lambda: time.monotonic() > ended + 2 * _EACH, "some more calls", 10)
        return _longest(tally.numbers(), told, ended + _EACH)


def _longest(marks: Sequence[int], begin: float, end: float) -> float:
    """The longest time in which no call of one partition began, of those that it began with in a while."""
    times: dict[int, list[float]] = {}
    for mark in marks:
        times.setdefault(mark >> 48, []).append((mark & (1 << 48) - 1) / 1e6)
    longest = 0.0
    for begun in times.values():
        begun.sort()
        for one, following in pairwise(begun):
            if one < end and following > begin:
                longest = max(longest, following - one)
    return longest


def _rate(tally: Tally, seconds: float) -> float:
    begun, before = time.monotonic(), tally.count
    time.sleep(seconds)
    return (tally.count - before) / (time.monotonic() - begun)


def _begun(worker: Child) -> int:
    """Processes that have got to work."""
    return len(re.findall(r"\[\d+\] at work", worker.said()))
