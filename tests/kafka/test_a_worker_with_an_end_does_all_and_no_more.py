"""``--burst`` ends when there is nothing left to do, ``--max-calls`` after so many attempts."""

from __future__ import annotations

import pytest

from tests.kafka.scenario import Scenario
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_burst_waits_for_failing_and_retrying_calls(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    for key in ("a", "b", None):
        scenario.enqueue("fail fail ok", key=key)
        scenario.enqueue("fail", key=key)
        scenario.enqueue("snooze", key=key)
        scenario.enqueue("dead", key=key)
        scenario.enqueue("ok", 0.3, key=key)
    scenario.worker("--burst").ends(0)
    assert scenario.is_drained()
    history = scenario.judge(graceful_only=True)
    assert len({event.call for event in history if isinstance(event, h.Effect)}) == 15


def test_a_burst_runs_what_is_due_and_does_not_wait_for_what_is_not(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    due = {scenario.enqueue(delay=0, key=key).id for key in ("a", "b", None)}
    scenario.enqueue(delay="1h")
    scenario.worker("--burst").ends(0)
    assert scenario.succeeded_calls() == due
    assert len(scenario.waiting()) == 1


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_burst_of_nothing_ends(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    scenario.worker("--burst").ends(0, seconds=15)
    # And once more, now that the group has offsets.
    scenario.worker("--burst").ends(0, seconds=15)
    scenario.judge(graceful_only=True)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("partitions", [1, 4])
def test_two_bursts_at_once_share_the_work(scenario: Scenario, partitions: int) -> None:
    scenario.set_up(partitions=partitions)
    for number in range(60):
        scenario.enqueue("fail ok" if number % 9 == 0 else "ok", 0.02, key=f"key-{number % 13}")
    workers = [scenario.worker("--burst"), scenario.worker("--burst")]
    for worker in workers:
        worker.ends(0)
    assert scenario.is_drained()
    scenario.judge(graceful_only=True)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_burst_beside_a_worker_that_has_everything_ends(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    last = scenario.enqueue("ok", 1.0)
    scenario.begun(last)
    scenario.worker("--burst").ends(0, seconds=20)
    assert scenario.is_drained()
    scenario.finish()
    scenario.judge(graceful_only=True)


@pytest.mark.parametrize("threads", [1, 4])
def test_max_calls_makes_exactly_so_many_attempts(scenario: Scenario, threads: int) -> None:
    scenario.set_up(partitions=2, threads=threads)
    for number in range(50):
        scenario.enqueue("fail ok" if number % 5 == 0 else "ok", key=f"key-{number % 3}")
    for rounds in (1, 2, 3):
        scenario.worker("--max-calls", "11").ends(0)
        assert len(scenario.events(h.Started)) == 11 * rounds
    scenario.worker("--burst").ends(0)
    history = scenario.judge(graceful_only=True)
    assert len([event for event in history if isinstance(event, h.Started)]) == 60
