"""The broker crashes and comes back under load: what was acknowledged is run, and workers stay."""

from __future__ import annotations

import time

import pytest

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.proof import history as h
from tests.servers.kafka import Kafka


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_restart_of_the_broker_loses_nothing(private_scenario: Scenario, private_kafka: Kafka) -> None:
    scenario = private_scenario
    scenario.app.configure(enqueue_timeout=1.0)
    scenario.set_up(partitions=4, session=20.0)
    workers = [scenario.worker().ready(), scenario.worker().ready()]
    with Load(scenario, scripts=("ok",) * 8 + ("fail ok", "dead")):
        scenario.succeeded(50)
        scenario.tell(h.FaultBegan(time.monotonic(), what="broker"))
        private_kafka.kill()
        scenario.sees(h.EnqueueUnknown)
        private_kafka.start()
        before = len(scenario.succeeded_calls())
        scenario.succeeded(before + 50)
        scenario.tell(h.FaultEnded(time.monotonic(), what="broker"))
    assert [worker.code for worker in workers] == [None, None]
    scenario.finish()
    scenario.judge()
