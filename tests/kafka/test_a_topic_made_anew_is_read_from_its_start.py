"""A queue's topic is deleted and created again while a worker runs: nothing of the new one is skipped.

With the classic protocol the worker goes on at its old position in the new topic until it looks at the
topic's id; what it ran by then runs again, in order.
"""

from __future__ import annotations

import time

import msgspec
import pytest

from tests.kafka.dump import queue_dump
from tests.kafka.scenario import Scenario
from tests.proof import history as h


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_topic_made_anew_is_read_from_its_start(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    before = {handle.id for handle in scenario.enqueue_many([("ok",)] * 30, key="a")}
    scenario.drained()
    scenario.tell(*queue_dump(scenario.broker, scenario.topic))
    scenario.broker.delete(scenario.topic)
    scenario.broker.create({scenario.topic: 1})
    renewed = time.monotonic()
    # There is more in the new topic than the worker's position in the old one.
    after = {handle.id for handle in scenario.enqueue_many([("ok",)] * 50, key="a")}
    scenario.succeeded(80)
    scenario.finish()
    assert scenario.succeeded_calls() == before | after
    scenario.judge(change=lambda history: _renamed(history, renewed))


def _renamed(history: list[h.AnyEvent], renewed: float) -> list[h.AnyEvent]:
    """The history with the new topic named otherwise than the old one: they are two places.

    What the worker did with the new topic while it took it for the old one is left out.
    """
    began = min(event.t for event in history if isinstance(event, h.AssignedTo) and event.t > renewed)
    out: list[h.AnyEvent] = []
    for event in history:
        place = getattr(event, "place", None)
        new = event.t >= (renewed if isinstance(event, h.Enqueued) else began)
        mistaken = renewed < event.t < began and isinstance(event, h.Started | h.Ended | h.Effect)
        if place is not None and new:
            out.append(msgspec.structs.replace(event, place=(f"{place[0]}#2", place[1])))
        elif not mistaken:
            out.append(event)
    return out
