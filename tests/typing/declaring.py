"""``@job`` keeps a function's parameters and its result, bare and with options."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type
from uuid import UUID

from kjobs import App, Backoff, Job, job


@job
def bare(user_id: int, template: str = "welcome") -> None: ...


@job()
def called(user_id: int, template: str = "welcome") -> str:
    return template


@job(
    name="mail.send",
    aliases=("old.name",),
    queue="mail",
    key="user_id",
    retries=8,
    backoff=Backoff(base=2.0, factor=2.0, cap="30s", jitter="full"),
    retry_on=(Exception,),
    discard_on=(),
    deadline="1d",
    timeout=timedelta(seconds=30),
    expires=3600,
    order="strict",
    isolate=False,
)
def send_email(user_id: int, template: str = "welcome") -> None: ...


@job(retry_on=ConnectionError, discard_on=KeyError, order="relaxed")
def one_exception(ident: UUID, *more: int, urgent: bool = False) -> list[int]:
    return list(more)


@job
async def later(user_id: int) -> str:
    return str(user_id)


@job(key=lambda user_id: user_id)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
def keyed(user_id: int) -> None: ...


def by_text(user_id: int) -> str | None:
    return str(user_id)


@job(key=by_text)
def keyed_by_function(user_id: int) -> None: ...


app = App(bootstrap_servers="kafka:9092", group="shop")


@app.job
def of_an_app(name: str) -> int:
    return len(name)


@app.job(queue="mail")
def of_an_app_with_options(name: str) -> int:
    return len(name)


def results() -> None:
    """Calling a job is calling its function."""
    assert_type(bare(7), None)
    assert_type(called(7, template="x"), str)
    assert_type(send_email(7), None)
    assert_type(one_exception(UUID(int=1), 2, 3, urgent=True), list[int])
    coroutine: Coroutine[Any, Any, str] = later(7)
    coroutine.close()
    assert_type(of_an_app("x"), int)
    assert_type(of_an_app_with_options("x"), int)
    assert_type(send_email.function(7), None)


def attributes() -> None:
    """What a job says of itself."""
    assert_type(send_email.name, str)
    assert_type(send_email.aliases, tuple[str, ...])
    assert_type(send_email.queue, str)
    assert_type(send_email.is_async, bool)
    assert_type(app.find("x"), Job[Any, Any])
    assert_type(app.jobs, dict[str, Job[Any, Any]])


def takes_int_str(it: Job[[int, str], None]) -> None:
    """A job may be passed on with its type."""
    it.delay(7, "x")


@job
def int_str(user_id: int, template: str) -> None: ...


def passed_on() -> None:
    """Also as what it is called with; the names of parameters count as they do for functions."""
    takes_int_str(int_str)
    takes_int_str(later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_calls() -> None:
    """What a type checker must not let pass."""
    bare("7")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send_email()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    of_an_app(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_options() -> None:
    """Options that do not exist, or are of another type."""
    job(retries="8")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    job(order="loose")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    job(quue="mail")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    job(retry_on=(ValueError(),))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Backoff(jitter="half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Backoff(base=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
