"""Attempts with all that a job may ask for: async, time limits, middleware; and what is told of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kjobs import events
from kjobs.context import Context, current
from kjobs.core.outcome import OK, Failed, Outcome
from kjobs.worker.fibres import AsyncCall
from kjobs.worker.timelimit import TimeLimitExceeded
from tests.worker.invoking import NOW, Bench, call_of, entry_of
from tests.worker.owner import DEADLINE


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this test's subscribers."""
    monkeypatch.setattr(events, "_subscribers", {})
    return


def failed_with(found: Outcome, kind: type[BaseException]) -> None:
    assert isinstance(found, Failed)
    assert type(found.error) is kind


# --- async --------------------------------------------------------------------------------------------


def test_an_async_job_is_left_to_the_event_loop(bench: Bench) -> None:
    ran: list[Any] = []

    @bench.app.job(name="a")
    async def later(n: int) -> None:
        await asyncio.sleep(0)
        ran.append((n, current().id))

    entry = entry_of(call_of("a", 7))
    handed = bench.invoker.run(entry)
    assert isinstance(handed, AsyncCall)
    assert handed.entry is entry
    assert ran == [], "nothing of it runs in the slot"
    assert asyncio.run(handed.attempt()) is OK
    assert ran == [(7, "call-1")]


def test_async_calls_know_each_its_own_call(bench: Bench) -> None:
    seen: list[tuple[str, str]] = []

    @bench.app.job(name="a")
    async def later(n: str) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append((n, current().id))

    async def together() -> None:
        handed = [bench.invoker.run(entry_of(call_of("a", name, id=name))) for name in "xyz"]
        await asyncio.gather(*(call.attempt() for call in handed if isinstance(call, AsyncCall)))

    asyncio.run(together())
    assert len(seen) == 9
    assert all(name == ident for name, ident in seen)


def test_a_cancelled_async_job_is_a_failure(bench: Bench) -> None:
    @bench.app.job(name="a")
    async def later() -> None:
        raise asyncio.CancelledError

    failed_with(bench.run("a"), asyncio.CancelledError)


# --- time limits --------------------------------------------------------------------------------------


def spin() -> None:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        pass


def test_a_call_that_takes_too_long_is_a_failure(bench: Bench) -> None:
    @bench.app.job(name="j", timeout="50ms")
    def job() -> None:
        spin()

    @bench.app.job(name="a", timeout="50ms")
    async def later() -> None:
        await asyncio.sleep(DEADLINE)

    with bench.enforced():
        failed_with(bench.run("j"), TimeLimitExceeded)
        failed_with(bench.run("a"), TimeLimitExceeded)


def test_a_call_in_time_is_left_alone(bench: Bench) -> None:
    @bench.app.job(name="j", timeout="20s")
    def job() -> None: ...

    @bench.app.job(name="a", timeout="20s")
    async def later() -> None:
        await asyncio.sleep(0)

    with bench.enforced():
        assert bench.run("j") is OK
        assert bench.run("a") is OK


def test_a_jobs_own_timeout_is_not_ours(bench: Bench) -> None:
    @bench.app.job(name="j", timeout="20s")
    def job() -> None:
        raise TimeoutError("the bank")

    @bench.app.job(name="a", timeout="20s")
    async def later() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(DEADLINE)

    @bench.app.job(name="b")
    async def without() -> None:
        raise TimeoutError("the bank")

    for name in ("j", "a", "b"):
        failed_with(bench.run(name), TimeoutError)


def test_a_limited_job_knows_its_deadline(bench: Bench) -> None:
    seen: list[datetime | None] = []

    @bench.app.job(name="j", timeout="20s")
    def job() -> None:
        seen.append(current().deadline)

    @bench.app.job(name="a", timeout="20s")
    async def later() -> None:
        seen.append(current().deadline)

    bench.run("j")
    bench.run("a")
    assert seen == [datetime.fromtimestamp(NOW + 20, UTC)] * 2


def test_the_limit_is_of_the_whole_attempt_with_its_middleware() -> None:
    def slow(context: Context, call_next: Callable[[], Any]) -> Any:
        spin()

    bench = Bench([slow])

    @bench.app.job(name="j", timeout="50ms")
    def job() -> None: ...

    with bench.enforced():
        failed_with(bench.run("j"), TimeLimitExceeded)


# --- middleware ---------------------------------------------------------------------------------------


def test_middleware_is_around_every_call() -> None:
    heard: list[str] = []

    def around(context: Context, call_next: Callable[[], Any]) -> Any:
        assert context is current()
        heard.append(f"{context.job} {context.attempt}")
        try:
            return call_next()
        finally:
            heard.append("after")

    bench = Bench([around])

    @bench.app.job(name="j")
    def job(n: int) -> None:
        heard.append(f"job {n}")

    assert bench.run("j", 7) is OK
    assert heard == ["j 1", "job 7", "after"]


def test_what_middleware_raises_counts_as_raised_by_the_job() -> None:
    def refuse(context: Context, call_next: Callable[[], Any]) -> Any:
        raise PermissionError

    bench = Bench([refuse])

    @bench.app.job(name="j")
    def job() -> None: ...

    @bench.app.job(name="a")
    async def later() -> None: ...

    failed_with(bench.run("j"), PermissionError)
    failed_with(bench.run("a"), PermissionError)


def test_middleware_may_pass_an_async_job_on_or_await_it() -> None:
    heard: list[str] = []

    def passing(context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next()

    async def awaiting(context: Context, call_next: Callable[[], Any]) -> Any:
        result = await call_next()
        heard.append("awaited")
        return result

    bench = Bench([passing, awaiting])

    @bench.app.job(name="a")
    async def later() -> None:
        heard.append("job")

    assert bench.run("a") is OK
    assert heard == ["job", "awaited"]


# --- many at once -------------------------------------------------------------------------------------


def test_many_threads_may_invoke_at_once(bench: Bench) -> None:
    mixed_up: list[str] = []

    @bench.app.job(name="j")
    def job(name: str, *more: int, times: int = 1) -> None:
        for _ in range(5):
            if current().id != name or len(more) != times:
                mixed_up.append(name)

    def invoke(worker: int) -> None:
        for n in range(300):
            args = [f"{worker}-{n}", *range(n % 7)]
            if bench.run("j", *args, kwargs={"times": n % 7}, id=args[0]) is not OK:
                mixed_up.append(str(args[0]))

    threads = [threading.Thread(target=invoke, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert mixed_up == []
