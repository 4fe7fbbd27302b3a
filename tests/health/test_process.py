"""Whether worker processes are alive and ready."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kjobs.health.process import Process, Vitals, alive, ready

GOOD = Vitals(partitions=3, leased=True)


def process(**changes: object) -> Process:
    good = Process(
        number=0, pid=1, state="ready", ready=True, silent=0.1, failures=0, calls=0, size=0, vitals=GOOD
    )
    return replace(good, **changes)


def test_good_processes_are_alive_and_ready() -> None:
    assert alive([process(), process()], 60.0)
    assert ready([process(), process()])


def test_one_that_is_silent_for_too_long_is_not_alive() -> None:
    assert not alive([process(), process(silent=60.1)], 60.0)


def test_one_that_has_not_said_anything_yet_is_beginning_and_alive() -> None:
    assert alive([process(silent=None)], 60.0)


def test_without_a_watchdog_silence_is_no_sign() -> None:
    assert alive([process(silent=1e6)], 0.0)


@pytest.mark.parametrize(
    "vitals",
    [
        Vitals(partitions=3, leased=False),
        Vitals(partitions=3, opening=1, leased=True),
        Vitals(partitions=3, leased=True, quiet=True),
        Vitals(partitions=0, quiet=True),
    ],
)
def test_one_that_begins_no_calls_is_alive_and_not_ready(vitals: Vitals) -> None:
    assert alive([process(vitals=vitals)], 60.0)
    assert not ready([process(), process(vitals=vitals)])


def test_one_that_was_not_ready_yet_is_not() -> None:
    assert not ready([process(ready=False)])


def test_one_to_which_the_group_gives_no_partition_is_ready() -> None:
    assert ready([process(vitals=Vitals(partitions=0, leased=False))])


def test_nobody_is_not_ready() -> None:
    assert not ready([])
