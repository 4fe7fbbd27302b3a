"""A key's calls run one at a time and in order, also while some fail, are retried, or are given up on."""

from __future__ import annotations

import random

import pytest

from tests.kafka.scenario import Scenario
from tests.proof import history as h

_SCRIPTS = (
    *("ok",) * 12,
    "fail ok",
    "fail fail ok",
    "fail fail fail ok",
    "fail",  # until its retries are used up
    "fatal",
    "dead",
    "fail dead",
    "discard",
    "snooze",
)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_key_keeps_its_order_while_calls_fail(scenario: Scenario) -> None:
    scenario.set_up(partitions=3, threads=6)
    worker = scenario.worker().ready()
    draw = random.Random(7)
    jobs = scenario.jobs
    for number in range(180):
        key = draw.choice([None, None, *(f"key-{n}" for n in range(10))])
        if number % 15 == 0:
            scenario.enqueue(draw.choice([0, 1, 2]), job=jobs.hurry, key=key)
            continue
        job = draw.choice([jobs.act, jobs.act, jobs.drift])
        scenario.enqueue(draw.choice(_SCRIPTS), draw.choice([0.0, 0.0, 0.002, 0.02]), job=job, key=key)
    scenario.finish()
    # Calls in the event loop take no slot.
    history = scenario.judge(graceful_only=True, slots=None)

    results = {event.result for event in history if isinstance(event, h.Ended)}
    assert results == {"ok", "failed", "condemned", "discarded", "snoozed"}
    reasons = {event.reason for event in history if isinstance(event, h.Buried)}
    assert reasons == {"retries-exhausted", "not-retried", "rejected"}
    assert max(event.attempt for event in history if isinstance(event, h.Started)) == 4
    assert worker.code == 0
