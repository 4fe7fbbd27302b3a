"""What follows from an attempt: every outcome, and the corners of every policy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.outcome import (
    MOST_CRASHES,
    OK,
    Bury,
    Condemned,
    Crashed,
    Discarded,
    Disposition,
    Done,
    Drop,
    Early,
    Expired,
    Failed,
    Reason,
    RetryAt,
    Snoozed,
    WaitUntil,
    dispose,
)
from kjobs.core.policy import Backoff, Policy
from kjobs.core.verdict import DeadLetter, Retry, Snooze

NOW = 1_000_000.0
STEADY = Backoff(base=4, factor=2, cap="30s", jitter="none")


def after(
    error: BaseException,
    policy: Policy,
    *,
    failures: int = 0,
    retry_in: float | None = None,
    since: float = NOW,
    draw: float = 0.5,
) -> Disposition:
    """What becomes of a call that failed now."""
    return dispose(Failed(error, policy, draw, retry_in), failures=failures, since=since, now=NOW)


def policy(**rules: Any) -> Policy:
    return Policy(**{"backoff": STEADY, "retries": 3, **rules})


# --- failures -----------------------------------------------------------------------------------------


def test_a_failure_is_retried_after_its_backoff() -> None:
    error = ValueError("no")
    assert after(error, policy()) == RetryAt(NOW + 4, error, 1, holds_lane=True)
    assert after(error, policy(), failures=2) == RetryAt(NOW + 16, error, 3, holds_lane=True)


def test_the_draw_of_the_failure_is_its_jitter() -> None:
    rules = policy(backoff=Backoff(base=8, factor=2, jitter="full"))
    found = after(ValueError(), rules, draw=0.25)
    assert isinstance(found, RetryAt)
    assert found.due == NOW + 2


def test_a_relaxed_job_does_not_hold_its_lane() -> None:
    found = after(ValueError(), policy(order="relaxed"))
    assert isinstance(found, RetryAt)
    assert not found.holds_lane


@given(st.integers(0, 20), st.integers(0, 30))
def test_attempts_are_one_more_than_retries(retries: int, failures: int) -> None:
    error = ValueError()
    found = after(error, Policy(retries=retries), failures=failures)
    if failures < retries:
        assert isinstance(found, RetryAt)
        assert found.failures == failures + 1
    else:
        assert found == Bury(Reason.RETRIES_EXHAUSTED, error, failures + 1)


def test_no_retries_means_dead_at_the_first_failure() -> None:
    error = ValueError()
    assert after(error, policy(retries=0)) == Bury(Reason.RETRIES_EXHAUSTED, error, 1)


def test_only_what_is_worth_a_retry_is_retried() -> None:
    rules = policy(retry_on=(ConnectionError,))
    assert isinstance(after(ConnectionResetError(), rules), RetryAt)
    error = KeyError()
    assert after(error, rules) == Bury(Reason.NOT_RETRIED, error, 1)
    assert after(error, policy(retry_on=())) == Bury(Reason.NOT_RETRIED, error, 1)


def test_discarding_wins_over_retrying() -> None:
    rules = policy(retry_on=(OSError,), discard_on=(ConnectionError,))
    assert after(ConnectionResetError(), rules) == Drop("ConnectionResetError is discarded by the job")
    assert isinstance(after(FileNotFoundError(), rules), RetryAt)


def test_discarding_wins_over_exhausted_retries_and_the_deadline() -> None:
    rules = policy(retries=0, deadline=1.0, discard_on=(KeyError,))
    assert isinstance(after(KeyError(), rules, failures=9, since=NOW - 99), Drop)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_job_that_ends_the_process_is_a_failure_like_others(error: BaseException) -> None:
    assert isinstance(after(error, policy()), RetryAt)
    assert isinstance(after(error, policy(retry_on=(type(error),))), RetryAt)
    assert after(error, policy(retry_on=(ValueError,))) == Bury(Reason.NOT_RETRIED, error, 1)


# --- the job's own words ------------------------------------------------------------------------------


def test_a_job_may_say_itself_when_to_be_tried_again() -> None:
    error = Retry(delay="7s")
    assert after(error, policy(), retry_in=7.0) == RetryAt(NOW + 7, error, 1, holds_lane=True)
    at_once = Retry(delay=0)
    assert after(at_once, policy(), retry_in=0.0) == RetryAt(NOW, at_once, 1, holds_lane=True)


@pytest.mark.parametrize("retry_in", [None, 0.0, 7.0])
@pytest.mark.parametrize(
    "rules", [{"retry_on": (ConnectionError,)}, {"retry_on": ()}, {"discard_on": (Exception,)}]
)
def test_asking_for_a_retry_needs_no_rule_that_allows_it(
    rules: dict[str, Any], retry_in: float | None
) -> None:
    error = Retry(delay=retry_in)
    wait = 4.0 if retry_in is None else retry_in
    assert after(error, policy(**rules), retry_in=retry_in) == RetryAt(NOW + wait, error, 1, holds_lane=True)


def test_asking_for_a_retry_uses_one_up() -> None:
    error = Retry(delay=1)
    found = after(error, policy(retries=2), failures=2, retry_in=1.0)
    assert found == Bury(Reason.RETRIES_EXHAUSTED, error, 3)


def test_snoozing_counts_no_attempt_and_has_no_end_of_its_own() -> None:
    for failures in (0, 3, 99):
        found = dispose(Snoozed(5.0, policy()), failures=failures, since=NOW - 1e6, now=NOW)
        assert found == WaitUntil(NOW + 5, holds_lane=True)
    relaxed = dispose(Snoozed(5.0, policy(order="relaxed")), failures=0, since=NOW, now=NOW)
    assert relaxed == WaitUntil(NOW + 5, holds_lane=False)


def test_a_snooze_beyond_the_deadline_is_dead() -> None:
    rules = policy(deadline=60.0)
    found = dispose(Snoozed(10.0, rules), failures=2, since=NOW - 51, now=NOW)
    assert isinstance(found, Bury)
    assert (found.reason, found.attempts) == (Reason.DEADLINE, 3)
    assert isinstance(found.error, Snooze)
    assert str(found.error) == "snoozed for 10s"
    just = dispose(Snoozed(10.0, rules), failures=2, since=NOW - 50, now=NOW)
    assert just == WaitUntil(NOW + 10, holds_lane=True)


def test_a_job_that_gives_its_call_up_is_obeyed() -> None:
    error = DeadLetter("no such customer")
    found = dispose(Condemned(Reason.REJECTED, error), failures=2, since=NOW, now=NOW)
    assert found == Bury(Reason.REJECTED, error, 3)
    assert dispose(Discarded("old"), failures=2, since=NOW, now=NOW) == Drop("old")


# --- deadline, expiry, delay --------------------------------------------------------------------------


def test_no_attempt_is_begun_after_the_deadline() -> None:
    rules = policy(deadline=60.0)
    error = ValueError()
    assert isinstance(after(error, rules, since=NOW - 56), RetryAt)
    assert after(error, rules, since=NOW - 56.5) == Bury(Reason.DEADLINE, error, 1)
    late = after(Retry(delay=30), rules, since=NOW - 31, retry_in=30.0)
    assert isinstance(late, Bury)
    assert late.reason is Reason.DEADLINE


def test_exhausted_retries_are_named_before_the_deadline() -> None:
    found = after(ValueError(), policy(retries=0, deadline=1.0), since=NOW - 9)
    assert isinstance(found, Bury)
    assert found.reason is Reason.RETRIES_EXHAUSTED


def test_a_call_that_came_early_waits_without_counting() -> None:
    found = dispose(Early(NOW + 9, policy()), failures=0, since=NOW, now=NOW)
    assert found == WaitUntil(NOW + 9, holds_lane=True)
    relaxed = dispose(Early(NOW + 9, policy(order="relaxed")), failures=0, since=NOW, now=NOW)
    assert relaxed == WaitUntil(NOW + 9, holds_lane=False)


def test_an_expired_call_is_dropped_and_says_how_late_it_was() -> None:
    found = dispose(Expired(NOW - 90), failures=0, since=NOW, now=NOW)
    assert found == Drop("expired 90s ago")


@pytest.mark.parametrize(
    "reason", [Reason.UNDECODABLE, Reason.UNKNOWN_JOB, Reason.BAD_ARGUMENTS], ids=lambda reason: reason.value
)
def test_what_never_ran_has_no_attempts(reason: Reason) -> None:
    error = ValueError()
    assert dispose(Condemned(reason, error), failures=0, since=NOW, now=NOW) == Bury(reason, error, 0)


def test_success_is_done_whatever_came_before() -> None:
    assert dispose(OK, failures=7, since=0.0, now=NOW) == Done()


def test_reasons_are_what_the_wire_format_says() -> None:
    assert [str(reason) for reason in Reason] == [
        "retries-exhausted",
        "deadline",
        "not-retried",
        "rejected",
        "undecodable",
        "unknown-job",
        "bad-arguments",
        "crashed",
    ]


# --- crashes ------------------------------------------------------------------------------------------


def test_a_crash_is_not_a_failure_and_three_of_them_are_enough() -> None:
    error = RuntimeError("its process was killed")
    crashed = Crashed(error, policy(retries=0))
    for crashes in range(MOST_CRASHES - 1):
        found = dispose(crashed, failures=5, since=NOW, now=NOW, crashes=crashes)
        assert found == RetryAt(NOW + 2.0**crashes, error, 5, holds_lane=True, crashes=crashes + 1)
    assert dispose(crashed, failures=5, since=NOW, now=NOW, crashes=MOST_CRASHES - 1) == Bury(
        Reason.CRASHED, error, 5 + MOST_CRASHES
    )


def test_a_failure_does_not_forget_crashes() -> None:
    found = dispose(Failed(ValueError(), policy(), 0.5), failures=0, since=NOW, now=NOW, crashes=2)
    assert isinstance(found, RetryAt)
    assert (found.failures, found.crashes) == (1, 2)


def test_a_relaxed_call_that_crashed_lets_others_pass() -> None:
    found = dispose(Crashed(RuntimeError(), policy(order="relaxed")), failures=0, since=NOW, now=NOW)
    assert isinstance(found, RetryAt)
    assert not found.holds_lane
