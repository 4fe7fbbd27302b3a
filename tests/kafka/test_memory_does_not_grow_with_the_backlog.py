"""Two hundred thousand calls wait, half of them behind one that is stuck: a worker holds a few thousand."""

from __future__ import annotations

import time
from pathlib import Path

from tests.kafka.scenario import Scenario
from tests.kafka.worker import Worker
from tests.patience import until
from tests.proof import history as h

_CALLS = 200_000
#: Bytes that a worker may take for what it holds. The whole backlog as Python objects has far more.
_ALLOWANCE = 90 * 1024 * 1024
#: Seconds without a start after which it has taken in what it may.
_QUIET = 1.0


def test_memory_does_not_grow_with_the_backlog(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    gate = scenario.folder / "gate"
    worker = scenario.worker().ready()
    first = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="hot")
    scenario.begun(first)
    before = _peak(worker)
    scenario.enqueue_batch([(("ok",), "hot" if number % 2 else None) for number in range(_CALLS)])
    scenario.succeeded(4000)
    until(lambda: _quiet(scenario), "the worker takes in no more")
    grown = _peak(worker) - before
    worker.kill()
    scenario.judge(drained=False)
    assert grown < _ALLOWANCE, f"it grew by {grown / 1e6:.0f} MB"


def _quiet(scenario: Scenario) -> bool:
    return time.monotonic() - max(event.t for event in scenario.events(h.Started)) > _QUIET


def _peak(worker: Worker) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
