"""A worker is stopped in order while the group waits for another that is slow to let a partition go."""

from __future__ import annotations

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_stop_while_the_group_waits_for_another_loses_no_work(scenario: Scenario) -> None:
    scenario.set_up(partitions=6, session=10.0)
    keys: dict[int, str] = {}
    for number in range(60):
        handle = scenario.enqueue(key=f"key-{number}")
        assert handle.partition is not None
        keys.setdefault(handle.partition, f"key-{number}")
    assert len(keys) == 6
    slow, quick = scenario.worker(), scenario.worker()
    slow.ready()
    quick.ready()
    until(lambda: len(_owned(scenario, slow.inc)) == len(_owned(scenario, quick.inc)) == 3, "three each")

    # Whatever the slow one is asked to give back, there is a call in it that takes a while.
    for number in _owned(scenario, slow.inc):
        scenario.enqueue("ok", 3.0, key=keys[number])
    until(lambda: len(_running(scenario, slow.inc)) >= 3, "the slow calls run")
    scenario.worker()
    until(lambda: _asked_back(scenario, quick.inc), "the quick one has given back what it was asked for")
    kept = _owned(scenario, quick.inc)
    for _ in range(10):
        for number in kept:
            scenario.enqueue("ok", 0.01, key=keys[number])
    scenario.succeeded(60 + 10 * len(kept) - 3)
    assert _running(scenario, slow.inc), "the slow calls are over already"
    quick.stop()
    scenario.finish()
    scenario.judge(graceful_only=True)


def _owned(scenario: Scenario, inc: str) -> set[int]:
    """The partitions that a worker has."""
    owned: set[int] = set()
    for event in scenario.events(h.AssignedTo, inc) + scenario.events(h.RevokedFrom, inc):
        if isinstance(event, h.AssignedTo):
            owned.add(event.place[1])
        else:
            owned.discard(event.place[1])
    return owned


def _asked_back(scenario: Scenario, inc: str) -> bool:
    return len(_owned(scenario, inc)) < 3


def _running(scenario: Scenario, inc: str) -> set[str | None]:
    """The calls that a worker is in the middle of."""
    started = {event.call for event in scenario.events(h.Started, inc)}
    return started - {event.call for event in scenario.events(h.Ended, inc)}
