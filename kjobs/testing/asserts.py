"""What a test can claim about calls; a claim that is wrong lists what there was instead."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

from ..app import App
from ..core.outcome import Reason
from ..job import Job, Key
from .calls import DeadCall, RecordedCall, State, brief
from .matching import Wanted, wanted

#: Calls that a message lists at most.
_MOST_LISTED = 20


class Asserts:
    """The claims.

    In all of them ``job`` is a job or its name. Without arguments any call of the job is meant; with
    arguments, calls with the same ones, defaults included, given by position or by name.
    ``unittest.mock.ANY`` stands for any value. ``key`` is the ordering key; None for a call without one.

    Args:
        app: whose jobs.
        calls: all calls.
        dead: the dead letters.
    """

    def __init__(self, app: App, calls: Sequence[RecordedCall], dead: Sequence[DeadCall]) -> None:
        self._app = app
        self._calls = calls
        self._dead = dead

    def assert_enqueued(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        times: int | None = None,
        key: Key | EllipsisType = ...,
        **kwargs: Any,
    ) -> RecordedCall:
        """Claim that calls were enqueued, whatever became of them; returns the first.

        Args:
            job: of this job.
            args: with these positional arguments.
            times: exactly so many; at least one if not given.
            key: with this ordering key.
            kwargs: with these named arguments.

        Raises:
            AssertionError: it is not so.
        """
        __tracebackhide__ = True
        meant = wanted(self._app, job, args, kwargs, key, "assert_enqueued")
        return self._claim(meant, times, "enqueued", tuple(State))

    def assert_not_enqueued(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        key: Key | EllipsisType = ...,
        **kwargs: Any,
    ) -> None:
        """Claim that no such call was enqueued.

        Raises:
            AssertionError: one was.
        """
        __tracebackhide__ = True
        meant = wanted(self._app, job, args, kwargs, key, "assert_not_enqueued")
        found = [call for call in self._calls if meant.fits(call)]
        if found:
            raise AssertionError(
                f"{meant} was enqueued {_times(len(found))}, expected not at all.{_listed(found)}"
            )

    def assert_succeeded(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        times: int | None = None,
        key: Key | EllipsisType = ...,
        **kwargs: Any,
    ) -> RecordedCall:
        """Claim that calls succeeded, at the first attempt or a later one; returns the first.

        Raises:
            AssertionError: it is not so.
        """
        __tracebackhide__ = True
        meant = wanted(self._app, job, args, kwargs, key, "assert_succeeded")
        return self._claim(meant, times, "succeeded", (State.SUCCEEDED,))

    def assert_dropped(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        times: int | None = None,
        key: Key | EllipsisType = ...,
        **kwargs: Any,
    ) -> RecordedCall:
        """Claim that calls were dropped, because their job discarded them or they expired; returns the first.

        Raises:
            AssertionError: it is not so.
        """
        __tracebackhide__ = True
        meant = wanted(self._app, job, args, kwargs, key, "assert_dropped")
        return self._claim(meant, times, "dropped", (State.DROPPED,))

    def assert_dead(
        self,
        job: Job[..., Any] | str,
        /,
        *args: Any,
        reason: Reason | str | None = None,
        error: type[BaseException] | str | None = None,
        key: Key | EllipsisType = ...,
        **kwargs: Any,
    ) -> DeadCall:
        """Claim that a call is on the dead letter queue; returns the dead letter, of several the first.

        Args:
            job: of this job.
            args: with these positional arguments.
            reason: for this reason, such as ``"retries-exhausted"``.
            error: because of an error of this class, or with this text in its message.
            key: with this ordering key.
            kwargs: with these named arguments.

        Raises:
            AssertionError: it is not so.
            ValueError: there is no such reason.
        """
        __tracebackhide__ = True
        reason = None if reason is None else _reason(reason)
        meant = wanted(self._app, job, args, kwargs, key, "assert_dead")
        for dead in self._dead:
            if meant.fits(dead.call) and reason in (None, dead.reason) and _is_of(error, dead.error):
                return dead
        conditions = "" if reason is None else f" for reason {str(reason)!r}"
        if error is not None:
            conditions += f" with error {error.__name__ if isinstance(error, type) else repr(error)}"
        raise AssertionError(f"{meant} is not dead{conditions}.{self._instead(meant)}")

    def _claim(self, meant: Wanted, times: int | None, claim: str, states: Sequence[State]) -> RecordedCall:
        __tracebackhide__ = True
        if times is not None and times < 1:
            raise ValueError(
                f"times={times!r}: expected 1 or more; assert_not_enqueued() claims that there are none"
            )
        found = [call for call in self._calls if meant.fits(call) and call.state in states]
        if found and times in (None, len(found)):
            return found[0]
        if found:
            what = f"{meant}: {claim} {_times(len(found))}, expected {_times(times or 1)}."
        else:
            what = f"{meant}: none {claim}, expected {_times(times) if times else 'one or more'}."
        raise AssertionError(what + self._instead(meant))

    def _instead(self, meant: Wanted) -> str:
        """What there was of the job, or else of any."""
        of_job = [call for call in self._calls if meant.of_job(call)]
        return _listed(of_job or self._calls)


def _listed(calls: Sequence[RecordedCall]) -> str:
    if not calls:
        return " Nothing was enqueued."
    lines = [f"\n  {call} on {call.queue}, {_fate(call)}" for call in calls[:_MOST_LISTED]]
    more = len(calls) - len(lines)
    return " There were:" + "".join(lines) + (f"\n  and {more} more" if more else "")


def _fate(call: RecordedCall) -> str:
    tried = f" after {call.attempts} attempt{'' if call.attempts == 1 else 's'}" if call.attempts else ""
    why = f" ({call.why})" if call.why else ""
    error = f": {brief(call.error)}" if call.error else ""
    return f"{call.state}{tried}{why}{error}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _reason(reason: str) -> Reason:
    try:
        return Reason(reason)
    except ValueError:
        raise ValueError(f"reason={reason!r}: expected one of {', '.join(Reason)}") from None


def _is_of(wanted_error: type[BaseException] | str | None, error: BaseException) -> bool:
    if wanted_error is None:
        return True
    if isinstance(wanted_error, str):
        return wanted_error in brief(error)
    return isinstance(error, wanted_error)
