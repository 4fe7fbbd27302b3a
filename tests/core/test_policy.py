"""Backoff and policy: how long a failing call waits, and which rules cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import App
from kjobs.core.policy import Backoff, Policy

backoffs = st.builds(
    Backoff,
    base=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    cap=st.floats(0, 1e6),
    jitter=st.sampled_from(["full", "none"]),
)
failures = st.integers(1, 10_000)
draws = st.floats(0, 1, exclude_max=True)


@given(backoffs, failures, draws)
def test_a_wait_is_between_zero_and_its_ceiling_and_the_cap(
    backoff: Backoff, count: int, draw: float
) -> None:
    wait = backoff.delay(count, draw)
    assert 0 <= wait <= backoff.ceiling(count) <= float(backoff.cap)  # type: ignore[arg-type]


@given(backoffs, failures, failures)
def test_the_ceiling_never_falls(backoff: Backoff, one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    assert backoff.ceiling(fewer) <= backoff.ceiling(more)


@given(st.integers(1, 30), st.floats(0.001, 10), st.floats(1, 4))
def test_the_ceiling_grows_by_the_factor(count: int, base: float, factor: float) -> None:
    backoff = Backoff(base=base, factor=factor, cap="999w")
    assert backoff.ceiling(count) == pytest.approx(min(999 * 604_800, base * factor ** (count - 1)))


@pytest.mark.parametrize("factor", [2, 2.0, 1e300, float("inf")])
@pytest.mark.parametrize("count", [2000, 10**9])
def test_a_power_that_overflows_ends_at_the_cap(factor: float, count: int) -> None:
    assert Backoff(base=1, factor=factor, cap="20s").ceiling(count) == 20.0


def test_full_jitter_spreads_evenly_and_none_is_exact() -> None:
    spread = Backoff(base=8, factor=2, cap="30s", jitter="full")
    assert [spread.delay(1, draw) for draw in (0.0, 0.25, 0.5)] == [0.0, 2.0, 4.0]
    exact = Backoff(base=2, factor=3, cap="30s", jitter="none")
    assert [exact.delay(n, 0.3) for n in (1, 2, 3, 4)] == [2.0, 6.0, 18.0, 30.0]


def test_lengths_may_be_written_as_any_duration() -> None:
    assert Backoff(base="500ms", cap="1m") == Backoff(base=0.5, cap=60)
    assert Backoff(base=0).ceiling(50) == 0.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"factor": 0.5}, r"Backoff\(factor=0.5\): expected a number of at least 1"),
        ({"factor": "2"}, r"Backoff\(factor='2'\): expected a number"),
        ({"jitter": "half"}, r"""Backoff\(jitter='half'\): expected "full" or "none\""""),
        ({"base": "soon"}, "'soon' is not a duration"),
        ({"cap": -1}, "zero or more"),
    ],
)
def test_a_backoff_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Backoff(**options)


# --- how long retries may take ------------------------------------------------------------------------


@given(st.integers(0, 50), st.sampled_from(["30s", "1h", "7d", "520w", timedelta(days=3650)]))
def test_any_backoff_goes_with_any_number_of_retries(retries: int, cap: str | timedelta) -> None:
    policy = Policy(retries=retries, backoff=Backoff(base="1s", factor=10, cap=cap))
    assert policy.backoff.ceiling(1) == 1.0
    assert policy.backoff.ceiling(50) == policy.backoff.cap


def test_a_wait_may_be_one_of_years() -> None:
    wait = Backoff(base="520w", factor=2, cap="2000w", jitter="none")
    assert [wait.delay(n, 0.0) / 604_800 for n in (1, 2, 3)] == [520, 1040, 2000]


def test_the_default_waits_for_an_hour_at_most() -> None:
    backoff = Policy().backoff
    assert (backoff.base, backoff.factor, backoff.cap, backoff.jitter) == (2.0, 2.0, 3600.0, "full")
    assert [backoff.ceiling(n) for n in (11, 12, 100)] == [2048.0, 3600.0, 3600.0]


def test_the_default_takes_eight_retries_in_some_four_minutes() -> None:
    policy = Policy()
    longest = sum(policy.backoff.ceiling(n) for n in range(1, policy.retries + 1))
    assert (policy.retries, longest) == (8, 510.0)
    mean = sum(policy.backoff.delay(n, 0.5) for n in range(1, policy.retries + 1))
    assert mean == 255.0
    # What people read of it.
    said = " ".join((App.job.__doc__ or "").split())
    assert "8 retries take about four minutes, eight and a half at most" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"retries": -1}, "retries=-1: expected a whole number of zero or more"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": True}, "retries=True"),
        ({"retries": None}, "retries=None"),
        ({"order": "loose"}, """order='loose': expected "strict" or "relaxed\""""),
        ({"retry_on": ("ValueError",)}, "retry_on: 'ValueError' is not an exception class"),
        ({"discard_on": (int,)}, "discard_on: <class 'int'> is not an exception class"),
        ({"retry_on": (ValueError(),)}, "retry_on: ValueError"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        Policy(**options)
