"""Workers join and leave under load: every call runs once, and every key keeps its order."""

from __future__ import annotations

import pytest

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_workers_come_and_go_without_a_call_run_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=6, session=10.0)
    first = scenario.worker().ready()
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok"), drifting=True):
        scenario.succeeded(30)
        second = scenario.worker().ready()
        scenario.succeeded(30, by=second)
        first.stop()
        third, fourth = scenario.worker(), scenario.worker()
        scenario.succeeded(30, by=third.ready())
        scenario.succeeded(30, by=fourth.ready())
        second.term()
        third.term()
        second.ends(0)
        third.ends(0)
    scenario.finish()
    history = scenario.judge(graceful_only=True, slots=None)
    # The group moved partitions in order, and never had to take one away.
    assert any(isinstance(event, h.RevokedFrom) for event in history)
    assert not [event for event in history if isinstance(event, h.LostBy)]


def test_ten_restarts_under_load_run_no_call_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=3, session=10.0)
    worker = scenario.worker().ready()
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok", "fail fail ok")):
        for _ in range(10):
            before = len(scenario.succeeded_calls())
            scenario.succeeded(before + 5)
            worker.stop()
            worker = scenario.worker().ready()
    scenario.finish()
    scenario.judge(graceful_only=True)
