"""Probes over HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from kjobs.errors import ConfigError
from kjobs.health.process import Process, Vitals
from kjobs.health.server import Board, HealthServer

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
