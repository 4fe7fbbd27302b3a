"""Middleware: in what order, with what, and what it may do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kjobs.context import Context
from kjobs.middleware import around
from tests.unit.test_context import context

CALL = context()


def test_without_middleware_the_job_is_called_as_it_is() -> None:
    assert around(lambda a, b=0: (a, b), [])(CALL, (1,), {"b": 2}) == (1, 2)


def test_the_first_is_the_outermost() -> None:
    heard: list[str] = []

    def layer(name: str) -> Callable[[Context, Callable[[], Any]], Any]:
        def around_it(context: Context, call_next: Callable[[], Any]) -> Any:
            assert context is CALL
            heard.append(f"{name} before")
            result = call_next()
            heard.append(f"{name} after")
            return result

        return around_it

    def job() -> str:
        heard.append("job")
        return "done"

    assert around(job, [layer("one"), layer("two")])(CALL, (), {}) == "done"
    assert heard == ["one before", "two before", "job", "two after", "one after"]


def test_what_it_returns_and_raises_is_the_jobs() -> None:
    def changed(context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next() + 1

    def refused(context: Context, call_next: Callable[[], Any]) -> Any:
        raise PermissionError

    def calmed(context: Context, call_next: Callable[[], Any]) -> Any:
        try:
            return call_next()
        except ZeroDivisionError:
            return None

    ran: list[int] = []
    assert around(lambda: 1, [changed])(CALL, (), {}) == 2
    with pytest.raises(PermissionError):
        around(lambda: ran.append(1), [refused])(CALL, (), {})
    assert ran == []
    assert around(lambda: 1 / 0, [calmed])(CALL, (), {}) is None
    with pytest.raises(ZeroDivisionError):
        around(lambda: 1 / 0, [changed])(CALL, (), {})


def test_it_may_call_the_job_twice_or_not_at_all() -> None:
    ran: list[int] = []

    def twice(context: Context, call_next: Callable[[], Any]) -> Any:
        call_next()
        return call_next()

    around(lambda n: ran.append(n), [twice])(CALL, (5,), {})
    assert ran == [5, 5]
    around(lambda n: ran.append(n), [lambda context, call_next: None])(CALL, (5,), {})
    assert ran == [5, 5]


def test_around_an_async_job_it_awaits_or_passes_on() -> None:
    heard: list[str] = []

    async def awaiting(context: Context, call_next: Callable[[], Any]) -> Any:
        heard.append("before")
        try:
            return await call_next()
        finally:
            heard.append("after")

    def passing(context: Context, call_next: Callable[[], Any]) -> Any:
        heard.append("passed")
        return call_next()

    async def job(n: int) -> int:
        await asyncio.sleep(0)
        heard.append("job")
        return n

    assert asyncio.run(around(job, [passing, awaiting, passing])(CALL, (7,), {})) == 7
    assert heard == ["passed", "before", "passed", "job", "after"]


def test_calls_do_not_share_their_arguments() -> None:
    seen: list[tuple[Any, ...]] = []

    def layer(context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next()

    wrapped = around(lambda *args, **kwargs: seen.append((args, kwargs)), [layer])
    wrapped(CALL, (1,), {"a": 1})
    wrapped(CALL, (2,), {})
    assert seen == [((1,), {"a": 1}), ((2,), {})]
