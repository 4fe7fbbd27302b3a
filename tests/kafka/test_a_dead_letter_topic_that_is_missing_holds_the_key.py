"""The dead letter topic is gone: a call that must be buried stays, and is buried once it is back."""

from __future__ import annotations

from tests.kafka.dump import dead_dump
from tests.kafka.scenario import Scenario
from tests.proof import history as h


def test_a_dead_letter_topic_that_is_missing_holds_the_key(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    # By default the client waits half a minute for a topic to appear before it gives up on a record.
    worker = scenario.worker(kafka_topic_metadata_propagation_max_ms=200).ready()
    scenario.enqueue("dead", key="early")
    scenario.drained()
    scenario.tell(*dead_dump(scenario.broker, scenario.dead_topic))
    scenario.broker.delete(scenario.dead_topic)

    dying, behind = scenario.enqueue("dead", key="a"), scenario.enqueue("ok", key="a")
    others = [scenario.enqueue("ok", key=key) for key in ("b", "c", "d", None, None)]
    alone = scenario.enqueue("fatal")
    scenario.begun(dying, alone, *others)
    worker.says("could not be put on the dead letter queue")
    scenario.succeeded(len(others))
    assert behind.id not in {event.call for event in scenario.events(h.Started)}
    assert not scenario.is_drained()

    scenario.broker.create({scenario.dead_topic: 2})
    scenario.begun(behind)
    scenario.finish()
    history = scenario.judge()
    assert len([event for event in history if isinstance(event, h.Started)]) == 3 + len(others) + 1
    assert {event.call for event in history if isinstance(event, h.Buried)} >= {dying.id, alone.id}
