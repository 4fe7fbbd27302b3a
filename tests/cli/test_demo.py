"""``kjobs demo``: it shows what it says, and would show if it were not so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kjobs import Handle
from kjobs.core.deferred import Verdict
from kjobs.demo.evidence import Reminders, judge

DUE_MS = 1_795_527_108_240


def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KJOBS_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "kjobs", "demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # How late the reminder came is for the benchmarks.
    for words in ("order per key", "retries", "dead letters", "cancelled", "nothing lost"):
        assert f"kept    {words} " in ended.stdout, ended.stdout + ended.stderr
    assert "the worker ended with exit code 0" in ended.stdout
    assert list(tmp_path.iterdir()) == []  # nothing is left of it


def verdicts(notes: list[dict[str, Any]], reminders: Reminders) -> dict[str, bool]:
    """Which promises were kept."""
    promises = judge(notes, [], reminders, users=0, versions=0, pictures=0)
    return {promise.words: promise.kept for promise in promises}


def reminder(order: int, late: float) -> dict[str, Any]:
    """What the reminder's job wrote down."""
    return {"job": "shop.remind", "order": order, "at": DUE_MS / 1000 + late}


def reminders(verdict: Verdict = Verdict.CANCELLED, waited: int = 2) -> Reminders:
    """What was done about delayed calls."""
    kept, cancelled = (Handle(name, "shop.remind", "reminders", None, DUE_MS) for name in "ab")
    return Reminders(kept, cancelled, waited, verdict, 0.01)


@pytest.mark.parametrize(
    ("notes", "kept"),
    [
        ([reminder(1, 0.0)], True),
        ([reminder(1, 0.5)], True),
        ([reminder(1, -0.001)], False),
        ([reminder(1, 1.5)], False),
        ([reminder(1, 0.0), reminder(1, 0.1)], False),
        ([], False),
    ],
)
def test_a_reminder_comes_once_and_at_its_time(notes: list[dict[str, Any]], kept: bool) -> None:
    assert verdicts(notes, reminders())["never early"] is kept


def test_what_was_cancelled_for_certain_does_not_come() -> None:
    assert verdicts([reminder(1, 0.0)], reminders())["cancelled"]
    assert not verdicts([reminder(1, 0.0), reminder(2, 0.0)], reminders())["cancelled"]
    assert not verdicts([reminder(1, 0.0)], reminders(Verdict.UNKNOWN))["cancelled"]
    assert not verdicts([reminder(1, 0.0)], reminders(waited=1))["cancelled"]
