"""A worker is killed in each of the windows where something could be lost, and another one takes over."""

from __future__ import annotations

import signal

import pytest

from kjobs.worker.failpoint import Failpoint
from tests.kafka.delays import assert_in_order, assert_never_early
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
#: The same for what has to do with the deferred store.
_STORE_PASSES = {
    Failpoint.IN_CATCH_UP: 2,
    Failpoint.BEFORE_DEFER: 6,
    Failpoint.AFTER_DEFER: 6,
    Failpoint.AFTER_DUE: 8,
    Failpoint.BEFORE_ERASE: 8,
    Failpoint.AFTER_ERASE: 8,
}


#: Those that only calls pass which store how far they are: ``test_a_long_call_goes_on_where_it_was.py``.
_SAVE_PASSES = {Failpoint.BEFORE_SAVE, Failpoint.AFTER_SAVE}


def test_every_window_is_tried() -> None:
    assert set(_PASSES) | set(_STORE_PASSES) | _SAVE_PASSES == set(Failpoint)


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


@pytest.mark.parametrize("disk", ["kept", "empty"])
@pytest.mark.parametrize("window", _STORE_PASSES)
def test_a_worker_killed_at_work_on_the_store_loses_nothing(
    scenario: Scenario, window: Failpoint, disk: str
) -> None:
    scenario.set_up(partitions=4, session=1.5)
    kill = f"{window}:kill@{_STORE_PASSES[window]}"
    victim = scenario.worker(lane_wait=0, failpoint=kill)
    with Load(
        scenario, scripts=("ok",) * 6 + ("fail ok", "dead", "fail fail fail"), delays=(None, 0.05, 0.5)
    ) as load:
        victim.ends(-signal.SIGKILL)
        place = {} if disk == "kept" else {"state_dir": scenario.folder / "another"}
        heir = scenario.worker(lane_wait=0, **place)
        scenario.succeeded(20, by=heir.ready())
    scenario.finish()
    ended = scenario.succeeded_calls() | {
        event.call for event in scenario.events(h.Buried) if event.call is not None
    }
    assert ended >= set(load.enqueued), "calls were lost"
    assert_in_order(scenario)
    assert_never_early(scenario)
