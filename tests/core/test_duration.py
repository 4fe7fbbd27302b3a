"""Durations: every way to write one, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kjobs.core.duration import UNITS, seconds, spoken


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 604_800.0),
        ("1w", 604_800.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        ("1h 30m 15s", 5415.0),
        (" 5 m ", 300.0),
        ("0s", 0.0),
        (0, 0.0),
        (3, 3.0),
        (0.25, 0.25),
        (timedelta(minutes=2, milliseconds=5), 120.005),
    ],
)
def test_every_spelling(written: timedelta | float | str, length: float) -> None:
    assert seconds(written) == pytest.approx(length)


@pytest.mark.parametrize(
    "written",
    ["", "5", "m", "5x", "five minutes", "-5m", "5m!", "5m 3", "5M", "1e3s", "1:30", ".5h", "inf", "nan s"],
)
def test_text_that_is_no_duration_is_refused_with_what_would_be_one(written: str) -> None:
    with pytest.raises(ValueError, match=r'is not a duration; expected .*"30s"') as caught:
        seconds(written)
    assert repr(written) in str(caught.value)


@pytest.mark.parametrize("written", [None, True, [], object(), b"5m", 1j])
def test_other_types_are_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; expected a timedelta"):
        seconds(written)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written",
    [
        -1,
        -0.001,
        float("inf"),
        float("nan"),
        timedelta(seconds=-1),
        pytest.param("9" * 400 + "d", id="400 digits of text"),
        pytest.param(10**400, id="400 digits"),
    ],
)
def test_negative_and_endless_lengths_are_refused(written: timedelta | float | str) -> None:
    with pytest.raises(ValueError, match="zero or more, not for ever"):
        seconds(written)


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS)))
def test_a_number_with_a_unit_is_that_many_units(number: int, unit: str) -> None:
    assert seconds(f"{number}{unit}") == pytest.approx(number * UNITS[unit])


@given(st.integers(0, 10**8))
@example(1_234_567)
@example(61_586_940)
def test_what_is_spoken_can_be_read_again(length: int) -> None:
    assert seconds(spoken(float(length))) == length


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90.5, "90.5s"), (60, "1m"), (5400, "90m"), (86_400, "1d")],
)
def test_spoken_uses_the_largest_unit_that_leaves_a_whole_number(length: float, text: str) -> None:
    assert spoken(length) == text
