"""Delayed calls: not before their time, soon after it, once, and in the order of their key from then on."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.kafka.delays import assert_in_order, assert_never_early
from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.proof import history as h
from tests.servers.kafka import Kafka


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_delayed_calls_run_once_and_never_early(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    scenario.worker().ready()
    draw = random.Random(3)
    calls: set[str] = set()
    for _ in range(150):
        key = draw.choice([None, "a", "b"])
        calls.add(scenario.enqueue(key=key, delay=draw.uniform(0.0, 2.0)).id)
    for handle in scenario.enqueue_many([("ok",)] * 50, delay=1.0):
        calls.add(handle.id)
    scenario.finish()
    effects = [effect.call for effect in scenario.events(h.Effect)]
    assert sorted(effects) == sorted(calls)
    assert_never_early(scenario)


def test_a_time_is_kept_whatever_zone_it_is_in_and_one_that_has_passed_is_now(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    scenario.enqueue(at=datetime.now(UTC).astimezone() + timedelta(seconds=1))
    scenario.enqueue(at=datetime.now(UTC) - timedelta(days=1))
    scenario.enqueue(delay=0)
    scenario.finish()
    assert len(scenario.succeeded_calls()) == 3
    assert_never_early(scenario)


def test_a_due_call_takes_its_place_behind_what_is_in_the_queue_by_then(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    gate = scenario.folder / "gate"
    scenario.worker().ready()
    running = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="k")
    scenario.begun(running)
    delayed = scenario.enqueue(key="k", delay=1.0)
    before = [scenario.enqueue(key="k").id for _ in range(5)]
    # Nothing tells from outside that the call has taken its place; a call without a key that is due later
    # has run by then.
    later = scenario.enqueue(delay=1.5)
    scenario.begun(later)
    after = [scenario.enqueue(key="k").id for _ in range(5)]
    gate.touch()
    scenario.finish()
    order = [effect.call for effect in scenario.events(h.Effect) if effect.call != later.id]
    assert order == [running.id, *before, delayed.id, *after]


def test_a_delayed_call_of_a_key_that_waits_comes_behind_what_was_parked_before(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    gate = scenario.folder / "gate"
    scenario.worker(lane_wait=0).ready()
    held = scenario.enqueue(str(gate), job=scenario.jobs.hold, key="k")
    scenario.begun(held)
    delayed = scenario.enqueue(key="k", delay=1.0)
    before = [scenario.enqueue(key="k").id for _ in range(5)]
    later = scenario.enqueue(delay=1.5)
    scenario.begun(later)
    after = [scenario.enqueue(key="k").id for _ in range(5)]
    gate.touch()
    scenario.finish()
    order = [effect.call for effect in scenario.events(h.Effect) if effect.ok and effect.call != later.id]
    assert order == [held.id, *before, delayed.id, *after]


def test_a_call_without_a_key_does_not_wait_for_a_backlog(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, threads=1)
    backlog = {handle.id for handle in scenario.enqueue_many([("ok", 0.02)] * 400)}
    delayed = scenario.enqueue(delay=0.5)
    scenario.worker().ready()
    scenario.begun(delayed)
    done = scenario.succeeded_calls()
    assert len(backlog & done) < len(backlog), "the backlog was over by then, which proves nothing"
    scenario.finish()
    assert_never_early(scenario)


def test_what_expires_counts_from_the_time_it_is_due(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    gone = scenario.enqueue(delay=0.1, expires=0.1)
    in_time = scenario.enqueue(delay=2.0, expires=20.0)
    time.sleep(0.5)  # nothing is to happen: no worker runs
    scenario.worker().ready()
    scenario.finish()
    assert scenario.succeeded_calls() == {in_time.id}
    assert gone.id not in scenario.succeeded_calls()


def test_a_call_that_is_delayed_again_with_its_id_runs_once_in_its_last_version(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    scenario.enqueue("fatal", delay=3.0, id="digest")
    scenario.enqueue("ok", delay=1.0, id="digest")
    scenario.finish()
    assert [(effect.call, effect.ok) for effect in scenario.events(h.Effect)] == [("digest", True)]
    assert not scenario.events(h.Buried)


def test_ten_thousand_calls_fall_due_while_the_broker_is_away(
    private_scenario: Scenario, private_kafka: Kafka
) -> None:
    scenario = private_scenario
    scenario.set_up(partitions=4, session=6.0)
    scenario.worker().ready()
    calls = {handle.id for handle in scenario.enqueue_many([("ok",)] * 10_000, delay=4.0)}
    scenario.succeeded(1)
    private_kafka.kill()
    private_kafka.start()
    scenario.finish()
    assert scenario.succeeded_calls() == calls
    assert_never_early(scenario)


def test_partitions_that_move_while_their_store_catches_up_lose_and_repeat_nothing(
    scenario: Scenario,
) -> None:
    scenario.set_up(partitions=6, session=1.5)
    calls = {handle.id for handle in scenario.enqueue_many([("ok",)] * 5_000, delay=8.0)}
    # It has partitions, but not yet what waits in them, when it stops in its tracks.
    first = scenario.worker(failpoint="in-catch-up:stop@3")
    first.freezes()
    second = scenario.worker()
    second.ready()
    first.thaw()
    third = scenario.worker()
    third.ready()
    second.stop()
    scenario.finish()
    effects = [effect.call for effect in scenario.events(h.Effect)]
    assert sorted(effects) == sorted(calls)
    assert_never_early(scenario)


def test_deploys_while_calls_wait_fall_due_and_are_retried_run_nothing_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=3, session=10.0)
    worker = scenario.worker(lane_wait=0).ready()
    scripts = ("ok", "ok", "ok", "fail ok")
    with Load(scenario, scripts=scripts, delays=(None, 0.0, 0.2, 1.0)) as load:
        for _ in range(6):
            before = len(scenario.succeeded_calls())
            scenario.succeeded(before + 20)
            worker.stop()
            worker = scenario.worker(lane_wait=0).ready()
    scenario.finish()
    attempts = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    assert len(attempts) == len(set(attempts))
    assert scenario.succeeded_calls() == set(load.enqueued)
    assert_in_order(scenario)
    assert_never_early(scenario)
