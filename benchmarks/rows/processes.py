"""What a second worker process is worth where calls compute, and how soon a killed one is replaced."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.children import Child
from benchmarks.envelopes import envelope
from benchmarks.measure import Measure
from benchmarks.tally import Tally

_QUEUE = "busy"
#: What makes a call take about a millisecond.
_ROUNDS = 20_000
_THREADS = 4


class Processes:
    """Calls that keep the interpreter busy, in one process and in two."""

    name = "processes"
    title = "Worker processes under one supervisor"
    about = (
        "Jobs of about a millisecond that compute in Python, which one process does one at a time whatever "
        "its threads. Counted for some seconds, with one process and with two. Then one of two processes "
        "with names (`instance`) is killed with SIGKILL, and the time is taken until a call begins in the "
        "one that replaces it."
    )
    measures: Sequence[Measure] = (
        Measure("processes.1", "one process", "calls/s"),
        Measure("processes.2", "two processes", "calls/s"),
        Measure("processes.killed", "from the kill to the first call of the next one", "s"),
    )

    def prepare(self, bench: Bench) -> None:
        """Make the queue, and fill it with more than can be done."""
        bench.make_queues(_QUEUE)
        calls = bench.scale.busy
        bench.topics.fill(_QUEUE, ((envelope("bench.busy", i, _ROUNDS), None) for i in range(calls)))

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Work with one process and with two, and kill one of the two."""
        for processes in (1, 2):
            tally, group = bench.tally(8), bench.group()
            variables = {"KJOBS_INSTANCE": group} if processes > 1 else {}
            with bench.worker(
                _QUEUE, tally, threads=_THREADS, processes=processes, group=group, **variables
            ) as worker:
                bench.await_ready(worker)
                begun, before = time.monotonic(), tally.count
                time.sleep(bench.scale.busy_seconds)
                yield f"processes.{processes}", (tally.count - before) / (time.monotonic() - begun)
                if processes > 1:
                    yield "processes.killed", _killed(worker, tally)


def _killed(worker: Child, tally: Tally) -> float:
    """Kill one of two processes; seconds until another one begins a call."""
    known = {int(pid) for pid in re.findall(r"process \d+ begins: pid (\d+)", worker.said())}
    seen = tally.count
    os.kill(max(known), signal.SIGKILL)
    killed = time.monotonic()
    worker.await_that(lambda: not set(tally.numbers()[seen:]) <= known, "a call in the next process", 60)
    return time.monotonic() - killed
