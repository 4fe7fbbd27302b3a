"""Under gunicorn the app is loaded before the fork: its producer is inherited, and useless in the workers."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.kafka.scenario import Scenario
from tests.patience import PATIENCE, until
from tests.proof import history as h
from tests.servers.ports import free_ports

_WORKERS = 3
_REQUESTS = 60


def test_gunicorn_workers_enqueue_after_the_fork(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    (port,) = free_ports(1)
    server = scenario.process(
        *("-m", "gunicorn", "--preload", "--workers", str(_WORKERS), "--bind", f"127.0.0.1:{port}"),
        *("--graceful-timeout", "5", "tests.kafka.web_app:application"),
    )
    server.says("Booting worker")

    def ask(path: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    gate = scenario.folder / "gate"
    with ThreadPoolExecutor(_WORKERS) as browser:
        # Every worker holds one request, so each of them has enqueued.
        held = [browser.submit(ask, f"key-{number}?gate={gate}") for number in range(_WORKERS)]
        until(lambda: len(list(scenario.folder.glob("gate.*"))) == _WORKERS, "each worker holds a request")
        gate.touch()
        answers = [answer.result() for answer in held]
        answers += browser.map(ask, [f"key-{number % 7}" for number in range(_REQUESTS)])
    calls = {call["call"]: call for answer in answers for call in answer}
    assert len(calls) == 1 + _WORKERS + _REQUESTS
    assert len({call["pid"] for call in calls.values()}) == 1 + _WORKERS

    server.signal(signal.SIGTERM)
    server.ends(0, seconds=10)
    scenario.tell(*(_enqueued(scenario, call) for call in calls.values()))
    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)
    assert scenario.succeeded_calls() == set(calls)


def _enqueued(scenario: Scenario, call: dict[str, Any]) -> h.Enqueued:
    return h.Enqueued(
        time.monotonic(),
        str(call["pid"]),
        call=call["call"],
        place=(scenario.topic, call["partition"]),
        offset=call["offset"],
        key=call["key"].encode(),
    )
