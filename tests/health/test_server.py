"""Probes over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from msgspec.structs import replace

from kjobs.errors import ConfigError
from kjobs.health.board import Board
from kjobs.health.process import Crowd, Process, Vitals
from kjobs.health.server import HealthServer

GOOD = Process(
    number=0,
    pid=7,
    state="ready",
    ready=True,
    silent=0.1,
    failures=0,
    calls=5,
    size=6,
    vitals=Vitals(partitions=2, leased=True),
)


@pytest.fixture
def board() -> Board:
    board = Board()
    board.tell([GOOD])
    return board


@pytest.fixture
def server(board: Board) -> Iterator[HealthServer]:
    server = HealthServer(("127.0.0.1", 0), board, patience=60.0)
    server.start()
    yield server
    server.stop()


def get(server: HealthServer, path: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_good_worker_is_alive_and_ready(server: HealthServer) -> None:
    status, body = get(server, "/healthz")
    assert (status, body["alive"]) == (200, True)
    status, body = get(server, "/readyz?verbose=1")
    assert (status, body["ready"]) == (200, True)
    (told,) = body["processes"]
    assert told["pid"] == 7
    assert told["works"] is True
    assert told["vitals"]["partitions"] == 2


def test_the_keys_with_the_most_calls_of_all_processes_are_told_together(
    server: HealthServer, board: Board
) -> None:
    board.tell([GOOD])
    assert get(server, "/healthz")[1]["hot_keys"] == []
    crowds = [Crowd(f"key-{n}", "kjobs.q", n, 100 + n, 1.5, running=True, parked=False) for n in range(12)]
    board.tell(
        [replace(GOOD, number=n, vitals=replace(GOOD.vitals, hot_keys=tuple(crowds[n::2]))) for n in range(2)]
    )
    status, body = get(server, "/healthz")
    assert status == 200
    assert [crowd["waiting"] for crowd in body["hot_keys"]] == list(range(111, 101, -1))
    assert body["hot_keys"][0] == {
        "key": "key-11",
        "topic": "kjobs.q",
        "partition": 11,
        "waiting": 111,
        "age": 1.5,
        "running": True,
        "parked": False,
    }
    assert len(body["processes"][1]["vitals"]["hot_keys"]) == 6


def test_one_that_begins_nothing_is_not_ready(server: HealthServer, board: Board) -> None:
    board.tell([GOOD, Process(**{**told(GOOD), "number": 1, "ready": False})])
    assert get(server, "/readyz")[0] == 503
    assert get(server, "/healthz")[0] == 200


def test_one_that_is_silent_is_not_alive(server: HealthServer, board: Board) -> None:
    board.tell([Process(**{**told(GOOD), "silent": 61.0})])
    assert get(server, "/healthz")[0] == 503


def test_before_anything_is_told_it_is_alive_and_not_ready(server: HealthServer, board: Board) -> None:
    board.tell([])
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/readyz")[0] == 503


def test_other_paths_are_not_there(server: HealthServer) -> None:
    assert get(server, "/")[0] == 404
    assert get(server, "/healthz/..%2f")[0] == 404


def test_a_client_that_says_nothing_keeps_nobody_waiting(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert get(server, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_told_with_its_setting(server: HealthServer, board: Board) -> None:
    with pytest.raises(ConfigError, match=rf"health=127\.0\.0\.1:{server.port}: .* Is another worker"):
        HealthServer(("127.0.0.1", server.port), board, patience=60.0)


def told(process: Process) -> dict[str, Any]:
    return {name: getattr(process, name) for name in process.__struct_fields__}
