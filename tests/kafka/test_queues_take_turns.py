"""Several queues on one worker: the backlog of one does not hold up the other."""

from __future__ import annotations

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


def test_a_queue_with_a_backlog_does_not_hold_up_another_one(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, threads=2)
    other = f"{scenario.prefix}.other"
    scenario.broker.create({other: 1, f"{other}.dead": 1})
    (log,) = (t for t in scenario.app.names.topics("other", 1, 10**6) if t.name == f"{other}.delayed")
    scenario.broker.create({log.name: 1}, log.config)
    backlog = {handle.id for handle in scenario.enqueue_many([("ok", 0.01)] * 2_000)}
    worker = scenario.worker("--queues", "work,other:4").ready()
    scenario.succeeded(20)
    urgent = {scenario.enqueue(queue="other").id for _ in range(20)}
    until(lambda: urgent <= scenario.succeeded_calls(), "the other queue is served", told=scenario.tails)
    assert len(backlog & scenario.succeeded_calls()) < 1_000, "it waited for the backlog"
    worker.stop()
    assert scenario.events(h.Started)


def test_a_weight_that_is_none_is_told(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    worker = scenario.worker("--queues", "work:fast")
    worker.ends(2)
    assert "the weight is to be a whole number of at least 1" in worker.output
