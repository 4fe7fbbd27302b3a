"""Calls whose retries wait in the deferred store: their key waits for them, and others do not."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h

_SCRIPTS = (*("ok",) * 8, "fail ok", "fail fail ok", "fail", "dead", "fail dead", "discard", "snooze")


def orders(scenario: Scenario) -> dict[bytes | None, list[int]]:
    """By key, the numbers of the calls in the order in which their last attempts were made."""
    numbers = {event.call: event.seq for event in scenario.events(h.Enqueued)}
    keys = {event.call: event.key for event in scenario.events(h.Enqueued)}
    last: dict[str, None] = {}
    for effect in scenario.events(h.Effect):
        last.pop(effect.call, None)
        last[effect.call] = None
    found: dict[bytes | None, list[int]] = defaultdict(list)
    for call in last:
        number = numbers[call]
        assert number is not None
        found[keys[call]].append(number)
    return found


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_key_keeps_its_order_through_the_store(scenario: Scenario) -> None:
    scenario.set_up(partitions=3, threads=6)
    # Every retry is too long to wait in memory.
    worker = scenario.worker(lane_wait=0).ready()
    draw = random.Random(7)
    for _ in range(200):
        key = draw.choice([None, *(f"key-{n}" for n in range(8))])
        scenario.enqueue(draw.choice(_SCRIPTS), draw.choice([0.0, 0.002, 0.02]), key=key)
    scenario.finish()
    found = orders(scenario)
    assert len(found) == 9
    for key, numbers in found.items():
        if key is not None:
            assert numbers == sorted(numbers)
    effects = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    # A call that snoozed makes its attempt again; no other is made twice.
    snoozed = {event.call for event in scenario.events(h.Ended) if event.result == "snoozed"}
    once = [effect for effect in effects if effect[0] not in snoozed]
    assert len(once) == len(set(once))
    assert max(attempt for _, attempt in effects) == 4
    assert worker.code == 0


def test_a_relaxed_call_lets_others_pass_while_it_waits_in_the_store(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker(lane_wait=0).ready()
    gate = scenario.folder / "gate"
    first = scenario.enqueue(str(gate), job=scenario.jobs.yielding, key="k")
    rest = {scenario.enqueue("ok", key="k").id for _ in range(5)}
    until(lambda: rest <= scenario.succeeded_calls(), "the others pass", told=scenario.tails)
    assert first.id not in scenario.succeeded_calls()
    gate.touch()
    scenario.finish()
    assert [effect.call for effect in scenario.events(h.Effect) if effect.ok][-1] == first.id


def test_ten_thousand_calls_behind_one_that_waits_come_after_it_and_others_do_not(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, threads=8)
    worker = scenario.worker(lane_wait=0, buffer=1000).ready()
    gate = scenario.folder / "gate"
    held = scenario.enqueue(str(gate), job=scenario.jobs.hold, key="hot")
    scenario.begun(held)
    behind = [call.id for call in scenario.enqueue_many([("ok",)] * 10_000, key="hot")]
    others = {scenario.enqueue("ok", key=f"other-{n}").id for n in range(20)}
    # What is enqueued last is run first: the buffer, of a thousand, is not full of the others.
    until(lambda: others <= scenario.succeeded_calls(), "other keys go on", told=scenario.tails)
    assert scenario.succeeded_calls() == others
    gate.touch()
    scenario.finish()
    order = [effect.call for effect in scenario.events(h.Effect) if effect.ok]
    assert [call for call in order if call not in others] == [held.id, *behind]
    assert worker.code == 0


def test_a_long_call_holds_its_key_and_not_those_that_are_behind_its_backlog(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, threads=4)
    worker = scenario.worker(buffer=200).ready()
    gate = scenario.folder / "gate"
    long = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="hot")
    scenario.begun(long)
    behind = [call.id for call in scenario.enqueue_many([("ok",)] * 3_000, key="hot")]
    others = {scenario.enqueue("ok", key=f"other-{n}").id for n in range(20)}
    until(lambda: others <= scenario.succeeded_calls(), "other keys go on", told=scenario.tails)
    assert scenario.succeeded_calls() == others
    gate.touch()
    scenario.finish()
    order = [effect.call for effect in scenario.events(h.Effect) if effect.ok]
    assert [call for call in order if call not in others] == [long.id, *behind]
    assert worker.code == 0
