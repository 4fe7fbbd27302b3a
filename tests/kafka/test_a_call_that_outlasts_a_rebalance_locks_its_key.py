"""A call outlasts a rebalance: it runs again elsewhere, and never beside itself in one process."""

from __future__ import annotations

import pytest

from kjobs import Handle
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_call_that_outlasts_a_rebalance_locks_its_key(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=10.0)
    gates = [scenario.folder / "gate-0", scenario.folder / "gate-1"]
    stubborn = scenario.worker(revoke_grace=0.5).ready()
    # One stuck call in each partition: whichever is moved, a stuck call moves with it.
    stuck: dict[int | None, Handle] = {}
    for number in range(20):
        handle = scenario.enqueue(str(gates[len(stuck)]), job=scenario.jobs.wait, key=f"key-{number}")
        stuck.setdefault(handle.partition, handle)
        if len(stuck) == 2:
            break
    for handle in stuck.values():
        scenario.enqueue(key=handle.key)
    scenario.begun(*stuck.values(), by=stubborn)

    visitor = scenario.worker(revoke_grace=0.5, grace=0.5)
    until(lambda: scenario.events(h.Started, visitor.inc), "a stuck call begins again elsewhere")
    (moved,) = {event.call for event in scenario.events(h.Started, visitor.inc)}
    visitor.stop(code=2)
    # The partition is back where the first run of its call still goes on.
    taken = len(scenario.events(h.AssignedTo, stubborn.inc))
    until(
        lambda: len(scenario.events(h.AssignedTo, stubborn.inc)) >= max(3, taken), "the partition comes back"
    )
    last = scenario.enqueue()
    scenario.begun(last, by=stubborn)
    assert [event.call for event in scenario.events(h.Started, stubborn.inc)].count(moved) == 1
    for gate in gates:
        gate.touch()
    scenario.finish()
    scenario.judge(revoke_budget=0.5)
    assert [event.call for event in scenario.events(h.Started, stubborn.inc)].count(moved) == 2
