"""A job takes longer than every limit of the group: its worker stays a member, and it runs once."""

from __future__ import annotations

import pytest

from tests.kafka.scenario import Scenario
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_job_longer_than_the_poll_interval_is_run_once(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=1.5, threads=2)
    workers = [scenario.worker(kafka_max_poll_interval_ms=3000).ready() for _ in range(2)]
    long = scenario.enqueue("ok", 8.0, key="a")
    for _ in range(5):
        scenario.enqueue("ok", key="a")
        scenario.enqueue("ok", key="b")
    scenario.begun(long)
    scenario.drained(seconds=20)
    working = scenario.events(h.AssignedTo) + scenario.events(h.RevokedFrom) + scenario.events(h.LostBy)
    began = min(event.t for event in scenario.events(h.Started))
    assert not [event for event in working if event.t > began], "the group was rebalanced"
    scenario.stop()
    history = scenario.judge(graceful_only=True)

    starts = [event for event in history if isinstance(event, h.Started) and event.call == long.id]
    assert len(starts) == 1
    assert all(worker.code == 0 for worker in workers)
