"""What happened in an attempt, and what follows from it.

An attempt ends as an *outcome*. ``dispose`` turns outcome, policy and history into a *disposition*:
done, retry, wait, bury or drop. Nothing else in kjobs decides what becomes of a call.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, assert_never

import msgspec

from .duration import spoken
from .policy import Policy
from .verdict import Retry, Snooze


class Reason(StrEnum):
    """Why a call was given up on; the ``kj-reason`` of its dead letter."""

    RETRIES_EXHAUSTED = "retries-exhausted"
    DEADLINE = "deadline"
    NOT_RETRIED = "not-retried"
    REJECTED = "rejected"
    UNDECODABLE = "undecodable"
    UNKNOWN_JOB = "unknown-job"
    BAD_ARGUMENTS = "bad-arguments"
    CRASHED = "crashed"


# --- outcomes --------------------------------------------------------------------------------------


class Succeeded(msgspec.Struct, frozen=True):
    """The job returned."""


class Failed(msgspec.Struct, frozen=True):
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


class Snoozed(msgspec.Struct, frozen=True):
    """The job asked to be run again after ``delay`` seconds; the attempt does not count."""

    delay: float
    policy: Policy


class Early(msgspec.Struct, frozen=True):
    """The call was taken before its time; ``due`` is when it may start (epoch seconds)."""

    due: float
    policy: Policy


class Expired(msgspec.Struct, frozen=True):
    """The call was taken after its expiry (epoch seconds); it did not run."""

    expires: float


class Discarded(msgspec.Struct, frozen=True):
    """The job asked for the call to be forgotten."""

    why: str


class Condemned(msgspec.Struct, frozen=True):
    """The call cannot succeed, or the job said so: to the dead letter queue without a retry."""

    reason: Reason
    error: BaseException


class Crashed(msgspec.Struct, frozen=True):
    """The process that ran the call by itself ended before it did; counted apart from failures."""

    error: BaseException
    policy: Policy


Outcome = Succeeded | Failed | Snoozed | Early | Expired | Discarded | Condemned | Crashed

#: Crashes after which a call is given up.
MOST_CRASHES = 3


class WorkerDied(Exception):
    """The process, and with it the worker, ended again and again while this call ran."""


#: The one value of success; compared by identity on the hot path.
OK: Final = Succeeded()


# --- dispositions ------------------------------------------------------------------------------------


class Done(msgspec.Struct, frozen=True):
    """Finished: the offset may pass the watermark."""


class RetryAt(msgspec.Struct, frozen=True):
    """Another attempt at ``due`` (epoch seconds).

    Attributes:
        failures: failed attempts so far, the last one included.
        holds_lane: later calls of its key wait for it.
        crashes: times that its process crashed, the last one included.
    """

    due: float
    error: BaseException
    failures: int
    holds_lane: bool
    crashes: int = 0


class WaitUntil(msgspec.Struct, frozen=True):
    """Start at ``due`` (epoch seconds); nothing is counted.

    ``holds_lane``: later calls of its key wait for it.
    """

    due: float
    holds_lane: bool


class Bury(msgspec.Struct, frozen=True):
    """To the dead letter queue; the offset passes once that is acknowledged.

    ``attempts``: how many were made, the last one included.
    """

    reason: Reason
    error: BaseException
    attempts: int


class Drop(msgspec.Struct, frozen=True):
    """Deliberately given up: discarded or expired."""

    why: str


Disposition = Done | RetryAt | WaitUntil | Bury | Drop


def dispose(outcome: Outcome, *, failures: int, since: float, now: float, crashes: int = 0) -> Disposition:
    """Decide what becomes of a call.

    Args:
        outcome: how the attempt ended.
        failures: failed attempts of this call before this one.
        since: when the call was enqueued (epoch seconds); its deadline counts from here.
        now: the present (epoch seconds).
        crashes: times that its process crashed before.
    """
    match outcome:
        case Succeeded():
            return Done()
        case Failed():
            return _after_failure(outcome, failures + 1, since, now, crashes)
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
        case Crashed(error=error, policy=policy):
            if crashes + 1 >= MOST_CRASHES:
                return Bury(Reason.CRASHED, error, failures + crashes + 1)
            return RetryAt(now + 2.0**crashes, error, failures, policy.order == "strict", crashes + 1)
        case _:
            assert_never(outcome)


def _after_failure(outcome: Failed, failures: int, since: float, now: float, crashes: int) -> Disposition:
    error, policy = outcome.error, outcome.policy
    asked = isinstance(error, Retry)  # the job's own word counts more than the rules for what it raises
    if not asked and isinstance(error, policy.discard_on):
        return Drop(f"{type(error).__name__} is discarded by the job")
    if not asked and not is_retried(error, policy):
        return Bury(Reason.NOT_RETRIED, error, failures)
    if failures > policy.retries:
        return Bury(Reason.RETRIES_EXHAUSTED, error, failures)
    wait = outcome.retry_in
    if wait is None:
        wait = policy.backoff.delay(failures, outcome.draw)
    if policy.deadline is not None and now + wait > since + policy.deadline:
        return Bury(Reason.DEADLINE, error, failures)
    return RetryAt(now + wait, error, failures, policy.order == "strict", crashes)


def is_retried(error: BaseException, policy: Policy) -> bool:
    """Whether the policy retries this; ``Exception`` stands for ``SystemExit`` and its like, too."""
    return isinstance(error, policy.retry_on) or (
        not isinstance(error, Exception) and Exception in policy.retry_on
    )
