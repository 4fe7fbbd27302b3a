"""How many slots are awake: few under a convoy, all while the processor is idle, more again afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.worker.pace import Pace

SLOTS = 16


class Process:
    """A process whose speed and load depend on how many of its slots are awake."""

    def __init__(self, rate: Callable[[int], float], busy: Callable[[int], float]) -> None:
        self.rate, self.busy = rate, busy
        self.now, self.cpu, self.finished = 100.0, 0.0, 0.0
        self.waiting = True
        self.pace = Pace(SLOTS, self.now, self.cpu)
        self.seen: list[int] = []

    def live(self, seconds: float, step: float = 0.005) -> None:
        """Let time pass, and readings be taken as often as the owner takes them."""
        self.seen = []
        until = self.now + seconds
        while self.now < until:
            awake = self.pace.allowed
            self.now += step
            self.cpu += self.busy(awake) * step
            self.finished += self.rate(awake) * step
            self.pace.reading(self.now, self.cpu, int(self.finished), self.waiting)
            self.seen.append(self.pace.allowed)

    @property
    def mean_rate(self) -> float:
        """Calls a second, over what was last lived."""
        return sum(map(self.rate, self.seen)) / len(self.seen)


def convoy(awake: int) -> float:
    """Each thread that is awake for nothing makes the others slower."""
    return 100_000 / (1 + 0.15 * (awake - 1))


def parallel(most: int) -> Callable[[int], float]:
    """Jobs that let go of the lock: as many at a time as there are processors help."""
    return lambda awake: 1000.0 * min(awake, most)


def test_every_slot_may_be_awake_at_first() -> None:
    assert Pace(SLOTS, 0.0, 0.0).allowed == SLOTS


def test_under_a_convoy_few_stay_awake() -> None:
    process = Process(convoy, lambda awake: 1.0)
    process.live(3)
    process.live(5)
    assert min(process.seen) == 1
    assert process.mean_rate > 0.9 * convoy(1)
    assert process.mean_rate > 2 * convoy(SLOTS)


@pytest.mark.parametrize("busy", [0.0, 0.3, 0.8])
def test_while_a_processor_is_idle_all_may_be_awake(busy: float) -> None:
    process = Process(convoy, lambda awake: busy)
    process.live(5)
    assert set(process.seen) == {SLOTS}


def test_calls_that_wait_are_not_held_up_when_the_process_becomes_idle() -> None:
    process = Process(convoy, lambda awake: 1.0)
    process.live(5)
    assert process.pace.allowed < SLOTS
    process.busy, process.rate = (lambda awake: 0.2), (lambda awake: 100.0 * awake)
    process.live(0.6)
    assert process.pace.allowed == SLOTS


def test_without_calls_that_wait_all_may_be_awake_at_once() -> None:
    process = Process(convoy, lambda awake: 1.0)
    process.live(5)
    process.waiting = False
    process.live(0.15)
    assert process.pace.allowed == SLOTS


@pytest.mark.parametrize("most", [2, 4, 8, 16])
def test_slots_that_help_are_kept(most: int) -> None:
    process = Process(parallel(most), lambda awake: float(min(awake, most)))
    process.live(3)
    process.live(10)
    assert process.mean_rate > 0.8 * 1000 * most


def test_a_change_of_load_is_followed() -> None:
    process = Process(convoy, lambda awake: 1.0)
    process.live(5)
    process.rate = parallel(8)
    process.live(5)
    process.live(5)
    assert process.mean_rate > 0.8 * 8000
    process.rate = convoy
    process.live(5)
    process.live(5)
    assert process.mean_rate > 0.8 * convoy(1)


def test_a_stall_without_a_single_call_changes_nothing_for_good() -> None:
    process = Process(lambda awake: 0.0, lambda awake: 1.0)
    process.live(5)
    assert 1 <= process.pace.allowed <= SLOTS


@given(
    st.integers(1, 64),
    st.lists(
        st.tuples(st.floats(0, 0.2), st.floats(0, 0.4), st.integers(0, 5000), st.booleans()), max_size=100
    ),
)
def test_never_fewer_than_one_and_never_more_than_there_are(
    slots: int, readings: list[tuple[float, float, int, bool]]
) -> None:
    now, cpu, finished = 0.0, 0.0, 0
    pace = Pace(slots, now, cpu)
    for elapsed, used, done, waiting in readings:
        now, cpu, finished = now + elapsed, cpu + used, finished + done
        pace.reading(now, cpu, finished, waiting)
        assert 1 <= pace.allowed <= slots
