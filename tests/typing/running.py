"""Inside a job: the running call, what a job may raise, middleware, events, errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_type

from kjobs import (
    App,
    BatchError,
    Context,
    DeadLetter,
    Discard,
    EnqueueError,
    Fence,
    Handle,
    KjobsError,
    Retry,
    Snooze,
    configure,
    current,
    default_app,
)
from kjobs.events import CallBuried, CallStarted, subscribe


def the_running_call() -> None:
    """What a job can know."""
    ctx = current()
    assert_type(ctx, Context)
    assert_type(ctx.id, str)
    assert_type(ctx.job, str)
    assert_type(ctx.queue, str)
    assert_type(ctx.key, str | None)
    assert_type(ctx.attempt, int)
    assert_type(ctx.partition, int)
    assert_type(ctx.offset, int)
    assert_type(ctx.enqueued_at, datetime)
    assert_type(ctx.deadline, datetime | None)
    assert_type(ctx.cancelled, bool)
    assert_type(ctx.headers, dict[str, str])
    assert_type(ctx.fence, Fence)
    assert_type(ctx.fence.epoch, int)
    assert_type(ctx.fence > Fence(1, 2), bool)


def verdicts(choice: int) -> None:
    """What a job may say itself."""
    if choice == 1:
        raise Retry(delay="10s")
    if choice == 2:
        raise Retry("the bank is closed", delay=5)
    if choice == 3:
        raise Retry
    if choice == 4:
        raise Snooze("1s")
    if choice == 5:
        raise Discard("why")
    raise DeadLetter("why")


def wrong_verdicts() -> None:
    """What a type checker must not let pass."""
    Retry(delay=None)
    Snooze()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Snooze(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def timed(context: Context, call_next: Callable[[], Any]) -> Any:
    """A middleware."""
    return context.job, call_next()


async def awaited(context: Context, call_next: Callable[[], Any]) -> Any:
    """A middleware for async jobs."""
    return context.job, await call_next()


def settings() -> None:
    """An app, and the default one."""
    app = App(group="shop", threads=4, kafka={"client.id": "x"})
    app.middleware.append(timed)
    app.middleware.append(awaited)
    app.middleware.append(verdicts)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.configure(group="other")
    configure(threads=2)
    assert_type(default_app, App)
    assert_type(app.settings.group, str)
    assert_type(app.settings.threads, int)
    app.close()


def alert(event: CallBuried) -> None:
    """A subscriber."""
    assert_type(event.reason, str)
    assert_type(event.error, BaseException)


def subscriptions() -> None:
    """A subscriber takes the kinds it subscribes to."""
    assert_type(subscribe(alert, CallBuried), Callable[[], None])
    subscribe(alert, CallStarted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def errors() -> None:
    """What an error knows."""
    try:
        pass
    except BatchError as error:
        assert_type(error.failures, list[tuple[int, EnqueueError]])
        assert_type(error.call_id, str)
        assert_type(error.definite, bool)
    except EnqueueError as error:
        assert_type(error.definite, bool)
    except KjobsError:
        pass


def nothing(handle: Handle) -> None:
    """A handle's place is unknown until it is acknowledged."""
    handle.offset + 1  # type: ignore[operator]  # pyright: ignore[reportOptionalOperand, reportUnusedExpression]
