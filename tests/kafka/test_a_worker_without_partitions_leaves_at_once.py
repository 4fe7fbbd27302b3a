"""A worker that has no partitions is stopped: the group does not wait for it afterwards."""

from __future__ import annotations

import time

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_worker_without_partitions_leaves_at_once(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, session=20.0)
    owner = scenario.worker().ready()
    idle = [scenario.worker(), scenario.worker()]
    for worker in idle:
        worker.says("no partitions")
    scenario.enqueue()
    for worker in idle:
        worker.stop()
    until(lambda: scenario.broker.members(scenario.group) == 1, "only one member is left", seconds=3.0)

    owner.stop()
    stopped = time.monotonic()
    scenario.worker().ready()
    assert time.monotonic() - stopped < 8.0, "the group waited for somebody who is gone"
    scenario.enqueue()
    scenario.finish()
    scenario.judge(graceful_only=True)
