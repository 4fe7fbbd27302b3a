"""Backoff and policy: how long a failing call waits, and which rules cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.policy import LONGEST_WAIT_IN_LANE, Backoff, Policy

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


# --- what can be waited for in memory -----------------------------------------------------------------


def test_a_backoff_is_judged_by_the_longest_wait_its_retries_reach() -> None:
    backoff = Backoff(base=2, factor=2, cap="1h")
    assert Policy(retries=3, backoff=backoff).backoff.ceiling(3) == 8.0
    assert Policy(retries=4, backoff=backoff).backoff.ceiling(4) == 16.0
    with pytest.raises(ValueError, match="retry 5 grows to 32s"):
        Policy(retries=5, backoff=backoff)


def test_a_wait_of_over_thirty_seconds_is_refused_and_the_way_out_told() -> None:
    with pytest.raises(ValueError, match="the backoff before retry 8 grows to") as caught:
        Policy(retries=8, backoff=Backoff(base=2, factor=2, cap="1h"))
    sentence = str(caught.value)
    assert "grows to 256s" in sentence
    assert "at most 30s between attempts" in sentence
    assert "holds its key" in sentence
    assert "Use fewer retries, a smaller factor, or cap='30s'." in sentence


@given(backoffs, st.integers(0, 50), draws)
def test_an_accepted_policy_never_waits_over_thirty_seconds(
    backoff: Backoff, retries: int, draw: float
) -> None:
    try:
        policy = Policy(retries=retries, backoff=backoff)
    except ValueError:
        assert max(backoff.ceiling(n) for n in range(1, retries + 1)) > LONGEST_WAIT_IN_LANE
    else:
        waits = [policy.backoff.delay(n, draw) for n in range(1, retries + 1)]
        assert all(wait <= LONGEST_WAIT_IN_LANE for wait in waits)


def test_without_retries_any_backoff_goes() -> None:
    assert Policy(retries=0, backoff=Backoff(base="1h", cap="1d")).retries == 0


def test_the_default_takes_eight_retries_in_two_minutes() -> None:
    policy = Policy()
    longest = sum(policy.backoff.ceiling(n) for n in range(1, policy.retries + 1))
    assert (policy.retries, policy.backoff.jitter) == (8, "full")
    assert longest / 2 == pytest.approx(75, abs=60)  # the mean of a full jitter is half its longest


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
