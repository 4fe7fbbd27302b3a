"""The broker stops answering: workers begin nothing once they may be given up on."""

from __future__ import annotations

import time

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h
from tests.servers.kafka import Kafka

_SESSION = 2.0


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_an_unreachable_broker_stops_the_starts(private_scenario: Scenario, private_kafka: Kafka) -> None:
    scenario = private_scenario
    scenario.set_up(partitions=4, session=_SESSION)
    draw = [(("ok", 0.02), f"key-{number % 17}" if number % 3 else None) for number in range(1500)]
    scenario.enqueue_batch(draw)
    workers = [scenario.worker().ready(), scenario.worker().ready()]
    scenario.succeeded(100)
    scenario.tell(h.FaultBegan(time.monotonic(), what="broker"))
    private_kafka.pause()
    paused = time.monotonic()
    # Until the lease ends they go on with what they hold; nothing says that the broker is gone.
    until(lambda: time.monotonic() - _last_start(scenario) > _SESSION, "the starts stop")
    assert paused < _last_start(scenario) < paused + _SESSION
    assert len(scenario.succeeded_calls()) < len(draw)
    private_kafka.resume()
    scenario.succeeded(len(draw))
    scenario.tell(h.FaultEnded(time.monotonic(), what="broker"))
    assert [worker.code for worker in workers] == [None, None]
    scenario.finish()
    scenario.judge(start_slack=0.1)


def _last_start(scenario: Scenario) -> float:
    return max(event.t for event in scenario.events(h.Started))
