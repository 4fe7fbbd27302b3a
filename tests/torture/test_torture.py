"""A short torture finds nothing in kjobs, and finds what is wrong with one that is broken on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(900)]

_ROOT = Path(__file__).parents[2]


def torture(out: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run one; its exit code, verdict, and what it said."""
    command = [sys.executable, "-m", "tests.torture", "--json", "--out", str(out), *arguments]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_short_torture_finds_nothing(tmp_path: Path) -> None:
    code, verdict, said = torture(tmp_path, "--profile", "pr", "--seed", "1")
    assert code == 0, said
    assert verdict["good"], said
    assert sum(verdict["faults"].values()) >= 15, said
    assert verdict["figures"]["succeeded"] > 1000, said
    assert (tmp_path / "plan.jsonl").exists()
    assert json.loads((tmp_path / "verdict.json").read_text()) == verdict


@pytest.mark.parametrize(
    ("mutant", "faults", "codes"),
    [
        ("no-key-lock", "F1", {"I3", "I5"}),
        ("retry-lets-key-go", "F1", {"I3"}),
        # A dead letter topic that is missing for a while leaves time for a commit.
        ("passes-before-the-burial", "F35", {"I8"}),
    ],
)
def test_a_core_that_is_broken_is_found_out(
    tmp_path: Path, mutant: str, faults: str, codes: set[str]
) -> None:
    arguments = ("--seconds", "25", "--only", faults, "--seed", "4", "--drain", "10", "--pace", "100")
    code, verdict, said = torture(tmp_path, "--mutant", mutant, *arguments)
    assert code == 1, said
    assert codes <= set(verdict["violations"]), said
