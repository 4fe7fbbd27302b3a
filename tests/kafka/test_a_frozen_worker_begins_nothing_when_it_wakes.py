"""A worker is frozen for longer than its session: another takes over, and the zombie starts nothing.

It is frozen while every slot is in the middle of a call: between the look at the lease and the start no
worker could notice that time has passed.
"""

from __future__ import annotations

import pytest

from tests.kafka.scenario import Scenario
from tests.proof import history as h

_KEYS = ("a", "b", "c", "d")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_frozen_worker_begins_nothing_when_it_wakes(scenario: Scenario) -> None:
    scenario.set_up(partitions=4, session=1.5, threads=4)
    gate = scenario.folder / "gate"
    zombie = scenario.worker().ready()
    waiting = [scenario.enqueue(str(gate), job=scenario.jobs.wait, key=key) for key in _KEYS]
    scenario.begun(*waiting, by=zombie)
    for key in (*_KEYS, None) * 6:
        scenario.enqueue("ok", 0.002, key=key)
    scenario.enqueue("fail ok", key="a")
    zombie.freeze()

    heir = scenario.worker()
    scenario.begun(*waiting, by=heir)
    gate.touch()
    scenario.drained()
    zombie.thaw()
    # It finishes what it was in the middle of, and comes back as a member that has work to do.
    scenario.sees(h.LostBy, zombie.inc)
    for _ in range(8):
        scenario.enqueue_many([("ok", 0.02)] * 5)
    scenario.succeeded(1, by=zombie)
    scenario.finish()
    history = scenario.judge(start_slack=0.1)

    (frozen,) = (event.t for event in history if isinstance(event, h.Frozen))
    back = min(
        event.t
        for event in history
        if isinstance(event, h.AssignedTo) and event.inc == zombie.inc and event.t > frozen
    )
    undead = [event for event in history if event.inc == zombie.inc and frozen < event.t < back]
    assert not [event for event in undead if isinstance(event, h.Started)]
    assert not [event for event in undead if isinstance(event, h.Committed)]
    late = [event for event in undead if isinstance(event, h.Effect)]
    assert {event.call for event in late} == {handle.id for handle in waiting}
