"""Failpoints: how they are written, and when they act."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import kjobs
from kjobs import ConfigError
from kjobs.worker import failpoint as module
from kjobs.worker.failpoint import Failpoint, _parse, failpoint


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("after-effect:kill@3", (Failpoint.AFTER_EFFECT, signal.SIGKILL, 3)),
        ("in-commit:stop", (Failpoint.IN_COMMIT, signal.SIGSTOP, 1)),
        ("in-revoke:term@1", (Failpoint.IN_REVOKE, signal.SIGTERM, 1)),
        ("", None),
    ],
)
def test_a_failpoint_is_a_place_an_action_and_a_count(text: str, parsed: object) -> None:
    assert _parse(text) == parsed


@pytest.mark.parametrize("place", list(Failpoint))
def test_every_place_can_be_named(place: Failpoint) -> None:
    found = _parse(f"{place}:kill")
    assert found is not None
    assert found[0] is place


@pytest.mark.parametrize(
    "text",
    [
        "nowhere:kill",
        "in-job",
        "in-job:",
        "in-job:burn",
        "in-job:kill@x",
        "in-job:kill@0",
        "in-job:kill@-1",
        ":",
    ],
)
def test_a_malformed_one_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _parse(text)
    sentence = str(caught.value)
    assert f"KJOBS_FAILPOINT={text!r}" in sentence
    assert "name:action@n" in sentence
    assert "after-effect" in sentence
    assert "kill, stop, term" in sentence


def test_it_acts_at_its_own_place_at_the_right_time_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, action: sent.append((pid, action)))
    monkeypatch.setattr(module, "armed", _parse("in-commit:term@3"))
    for turn in range(6):
        failpoint(Failpoint.IN_REVOKE)
        assert len(sent) == (turn > 2)
        failpoint(Failpoint.IN_COMMIT)
        assert len(sent) == (turn > 1)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_without_one_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "armed", None)
    for place in Failpoint:
        failpoint(place)


def test_it_is_read_from_the_environment_and_kills() -> None:
    code = """
from kjobs.worker.failpoint import Failpoint, failpoint
failpoint(Failpoint.IN_JOB)
print("on")
failpoint(Failpoint.IN_JOB)
"""
    root = str(Path(kjobs.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-uc", code],
        env={"PYTHONPATH": root, "KJOBS_FAILPOINT": "in-job:kill@2"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "on\n")
