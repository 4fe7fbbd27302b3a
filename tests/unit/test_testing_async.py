"""``async def`` jobs, from synchronous tests and inside a running event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kjobs import App, Backoff, current, testing
from kjobs.testing import Totals


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App()


def test_a_synchronous_test_runs_async_jobs(app: App) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @app.job(retries=1)
    async def fetch(n: int) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        if current().attempt == 1:
            raise ConnectionError

    with testing.manual(app) as queue:
        fetch.delay(1)
        fetch.delay(2)
        assert queue.drain() == Totals(done=2, failed=2, retried=2)
        assert len(set(loops)) == 1  # as in a worker, so that they can share a connection
        assert not loops[0].is_closed()
    assert loops[0].is_closed()


def test_the_current_loop_of_the_thread_is_left_alone(app: App) -> None:
    @app.job
    async def fetch() -> None: ...

    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        with testing.inline(app):
            fetch.delay()
            assert asyncio.get_event_loop() is mine
        assert asyncio.get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()


def test_inline_runs_async_jobs_in_the_callers_thread(app: App) -> None:
    threads: list[int] = []

    @app.job
    async def fetch() -> None:
        threads.append(threading.get_ident())

    with testing.inline(app):
        fetch.delay()
    assert threads == [threading.get_ident()]


def test_in_a_running_loop_adrain_runs_jobs_in_it(app: App) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @app.job
    async def fetch() -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    @app.job
    def plain() -> None: ...

    async def scenario() -> None:
        with testing.manual(app) as queue:
            handle = await fetch.adelay()
            plain.delay()
            assert handle.offset == 0
            assert await queue.adrain() == Totals(done=2)
            assert loops == [asyncio.get_running_loop()]

    asyncio.run(scenario())


def test_in_a_running_loop_drain_runs_async_jobs_beside_it(app: App) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @app.job
    async def fetch() -> None:
        loops.append(asyncio.get_running_loop())

    async def scenario() -> None:
        with testing.manual(app) as queue:
            fetch.delay()
            assert queue.drain() == Totals(done=1)
            assert loops != [asyncio.get_running_loop()]

    asyncio.run(scenario())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kjobs-testing")]


def test_inline_in_a_running_loop(app: App) -> None:
    ran: list[str] = []

    @app.job(retries=0)
    async def fetch(text: str) -> None:
        await asyncio.sleep(0)
        ran.append(text)
        if text == "fail":
            raise ValueError("no")

    async def scenario() -> None:
        with testing.inline(app):
            await fetch.adelay("awaited")
            fetch.delay("not awaited")
            with pytest.raises(ValueError, match="no"):
                await fetch.adelay("fail")
            with app.batch():
                await fetch.adelay("batch")
                assert "batch" not in ran

    asyncio.run(scenario())
    assert ran == ["awaited", "not awaited", "fail", "batch"]


def test_async_jobs_enqueue_async_jobs(app: App) -> None:
    ran: list[str] = []

    @app.job
    async def outer() -> None:
        await inner.adelay()
        ran.append("outer")

    @app.job
    async def inner() -> None:
        ran.append("inner")

    async def scenario() -> None:
        with testing.inline(app):
            await outer.adelay()

    asyncio.run(scenario())
    assert ran == ["outer", "inner"]


def test_calls_enqueued_side_by_side_all_run(app: App) -> None:
    @app.job
    async def fetch(n: int) -> None:
        await asyncio.sleep(0)

    async def scenario() -> None:
        with testing.inline(app) as queue:
            await asyncio.gather(*(fetch.adelay(n) for n in range(5)))
            queue.assert_succeeded(fetch, times=5)

    asyncio.run(scenario())


def test_what_an_async_job_sets_in_its_context_stays_there(app: App) -> None:
    @app.job
    async def fetch() -> None:
        current()

    async def scenario() -> None:
        with testing.manual(app) as queue:
            fetch.delay()
            await queue.adrain()
            queue.assert_succeeded(fetch)
            with pytest.raises(RuntimeError, match="only known while a worker runs a job"):
                current()

    asyncio.run(scenario())


def test_the_time_limit_of_an_async_job_strikes(app: App) -> None:
    @app.job(timeout="5ms", retries=0)
    async def hang() -> None:
        await asyncio.Event().wait()

    with testing.manual(app) as queue:
        hang.delay()
        queue.drain()
        queue.assert_dead(hang, error="longer than the job's timeout")


def test_backoffs_of_async_jobs_take_no_time(app: App) -> None:
    @app.job(retries=2, backoff=Backoff(base="20s", factor=3, jitter="none"))
    async def fail() -> None:
        raise ValueError

    async def scenario() -> None:
        with testing.manual(app) as queue:
            start = queue.clock.now
            await fail.adelay()
            await queue.adrain()
            assert (queue.clock.now - start).total_seconds() == 20 + 60, "in memory, then in the store"
            queue.assert_dead(fail)

    asyncio.run(scenario())


def test_a_test_can_be_cancelled_while_it_drains(app: App) -> None:
    patient = False

    @app.job
    async def hang() -> None:
        if not patient:
            await asyncio.Event().wait()

    async def scenario() -> None:
        nonlocal patient
        with testing.manual(app) as queue:
            hang.delay()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await queue.adrain()
            assert (queue.calls[0].state, queue.calls[0].attempts) == ("waiting", 0)
            patient = True
            assert await queue.adrain() == Totals(done=1)

    asyncio.run(scenario())


def test_a_job_that_is_cancelled_from_inside_has_failed(app: App) -> None:
    @app.job(retries=0)
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def scenario() -> None:
        with testing.manual(app) as queue:
            cancelled.delay()
            await queue.adrain()
            queue.assert_dead(cancelled)

    asyncio.run(scenario())


def test_ctrl_c_in_an_async_job_reaches_the_test(app: App) -> None:
    @app.job
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with testing.manual(app) as queue:
        interrupted.delay()
        with pytest.raises(KeyboardInterrupt):
            queue.drain()
        assert queue.calls[0].attempts == 0


def test_only_one_drains_at_a_time(app: App) -> None:
    @app.job
    async def fetch() -> None:
        await asyncio.sleep(0)

    async def scenario() -> None:
        with testing.manual(app) as queue:
            fetch.delay()
            results = await asyncio.gather(queue.adrain(), queue.adrain(), return_exceptions=True)
            assert results[0] == Totals(done=1)
            assert isinstance(results[1], testing.Misuse)
            assert str(results[1]).startswith("adrain() was called while calls of this queue run")

    asyncio.run(scenario())


def test_tasks_that_a_job_leaves_behind_end_with_the_queue(app: App) -> None:
    left: list[asyncio.Task[None]] = []

    async def for_ever() -> None:
        await asyncio.Event().wait()

    @app.job
    async def careless() -> None:
        left.append(asyncio.create_task(for_ever()))

    with testing.manual(app) as queue:
        careless.delay()
        queue.drain()
        assert not left[0].done()
    assert left[0].cancelled()
