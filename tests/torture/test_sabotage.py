"""A core that is broken on purpose is broken in that process, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.sabotage import VARIABLE

_ROOT = Path(__file__).parents[2]
_SCRIPT = """
from tests.torture.sabotage import sabotage
sabotage()
from kjobs.core.partition import Partition
print(sorted(map(str, Partition.watermark.__code__.co_names)))
"""


def names(mutant: str) -> str:
    """What a process' watermark is made of."""
    environ = {**os.environ, VARIABLE: mutant, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_the_process_that_is_told_to_is_broken() -> None:
    assert "'high'" in names("watermark-at-highest")
    assert "'high'" not in names("")


@pytest.mark.parametrize("mutant", ["no-key-lock", "attempts-forgotten"])
def test_one_rule_is_broken_and_no_other(mutant: str) -> None:
    assert names(mutant) == names("")
