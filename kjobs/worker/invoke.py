"""One attempt: read the call, find its job, restore its arguments, run it, and say how it ended."""

from __future__ import annotations

import asyncio
import difflib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from .. import events
from ..context import Context, enter
from ..core.arguments import Mismatch
from ..core.envelope import Envelope, Malformed, decode
from ..core.outcome import (
    OK,
    Condemned,
    Discarded,
    Early,
    Expired,
    Failed,
    Outcome,
    Reason,
    Snoozed,
)
from ..core.partition import Entry
from ..core.policy import Policy
from ..core.verdict import DeadLetter, Discard, Retry, Snooze
from ..errors import UnknownJob
from ..job import Job
from ..kafka.message import headers_of
from ..middleware import Middleware, around
from .facts import facts, fields, label
from .fibres import ASIDE, Aside, AsyncCall
from .overtime import Overtime
from .timelimit import TimeLimitExceeded, TimeLimits
from .turnstile import Turnstile

log = logging.getLogger("kjobs.call")


class Runner(msgspec.Struct, frozen=True):
    """A job as the worker runs it: its function with middleware around it, if there is any."""

    job: Job[Any, Any]
    policy: Policy
    restore: Callable[[Any, Any], tuple[tuple[Any, ...], dict[str, Any]]]
    function: Callable[..., Any]
    wrapped: Callable[[Context, tuple[Any, ...], dict[str, Any]], Any] | None
    special: bool


class Invoker:
    """Runs entries. ``run`` is called by many threads at once and never raises.

    Args:
        jobs: the jobs by name and alias.
        middleware: what runs around every call.
        queues: the queue whose calls a topic holds, by topic.
        now: the worker's clock, in epoch seconds.
        draw: a random number in [0, 1), for the jitter of backoffs.
        isolated: makes an attempt in a process of its own; None if this is one.
        timely: whether calls have come in time is known already.
        turnstile: limits how many calls of a job run; None: another one does, or they run one by one.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job[Any, Any]],
        middleware: Sequence[Middleware],
        *,
        queues: Mapping[str, str],
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
        isolated: Callable[[Context, Policy], Outcome] | None = None,
        turnstile: Turnstile | None = None,
        timely: bool = False,
    ) -> None:
        self._timely = timely
        self._turnstile = turnstile
        self._isolated = isolated
        self._queues = queues
        self._now = now
        self._draw = draw
        self.limits = TimeLimits()
        self.overtime = Overtime(draw)
        self._runners = {name: self._runner(job, middleware) for name, job in jobs.items()}
        #: Whether anybody wants to know of every call; decided when the worker starts.
        self._told = (
            log.isEnabledFor(logging.DEBUG)
            or events.wanted(events.CallStarted)
            or events.wanted(events.CallEnded)
        )

    def _runner(self, job: Job[Any, Any], middleware: Sequence[Middleware]) -> Runner:
        return Runner(
            job=job,
            policy=job.policy,
            restore=job.arguments.restore,
            function=job.function,
            wrapped=around(job.function, middleware) if middleware else None,
            special=bool(job.is_async or job.policy.timeout or job.policy.concurrency or middleware),
        )

    def run(self, entry: Entry) -> Outcome | AsyncCall | Aside:
        """Make one attempt at an entry."""
        try:
            envelope = decode(entry.record.value())
        except Malformed as error:
            return Condemned(Reason.UNDECODABLE, error)
        runner = self._runners.get(envelope.job)
        if runner is None:
            return Condemned(Reason.UNKNOWN_JOB, self._unknown(envelope.job))
        if envelope.due is not None or envelope.expires is not None or entry.row is not None:
            untimely = None if self._timely else self._untimely(entry, envelope, runner.policy)
            if untimely is not None:
                return untimely
        if (entry.suspect or runner.policy.isolate is not None) and self._isolated is not None:
            there = Context(entry, envelope, self._queues[entry.partition.place[0]])
            return self._limited(there, runner, lambda: self._elsewhere(there, runner))
        try:
            args, kwargs = runner.restore(envelope.args, envelope.kwargs)
        except Mismatch as error:
            return Condemned(Reason.BAD_ARGUMENTS, error)
        context = Context(entry, envelope, self._queues[entry.partition.place[0]])
        if self._told or runner.special:
            return self._limited(context, runner, lambda: self._attempt(context, runner, args, kwargs))
        enter(context)
        try:
            runner.function(*args, **kwargs)
        except BaseException as error:
            return classify(error, runner.policy, self._draw)
        return OK

    def _limited(
        self, context: Context, runner: Runner, attempt: Callable[[], Outcome | AsyncCall]
    ) -> Outcome | AsyncCall | Aside:
        """Make an attempt, if not too many calls of the job run already."""
        limit, turnstile = runner.policy.concurrency, self._turnstile
        if limit is None or turnstile is None:
            return attempt()
        token = limit.token(runner.job.name, context.entry.key)
        if not turnstile.enter(token, limit.most, context.entry):
            return ASIDE
        outcome = attempt()
        if not isinstance(outcome, AsyncCall):
            turnstile.leave(token)
            return outcome
        make = outcome.attempt

        async def leaving() -> Outcome:
            try:
                return await make()
            finally:
                turnstile.leave(token)

        return outcome._replace(attempt=leaving, dropped=lambda: turnstile.leave(token))

    def _attempt(
        self, context: Context, runner: Runner, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome | AsyncCall:
        """Make an attempt with all that a job may ask for: middleware, time limit, ``async def``."""
        if runner.policy.timeout is not None:
            context.deadline_at = self._now() + runner.policy.timeout
        if runner.job.is_async:
            return AsyncCall(context.entry, lambda: self._await(context, runner, args, kwargs))
        enter(context)
        begun = self._began(context)
        outcome: Outcome = OK
        try:
            if runner.policy.timeout is None:
                self._call(context, runner, args, kwargs)
            else:
                with (
                    self.overtime.watched(context.entry, runner.policy),
                    self.limits.limited(runner.policy.timeout),
                ):
                    self._call(context, runner, args, kwargs)
        except BaseException as error:
            outcome = classify(error, runner.policy, self._draw)
        self._ended(context, outcome, begun)
        return outcome

    def _elsewhere(self, context: Context, runner: Runner) -> Outcome:
        """Have an attempt made in a process of its own, and wait for it."""
        assert self._isolated is not None
        if runner.policy.timeout is not None:
            context.deadline_at = self._now() + runner.policy.timeout
        begun = self._began(context)
        outcome = self._isolated(context, runner.policy)
        self._ended(context, outcome, begun)
        return outcome

    async def _await(
        self, context: Context, runner: Runner, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome:
        enter(context)
        begun = self._began(context)
        outcome: Outcome = OK
        try:
            if runner.policy.timeout is None:
                await self._call(context, runner, args, kwargs)
            else:
                with self.overtime.watched(context.entry, runner.policy):
                    async with asyncio.timeout(runner.policy.timeout) as limit:
                        await self._call(context, runner, args, kwargs)
        except TimeoutError as error:
            expired = runner.policy.timeout is not None and limit.expired()
            outcome = classify(TimeLimitExceeded() if expired else error, runner.policy, self._draw)
        except BaseException as error:
            outcome = classify(error, runner.policy, self._draw)
        self._ended(context, outcome, begun)
        return outcome

    def _call(self, context: Context, runner: Runner, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if runner.wrapped is None:
            return runner.function(*args, **kwargs)
        return runner.wrapped(context, args, kwargs)

    def _untimely(self, entry: Entry, envelope: Envelope, policy: Policy) -> Outcome | None:
        """What to do with a call that came before its time, or too late."""
        now_ms = self._now() * 1000
        expires, row = envelope.expires, entry.row
        if row is not None and row.expires_ms is not None:
            expires = row.expires_ms  # it was moved to another time
        elif (row is None or row.source is not None) and envelope.due is not None and envelope.due > now_ms:
            return Early(envelope.due / 1000, policy)  # it was put into the queue all the same
        if expires is not None and expires < now_ms and not _has_started(entry):
            return Expired(expires / 1000)
        return None

    def _unknown(self, name: str) -> UnknownJob:
        close = difflib.get_close_matches(name, self._runners, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        return UnknownJob(
            f"no job {name!r} is registered in this worker.{hint} Start it with the module that declares the "
            "job, or give the job that name as an alias."
        )

    def _began(self, context: Context) -> float:
        if self._told:
            call = self._facts(context)
            log.debug("%s started", label(call), extra=fields("call.started", call))
            events.emit(events.CallStarted(**call))
        return time.monotonic()

    def _ended(self, context: Context, outcome: Outcome, begun: float) -> None:
        if self._told:
            seconds = time.monotonic() - begun
            result = type(outcome).__name__.lower()
            call = self._facts(context)
            log.debug(
                "%s %s in %.1f ms",
                label(call),
                result,
                seconds * 1000,
                extra=fields("call.ended", call, result=result, seconds=seconds),
            )
            events.emit(events.CallEnded(**call, result=result, seconds=seconds))

    def _facts(self, context: Context) -> dict[str, Any]:
        return facts(context.entry, context.queue, context.attempt, context.envelope)


def classify(error: BaseException, policy: Policy, draw: Callable[[], float] = random.random) -> Outcome:
    """The outcome of an attempt that raised; ``draw`` gives a random number in [0, 1), for jitter."""
    # Without kjobs' own frame the traceback shows the job, and keeps nothing of the worker alive.
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    match error:
        case Retry():
            return Failed(error, policy, draw(), error.delay)
        case Snooze():
            return Snoozed(error.delay, policy)
        case Discard():
            return Discarded(str(error) or "discarded by the job")
        case DeadLetter():
            return Condemned(Reason.REJECTED, error)
        case _:
            return Failed(error, policy, draw())


def _has_started(entry: Entry) -> bool:
    """Whether a call was tried before: it has started in time then, and its expiry no longer counts."""
    if entry.failures or entry.crashes or (entry.row is not None and entry.row.state is not None):
        return True
    return any(name == "kj-replay-of" for name, _ in headers_of(entry.record))
