"""A worker is killed in each of the windows where something could be lost, and another one takes over."""

from __future__ import annotations

import signal

import pytest

from kjobs.worker.failpoint import Failpoint
from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.proof import history as h

#: The pass of each failpoint at which the worker dies: late enough for everything to be under way.
_PASSES = {
    Failpoint.AFTER_FETCH: 3,
    Failpoint.IN_JOB: 25,
    Failpoint.AFTER_EFFECT: 12,
    Failpoint.AFTER_BURIAL: 2,
    Failpoint.IN_COMMIT: 5,
    Failpoint.IN_REVOKE: 1,
}


def test_every_window_is_tried() -> None:
    assert set(_PASSES) == set(Failpoint)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("window", _PASSES)
def test_a_worker_killed_in_any_window_loses_nothing(scenario: Scenario, window: Failpoint) -> None:
    scenario.set_up(partitions=4, session=1.5)
    victim = scenario.worker(failpoint=f"{window}:kill@{_PASSES[window]}").ready()
    with Load(scenario, scripts=("ok",) * 6 + ("fail ok", "dead", "fail fail fail")):
        heir = scenario.worker()
        victim.ends(-signal.SIGKILL)
        scenario.succeeded(20, by=heir.ready())
    scenario.finish()
    history = scenario.judge()

    (death,) = (event.t for event in history if isinstance(event, h.Killed))
    mine = {event.place for event in history if isinstance(event, h.AssignedTo) and event.inc == victim.inc}
    taken = {
        event.place
        for event in history
        if isinstance(event, h.AssignedTo) and event.inc == heir.inc and event.t > death
    }
    assert taken & mine, "the heir took over nothing after the death"
