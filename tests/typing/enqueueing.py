"""``.delay`` and its kin take what the job takes, and give handles."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from kjobs import App, Handle, args, batch, job
from kjobs.core.deferred import Verdict


@job(key="user_id")
def send_email(user_id: int, template: str = "welcome") -> None: ...


@job
async def later(user_id: int, *, urgent: bool) -> str:
    return str(urgent)


def enqueue() -> None:
    """The plain way."""
    assert_type(send_email.delay(7), Handle)
    assert_type(send_email.delay(7, "bye"), Handle)
    assert_type(send_email.delay(user_id=7, template="bye"), Handle)
    assert_type(later.delay(7, urgent=True), Handle)


async def enqueue_without_blocking() -> None:
    """The asyncio way, of any job."""
    coroutine: Coroutine[Any, Any, Handle] = send_email.adelay(7)
    assert_type(await coroutine, Handle)
    assert_type(await send_email.adelay(7), Handle)
    assert_type(await later.adelay(7, urgent=False), Handle)
    assert_type(await later.options(queue="bulk").adelay(7, urgent=False), Handle)


def enqueue_with_options() -> None:
    """Options keep the parameters."""
    handle = send_email.options(
        key="7",
        queue="bulk",
        delay="5s",
        expires=timedelta(hours=1),
        id="mine",
        headers={"traceparent": "00-ab", "raw": b"x"},
        ack="all",
    ).delay(7)
    assert_type(handle, Handle)
    assert_type(send_email.options(key=7, at=datetime.now(UTC), ack="none").delay(7, template="x"), Handle)
    assert_type(send_email.options(key=UUID(int=1), delay=1.5).delay_many([(7,)]), list[Handle])
    send_email.options(key=None)


def take_back() -> None:
    """What was delayed can be cancelled, and moved."""
    handle = send_email.options(delay="7d").delay(7)
    assert_type(handle.cancel(), Verdict)
    assert_type(handle.reschedule(at=datetime.now(UTC)), Verdict)
    assert_type(handle.reschedule(delay=timedelta(days=1)), Verdict)
    handle.reschedule("5m")  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]
    if handle.cancel():
        pass


def enqueue_many() -> None:
    """Many at once."""
    assert_type(send_email.delay_many([(7,), (8, "bye")]), list[Handle])
    assert_type(send_email.delay_many([args(7), args(8, template="bye")]), list[Handle])
    assert_type(send_email.delay_many((n,) for n in range(3)), list[Handle])
    with batch():
        send_email.delay(7)
    app = App()
    with app.batch():
        send_email.delay(7)


def handles(handle: Handle) -> None:
    """What is known of an enqueued call."""
    assert_type(handle.id, str)
    assert_type(handle.job, str)
    assert_type(handle.queue, str)
    assert_type(handle.key, str | None)
    assert_type(handle.partition, int | None)
    assert_type(handle.offset, int | None)
    assert_type(handle.due, datetime | None)


def wrong_arguments() -> None:
    """What a type checker must not let pass."""
    send_email.delay("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email.delay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_email.delay(7, tempalte="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_email.delay(7, "x", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    later.delay(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_email.options(key="7").delay("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email.options(key="7").delay(7, 8)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email.delay_many([7])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def wrong_arguments_without_blocking() -> None:
    """The same with asyncio."""
    await send_email.adelay("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await later.options(id="x").adelay(7)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_options() -> None:
    """Options that do not exist, or are of another type."""
    send_email.options(key=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email.options(delai="5s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_email.options(at="tomorrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email.options(headers={"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
