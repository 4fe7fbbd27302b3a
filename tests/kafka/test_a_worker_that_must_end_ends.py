"""Stopping by force: a second signal, and a grace period that is over while a call runs."""

from __future__ import annotations

import signal
import time

import pytest

from tests.kafka.scenario import Scenario
from tests.proof import history as h


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_worker_at_once(scenario: Scenario, number: signal.Signals) -> None:
    scenario.set_up(partitions=2, session=1.5)
    gate = scenario.folder / "gate"
    hurried = scenario.worker(grace=60).ready()
    stuck = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="a")
    behind = scenario.enqueue(key="a")
    scenario.begun(stuck)
    hurried.term()
    hurried.says("1 calls are running")
    hurried.signal(number)
    hurried.ends(2, seconds=2)

    gate.touch()
    heir = scenario.worker().ready()
    scenario.begun(stuck, behind, by=heir)
    scenario.finish()
    history = scenario.judge()
    starts = [event.call for event in history if isinstance(event, h.Started)]
    assert starts == [stuck.id, stuck.id, behind.id]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_call_that_outlasts_the_grace_runs_again_elsewhere(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=10.0)
    gate = scenario.folder / "gate"
    patient = scenario.worker(grace=1.0).ready()
    stuck = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="a")
    behind = scenario.enqueue(key="a")
    others = scenario.enqueue_many([("ok",)] * 20)
    scenario.begun(stuck)
    scenario.succeeded(len(others))
    heir = scenario.worker()
    asked = time.monotonic()
    patient.stop(code=2)
    assert time.monotonic() - asked >= 1.0

    # It left the group in order: nobody has to wait for its session to end.
    scenario.begun(stuck, by=heir)
    assert time.monotonic() - asked < 8.0
    gate.touch()
    scenario.begun(behind, by=heir)
    scenario.finish()
    history = scenario.judge()
    starts = [event.call for event in history if isinstance(event, h.Started)]
    assert starts.count(stuck.id) == 2
    assert {call for call in starts if starts.count(call) > 1} == {stuck.id}
