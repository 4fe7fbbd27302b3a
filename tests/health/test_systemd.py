"""What systemd is told, through a socket as it gives."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kjobs.health.presence import Presence
from kjobs.health.systemd import Notifier
from tests.health.test_server import GOOD


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield manager


def heard(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(1000).decode())
        except BlockingIOError:
            return found


def test_it_is_told_once_when_all_is_ready_and_when_it_ends(manager: socket.socket) -> None:
    presence = Presence()
    presence.tell([])
    assert heard(manager) == ["WATCHDOG=1"]
    presence.tell([GOOD])
    presence.tell([GOOD])
    assert heard(manager) == ["READY=1"]
    presence.stopping()
    assert heard(manager) == ["STOPPING=1"]


def test_signs_of_life_come_when_they_are_due_and_no_more_often(manager: socket.socket) -> None:
    often, seldom = Notifier(os.environ["NOTIFY_SOCKET"], 0.0003), Notifier(os.environ["NOTIFY_SOCKET"], 3e6)
    for _ in range(3):
        seldom.alive()
    assert heard(manager) == ["WATCHDOG=1"]
    for _ in range(5000):
        often.alive()
    assert len(heard(manager)) > 1


def test_processes_that_it_begins_do_not_speak_for_it(manager: socket.socket) -> None:
    Notifier.of_environment()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


def test_a_watchdog_that_is_for_another_process_is_not_served(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    Notifier.of_environment().alive()
    assert heard(manager) == []


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier.of_environment().ready()


def test_a_manager_that_is_gone_is_no_error(manager: socket.socket) -> None:
    notifier = Notifier.of_environment()
    manager.close()
    notifier.ready()
