"""Calls that store how far they are: whatever becomes of their worker, the next one goes on from there."""

from __future__ import annotations

import pytest

from tests.kafka.scenario import Scenario
from tests.kafka.way import Way
from tests.patience import until
from tests.proof import history as h


@pytest.mark.parametrize("job", ["climb", "rove", "trek"])
def test_after_a_crash_of_its_worker_it_goes_on_and_its_key_waits(scenario: Scenario, job: str) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker().ready()
    way = Way(scenario, job, key="k")
    behind = [scenario.enqueue("ok", key="k") for _ in range(3)]
    others = [scenario.enqueue("ok", key=f"other-{n}") for n in range(5)]
    way.let(0, 1, 2)
    way.stored(3)
    until(lambda: {call.id for call in others} <= scenario.succeeded_calls(), "others go on")
    first.kill()
    scenario.worker().ready()
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "3"]
    assert way.made == [0, 1, 2, 3, 4]
    order = [effect.call for effect in scenario.events(h.Effect) if effect.ok]
    assert [call for call in order if call in {way.handle.id, *(b.id for b in behind)}] == [
        way.handle.id,
        *(b.id for b in behind),
    ]
    if job != "trek":  # a call in a cell is witnessed twice
        scenario.judge()


@pytest.mark.parametrize("job", ["climb", "rove", "trek"])
def test_a_deploy_cuts_nothing_off_that_was_stored(scenario: Scenario, job: str) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker().ready()
    way = Way(scenario, job, key="k")
    behind = scenario.enqueue("ok", key="k")
    way.let(0, 1)
    way.stored(2)
    first.stop()  # it sees that it is to stop, and gives up its turn
    assert behind.id not in scenario.succeeded_calls()
    scenario.worker().ready()
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "2"]
    assert way.made == [0, 1, 2, 3, 4]
    assert [effect.call for effect in scenario.events(h.Effect) if effect.ok] == [way.handle.id, behind.id]
    if job != "trek":
        scenario.judge()


def test_a_crash_in_a_process_of_its_own_does_not_take_it_back_to_the_start(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    way = Way(scenario, "trek", 5, 3, key="k")
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "3"]
    assert way.made == [0, 1, 2, 3, 4]
    crashes = [dict(r.headers).get("kj-crashes") for r in scenario.broker.read(scenario.log_topic)]
    assert b"1" in crashes, "they are counted in the store, too"


def test_a_delayed_call_goes_on_too_and_what_it_stored_is_gone_with_it(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker().ready()
    way = Way(scenario, "climb", key="k", delay=0.2)
    way.let(0, 1, 2)
    way.stored(3)
    first.kill()
    scenario.worker().ready()
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "3"]
    assert not scenario.waiting()


@pytest.mark.parametrize("where", ["before-save", "after-save"])
def test_killed_while_it_stores_it_goes_on_with_that_or_what_was_before(
    scenario: Scenario, where: str
) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker(failpoint=f"{where}:kill@3").ready()
    way = Way(scenario, "climb", key="k")
    behind = scenario.enqueue("ok", key="k")
    way.let_all()
    first.ends(-9)
    scenario.worker().ready()
    scenario.finish()
    (begun,) = way.begun[1:]
    assert begun == ("2" if where == "before-save" else "3")
    assert way.made == ([0, 1, 2, 2, 3, 4] if where == "before-save" else [0, 1, 2, 3, 4])
    assert [effect.call for effect in scenario.events(h.Effect) if effect.ok] == [way.handle.id, behind.id]
    scenario.judge()


def test_a_worker_that_wakes_after_another_has_its_call_stores_nothing(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, session=6.0)
    first = scenario.worker().ready()
    way = Way(scenario, "climb", key="k")
    way.let(0, 1)
    way.stored(2)
    first.freeze()
    scenario.worker().ready()
    until(lambda: way.begun == ["None", "2"], "another goes on", told=scenario.tails)
    way.let(2)
    way.stored(3)
    first.thaw()
    way.let_all()
    until(lambda: way.refused == ["CheckpointRefused"], "it is refused", told=scenario.tails)
    scenario.finish()
    assert not scenario.waiting()
    scenario.judge()
