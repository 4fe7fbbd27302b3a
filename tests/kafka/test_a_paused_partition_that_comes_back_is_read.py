"""A worker that was full when it gave a partition away reads it again when it gets it back.

The client keeps a partition paused over that, and nobody else would wake it.
"""

from __future__ import annotations

import time

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_paused_partition_that_comes_back_is_read(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=10.0)
    gate = scenario.folder / "gate"
    keys: dict[int | None, str] = {}
    for number in range(20):
        handle = scenario.enqueue(key=f"key-{number}")
        keys.setdefault(handle.partition, f"key-{number}")
    assert len(keys) == 2
    stuck = [scenario.enqueue(str(gate), job=scenario.jobs.wait, key=key) for key in keys.values()]
    for key in keys.values():
        scenario.enqueue_many([("ok",)] * 40, key=key)
    full = scenario.worker(buffer=5, revoke_grace=0.3).ready()
    scenario.begun(*stuck, by=full)
    # It has room for two calls of each partition, and pauses them when that stays so for a moment.
    began = max(event.t for event in scenario.events(h.Started))
    until(lambda: time.monotonic() - began > 1.0, "it is full for a while")

    visitor = scenario.worker(buffer=5, revoke_grace=0.3, grace=0.3)
    scenario.sees(h.Started, visitor.inc)
    visitor.stop(code=2)
    until(lambda: len(scenario.events(h.AssignedTo, full.inc)) == 3, "the partition comes back")
    gate.touch()
    scenario.finish()
    scenario.judge(revoke_budget=0.3)
