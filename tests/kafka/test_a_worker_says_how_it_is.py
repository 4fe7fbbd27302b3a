"""What probes are told of real workers: before they are ready, at work, and while Kafka is away."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest

from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.servers.kafka import Kafka


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def probe(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """The answer; status 0 if nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    return 0, {}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_is_ready_when_it_could_begin_a_call_and_not_while_it_stops(
    scenario: Scenario, processes: int
) -> None:
    scenario.set_up(partitions=4)
    port = free_port()
    worker = scenario.worker("--processes", str(processes), health=f"127.0.0.1:{port}")
    until(lambda: probe(port, "/healthz")[0] == 200, "it is alive", told=scenario.tails)
    worker.ready()
    until(lambda: probe(port, "/readyz")[0] == 200, "it is ready", told=scenario.tails)
    told = probe(port, "/readyz")[1]["processes"]
    assert len(told) == processes
    assert sum(process["vitals"]["partitions"] for process in told) == 4
    check = scenario.process("-m", "kjobs", "check", health=f"127.0.0.1:{port}")
    check.ends(0)
    gate = scenario.folder / "gate"
    running = scenario.enqueue(str(gate), job=scenario.jobs.wait)
    scenario.begun(running)
    worker.signal(signal.SIGTSTP)
    until(lambda: probe(port, "/readyz")[0] == 503, "it is not ready", told=scenario.tails)
    assert probe(port, "/healthz")[0] == 200
    gate.touch()
    worker.stop()
    assert probe(port, "/healthz")[0] == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_key_whose_calls_pile_up_is_told_in_probes_and_in_a_dump(
    scenario: Scenario, processes: int
) -> None:
    scenario.set_up(partitions=4)
    port = free_port()
    worker = scenario.worker("--processes", str(processes), health=f"127.0.0.1:{port}").ready()
    gate = scenario.folder / "gate"
    running = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="stück")
    scenario.enqueue_many([("ok",)] * 99, key="stück")

    def told() -> list[dict[str, Any]]:
        hot: list[dict[str, Any]] = probe(port, "/healthz")[1].get("hot_keys", [])
        return hot if hot and hot[0]["waiting"] == 100 else []

    (hot,) = until(told, "the hot key is told", told=scenario.tails)
    assert (hot["key"], hot["topic"], hot["partition"]) == ("stück", scenario.topic, running.partition)
    assert hot["running"]
    worker.signal(signal.SIGUSR1)
    worker.says(f"{scenario.topic}[{running.partition}] key='stück': 100 calls")
    gate.touch()
    scenario.drained()
    until(lambda: probe(port, "/healthz")[1].get("hot_keys") == [], "it is told no more")
    worker.stop()


def test_a_worker_whose_broker_is_away_is_alive_and_not_ready(
    private_scenario: Scenario, private_kafka: Kafka
) -> None:
    scenario = private_scenario
    scenario.set_up(partitions=2, session=6.0)
    port = free_port()
    worker = scenario.worker(health=f"127.0.0.1:{port}").ready()
    until(lambda: probe(port, "/readyz")[0] == 200, "it is ready", told=scenario.tails)
    private_kafka.kill()
    until(lambda: probe(port, "/readyz")[0] == 503, "it is not ready", told=scenario.tails)
    assert probe(port, "/healthz")[0] == 200
    private_kafka.start()
    until(lambda: probe(port, "/readyz")[0] == 200, "it is ready again", told=scenario.tails)
    worker.stop()


def test_a_port_that_is_taken_is_told_and_nothing_begins(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        worker = scenario.worker(health=address)
        worker.ends(2)
        assert f"health={address}: probes cannot be answered there" in worker.output
        supervised = scenario.worker("--processes", "2", health=address)
        supervised.ends(2)
        assert f"health={address}: probes cannot be answered there" in supervised.output
