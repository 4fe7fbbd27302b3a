"""What happened in an attempt, and what follows from it.

An attempt ends as an *outcome*. ``dispose`` turns outcome, policy and history into a *disposition*:
done, retry, wait, bury or drop. Nothing else in kjobs decides what becomes of a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from .duration import Duration, seconds, spoken
from .policy import LONGEST_WAIT_IN_LANE, Policy


class Reason(StrEnum):
    """Why a call was given up on; the ``kj-reason`` of its dead letter."""

    RETRIES_EXHAUSTED = "retries-exhausted"
    DEADLINE = "deadline"
    NOT_RETRIED = "not-retried"
    REJECTED = "rejected"
    UNDECODABLE = "undecodable"
    UNKNOWN_JOB = "unknown-job"
    BAD_ARGUMENTS = "bad-arguments"


# --- what a job raises to say how its attempt ended ---------------------------------------------


class Verdict(Exception):
    """Base of the exceptions by which a job itself decides what becomes of its call."""


class Retry(Verdict):
    """Raise in a job: this attempt failed, try again after ``delay`` (default: the job's backoff).

    >>> raise Retry(delay="5s")
    Traceback (most recent call last):
    kjobs.core.outcome.Retry: try again in 5s

    Raises:
        ValueError: the delay is not a duration, or longer than a call can wait in its lane.
    """

    def __init__(self, message: str = "", *, delay: Duration | None = None) -> None:
        self.delay = None if delay is None else _wait("Retry", delay)
        after = "" if self.delay is None else f" in {spoken(self.delay)}"
        super().__init__(message or f"try again{after}")


class Snooze(Verdict):
    """Raise in a job: not now, come back after ``delay``; no attempt is counted.

    Raises:
        ValueError: the delay is not a duration, or longer than a call can wait in its lane.
    """

    def __init__(self, delay: Duration) -> None:
        self.delay = _wait("Snooze", delay)
        super().__init__(f"snoozed for {spoken(self.delay)}")


class Discard(Verdict):
    """Raise in a job: forget this call; it is neither retried nor dead-lettered."""


class DeadLetter(Verdict):
    """Raise in a job: no retry can help, put this call on the dead letter queue now."""


def _wait(name: str, delay: Duration) -> float:
    length = seconds(delay)
    if length > LONGEST_WAIT_IN_LANE:
        raise ValueError(
            f"{name}(delay={delay!r}): a call can wait at most {spoken(LONGEST_WAIT_IN_LANE)} between "
            f"attempts, because it waits in the worker's memory and holds its key"
        )
    return length


# --- outcomes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The job returned."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job raised, or ran out of time.

    Attributes:
        error: what it raised.
        policy: the rules of its job.
        draw: a random number in [0, 1), drawn when it failed: the core has no random source.
        retry_in: seconds after which the job itself asked to be tried again.
    """

    error: BaseException
    policy: Policy
    draw: float
    retry_in: float | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The job asked to be run again after ``delay`` seconds; the attempt does not count."""

    delay: float
    policy: Policy


@dataclass(frozen=True, slots=True)
class Early:
    """The call was taken before its time; ``due`` is when it may start (epoch seconds)."""

    due: float
    policy: Policy


@dataclass(frozen=True, slots=True)
class Expired:
    """The call was taken after its expiry (epoch seconds); it did not run."""

    expires: float


@dataclass(frozen=True, slots=True)
class Discarded:
    """The job asked for the call to be forgotten."""

    why: str


@dataclass(frozen=True, slots=True)
class Condemned:
    """The call cannot succeed, or the job said so: to the dead letter queue without a retry."""

    reason: Reason
    error: BaseException


Outcome = Succeeded | Failed | Snoozed | Early | Expired | Discarded | Condemned

#: The one value of success; compared by identity on the hot path.
OK: Final = Succeeded()


# --- dispositions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """Finished: the offset may pass the watermark."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Another attempt at ``due`` (epoch seconds).

    Attributes:
        failures: failed attempts so far, the last one included.
        holds_lane: later calls of its key wait for it.
    """

    due: float
    error: BaseException
    failures: int
    holds_lane: bool


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Start at ``due`` (epoch seconds); nothing is counted.

    ``holds_lane``: later calls of its key wait for it.
    """

    due: float
    holds_lane: bool


@dataclass(frozen=True, slots=True)
class Bury:
    """To the dead letter queue; the offset passes once that is acknowledged.

    ``attempts``: how many were made, the last one included.
    """

    reason: Reason
    error: BaseException
    attempts: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Deliberately given up: discarded or expired."""

    why: str


Disposition = Done | RetryAt | WaitUntil | Bury | Drop


def dispose(outcome: Outcome, *, failures: int, since: float, now: float) -> Disposition:
    """Decide what becomes of a call.

    Args:
        outcome: how the attempt ended.
        failures: failed attempts of this call before this one.
        since: when the call was enqueued (epoch seconds); its deadline counts from here.
        now: the present (epoch seconds).
    """
    match outcome:
        case Succeeded():
            return Done()
        case Failed():
            return _after_failure(outcome, failures + 1, since, now)
        case Snoozed(delay=delay, policy=policy):
            due = now + delay
            if policy.deadline is not None and due > since + policy.deadline:
                return Bury(Reason.DEADLINE, Snooze(delay), failures + 1)
            return WaitUntil(due, policy.order == "strict")
        case Early(due=due, policy=policy):
            return WaitUntil(due, policy.order == "strict")
        case Expired(expires=expires):
            return Drop(f"expired {spoken(round(max(0.0, now - expires), 3))} ago")
        case Discarded(why=why):
            return Drop(why)
        case Condemned(reason=reason, error=error):
            return Bury(reason, error, failures + 1 if reason is Reason.REJECTED else failures)
        case _:
            assert_never(outcome)


def _after_failure(outcome: Failed, failures: int, since: float, now: float) -> Disposition:
    error, policy = outcome.error, outcome.policy
    if isinstance(error, policy.discard_on):
        return Drop(f"{type(error).__name__} is discarded by the job")
    if outcome.retry_in is None and not _retried(error, policy):
        return Bury(Reason.NOT_RETRIED, error, failures)
    if failures > policy.retries:
        return Bury(Reason.RETRIES_EXHAUSTED, error, failures)
    wait = outcome.retry_in
    if wait is None:
        wait = policy.backoff.delay(failures, outcome.draw)
    if policy.deadline is not None and now + wait > since + policy.deadline:
        return Bury(Reason.DEADLINE, error, failures)
    return RetryAt(now + wait, error, failures, policy.order == "strict")


def _retried(error: BaseException, policy: Policy) -> bool:
    """Whether the policy retries this; ``Exception`` stands for ``SystemExit`` and its like, too."""
    return isinstance(error, policy.retry_on) or (
        not isinstance(error, Exception) and Exception in policy.retry_on
    )
