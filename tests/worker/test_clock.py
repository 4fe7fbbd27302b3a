"""The worker's clock: the wall clock may jump, this one does not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kjobs.worker import clock as module
from kjobs.worker.clock import Clock

WALL = 1_700_000_000.0


class Hands:
    """Two clocks of which a test moves the hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.counted = WALL, 5000.0
        stand_in = SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.counted)
        monkeypatch.setattr(module, "time", stand_in)

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.counted += seconds


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


def test_it_begins_with_the_wall_clock(hands: Hands) -> None:
    assert Clock().now() == WALL


@pytest.mark.parametrize("jump", [-3600.0, -0.5, 0.5, 3600.0, 10 * 365 * 86_400.0])
def test_a_wall_clock_that_jumps_moves_it_neither_back_nor_forth(hands: Hands, jump: float) -> None:
    clock = Clock()
    hands.pass_(10)
    hands.wall += jump
    assert clock.now() == WALL + 10
    hands.pass_(10)
    assert clock.now() == WALL + 20


def test_what_is_due_comes_when_its_time_has_passed_whatever_the_wall_clock_says(hands: Hands) -> None:
    clock = Clock()
    due = clock.now() + 60
    hands.wall += 3600
    assert clock.now() < due, "not early"
    hands.wall -= 7200
    hands.pass_(60)
    assert clock.now() >= due, "and not an hour late"


def test_an_instant_is_the_same_by_both_counts(hands: Hands) -> None:
    clock = Clock()
    hands.pass_(1)
    assert clock.monotonic(clock.now()) == hands.counted
    hands.wall -= 500
    assert clock.monotonic(WALL + 7) == 5007.0
