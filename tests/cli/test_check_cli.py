"""``kjobs check`` against a server that answers as workers do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from kjobs.cli.check import command
from kjobs.health.board import Board
from kjobs.health.process import Crowd
from kjobs.health.server import HealthServer
from tests.health.test_server import GOOD


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def address(board: Board) -> Iterator[str]:
    server = HealthServer(("127.0.0.1", 0), board, patience=60.0)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop()


def test_a_good_worker_is_ready_and_alive(board: Board, address: str) -> None:
    board.tell([GOOD])
    for options, word in (([], "ready: yes"), (["--alive"], "alive: yes")):
        ended = CliRunner().invoke(command, ["--address", address, *options])
        assert ended.exit_code == 0
        assert word in ended.output
        assert GOOD.state in ended.output


def test_keys_with_many_calls_are_told_and_can_do_nothing_to_the_terminal(board: Board, address: str) -> None:
    crowd = Crowd("k\x1b[31m", "kjobs.q", 3, 812, 61.0, running=False, parked=True)
    board.tell([replace(GOOD, vitals=replace(GOOD.vitals, hot_keys=(crowd,)))])
    ended = CliRunner().invoke(command, ["--address", address])
    assert "k\\x1b[31m  kjobs.q[3]  812    61.0 s  no       yes" in ended.output


def test_one_that_begins_nothing_is_not_ready(board: Board, address: str) -> None:
    board.tell([replace(GOOD, ready=False, state="beginning")])
    ended = CliRunner().invoke(command, ["--address", address])
    assert ended.exit_code == 1
    assert "ready: no" in ended.output
    assert CliRunner().invoke(command, ["--address", address, "--alive"]).exit_code == 0


def test_scripts_read_one_object_per_process(board: Board, address: str) -> None:
    board.tell([GOOD, replace(GOOD, number=1)])
    ended = CliRunner().invoke(command, ["--address", address, "--json"])
    assert [json.loads(line)["number"] for line in ended.output.splitlines()] == [0, 1]


def test_nobody_there_is_told_in_a_sentence() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and not listened to
        port = held.getsockname()[1]
        ended = CliRunner().invoke(command, ["--address", f"127.0.0.1:{port}"])
    assert ended.exit_code == 1
    assert f"no worker answers at http://127.0.0.1:{port}/readyz" in ended.output


def test_without_an_address_it_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KJOBS_HEALTH", raising=False)
    ended = CliRunner().invoke(command, [])
    assert ended.exit_code == 2
    assert "KJOBS_HEALTH" in ended.output


def test_everywhere_is_asked_here(board: Board, address: str) -> None:
    board.tell([GOOD])
    port = address.rpartition(":")[2]
    assert CliRunner().invoke(command, ["--address", f"0.0.0.0:{port}"]).exit_code == 0
