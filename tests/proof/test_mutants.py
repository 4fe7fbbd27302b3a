"""Every way in which the core is broken on purpose is noticed by the simulated worlds."""

from __future__ import annotations

import pytest

from tests.proof.mutants import MUTANTS, Mutant, try_out


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_worlds_kill(mutant: Mutant) -> None:
    killed, how = try_out(mutant, worlds=600)
    assert killed, f"{mutant.name} ({mutant.rule}): {how}"


def test_the_worlds_let_the_right_core_live() -> None:
    right = Mutant("none", "nothing is broken", "core/scheduler.py", "class Scheduler(", "class Scheduler(")
    killed, how = try_out(right, worlds=100)
    assert not killed, how
