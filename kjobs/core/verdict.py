"""What a job raises to say itself what becomes of its call."""

from __future__ import annotations

from .duration import Duration, seconds, spoken


class Verdict(Exception):
    """Base of the exceptions by which a job itself decides what becomes of its call."""


class Retry(Verdict):
    """Raise in a job: this attempt failed, try again after ``delay`` (default: the job's backoff).

    >>> raise Retry(delay="5s")
    Traceback (most recent call last):
    kjobs.core.verdict.Retry: try again in 5s

    Raises:
        ValueError: the delay is not a duration.
    """

    def __init__(self, message: str = "", *, delay: Duration | None = None) -> None:
        self.delay = None if delay is None else seconds(delay)
        after = "" if self.delay is None else f" in {spoken(self.delay)}"
        super().__init__(message or f"try again{after}")


class Snooze(Verdict):
    """Raise in a job: not now, come back after ``delay``; no attempt is counted.

    Raises:
        ValueError: the delay is not a duration.
    """

    def __init__(self, delay: Duration) -> None:
        self.delay = seconds(delay)
        super().__init__(f"snoozed for {spoken(self.delay)}")


class Discard(Verdict):
    """Raise in a job: forget this call; it is neither retried nor dead-lettered."""


class DeadLetter(Verdict):
    """Raise in a job: no retry can help, put this call on the dead letter queue now."""
