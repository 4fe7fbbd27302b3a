"""The scheduler in thousands of simulated worlds: see ``tests/proof/world``."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.proof.world.world import RARE, World

#: Worlds in one test, so that several processes can share them.
CHUNK = 50


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "first_seed" in metafunc.fixturenames:
        worlds = metafunc.config.getoption("worlds")
        metafunc.parametrize("first_seed", range(0, worlds, CHUNK))


def test_no_world_breaks_a_promise(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + CHUNK):
        violations = World(seed).run()
        assert not violations, "\n".join(
            [f"world {seed} went wrong; play it again: python -m tests.proof.world --seed {seed} --trace"]
            + [str(violation) for violation in violations[:10]]
        )


def test_a_world_is_the_same_each_time() -> None:
    first, second = World(7), World(7)
    first.run()
    second.run()
    assert first.history == second.history


def test_the_worlds_come_to_the_rare_places() -> None:
    rare: Counter[str] = Counter()
    for seed in range(150):
        world = World(seed)
        world.run()
        rare += world.rare
    assert set(rare) == RARE
