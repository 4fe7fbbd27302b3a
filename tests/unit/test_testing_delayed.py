"""Delayed calls in a user's tests: their time, their retries, their place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kjobs import App, Backoff, KjobsError, Retry, Snooze, current, testing
from kjobs.core.deferred import Verdict
from kjobs.testing import Queue, Totals


def numbers(ran: list[Any]) -> list[int]:
    return [number for _, number, _ in ran]


def states(queue: Queue) -> list[str]:
    return [str(call.state) for call in queue.calls]


# --- their time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", ["31s", "7d", "3650d", timedelta(days=36500)])
def test_a_call_may_be_delayed_by_years(queue: Queue, remind: Any, delay: Any) -> None:
    start = queue.clock.now
    handle = remind.options(delay=delay).delay()
    assert queue.drain(advance=False) == Totals()
    assert states(queue) == ["waiting"]
    assert queue.calls[0].due == handle.due
    assert queue.drain() == Totals(done=1)
    assert queue.clock.now == handle.due
    assert queue.clock.now > start


def test_a_call_is_not_a_millisecond_early(queue: Queue, remind: Any, ran: list[Any]) -> None:
    remind.options(delay="7d").delay()
    queue.clock.advance("6d")
    queue.clock.advance(86_400 - 0.001)
    assert queue.drain(advance=False) == Totals()
    queue.clock.advance(0.0005)
    assert queue.drain(advance=False) == Totals()
    queue.clock.advance(0.0005)
    assert queue.drain(advance=False) == Totals(done=1)


def test_a_time_in_the_past_is_now(queue: Queue, remind: Any, ran: list[Any]) -> None:
    remind.options(at=datetime(2020, 1, 1, tzinfo=UTC)).delay("old")
    remind.options(delay=0).delay("now")
    queue.drain(advance=False)
    assert ran == ["old", "now"]


def test_many_are_run_in_the_order_of_their_times(queue: Queue, remind: Any, ran: list[Any]) -> None:
    for days in (9, 1, 5, 3, 7):
        remind.options(delay=f"{days}d").delay(str(days))
    remind.delay("0")
    assert queue.drain() == Totals(done=6)
    assert ran == ["0", "1", "3", "5", "7", "9"]


def test_without_letting_time_pass_what_waits_is_left(queue: Queue, remind: Any, ran: list[Any]) -> None:
    remind.options(delay="1d").delay("one")
    remind.options(delay="2d").delay("two")
    queue.clock.advance("1d")
    assert queue.drain(advance=False) == Totals(done=1)
    assert states(queue) == ["succeeded", "waiting"]
    queue.assert_succeeded(remind, "one")
    queue.assert_enqueued(remind, "two")
    with pytest.raises(AssertionError, match="remind\\('two'\\) on default, waiting"):
        queue.assert_succeeded(remind, "two")


def test_what_falls_due_while_a_job_lets_time_pass_runs_after_it(app: App, queue: Queue, remind: Any) -> None:
    order: list[str] = []

    @app.job
    def slow() -> None:
        queue.clock.advance("2h")
        order.append("slow")

    @app.job
    def later() -> None:
        order.append("later")

    later.options(delay="1h").delay()
    slow.delay()
    queue.drain(advance=False)
    assert order == ["slow", "later"]


def test_a_delayed_call_has_all_that_others_have(app: App, queue: Queue) -> None:
    seen: list[Any] = []

    @app.job(name="look", key="who")
    def look(who: str) -> None:
        call = current()
        seen.append((call.id, call.key, call.attempt, call.headers, call.enqueued_at))

    start = queue.clock.now
    handle = look.options(delay="3d", headers={"traceparent": "00-1"}, queue="bulk").delay("ann")
    call = queue.assert_enqueued(look, "ann", key="ann")
    assert (call.queue, call.headers, call.key) == ("bulk", {"traceparent": "00-1"}, "ann")
    queue.drain()
    assert seen == [(handle.id, "ann", 1, {"traceparent": "00-1"}, start)]


def test_many_at_once_and_batches_may_be_delayed(app: App, queue: Queue, remind: Any, ran: list[Any]) -> None:
    remind.options(delay="2h").delay_many([("a",), ("b",)])
    with app.batch():
        remind.options(delay="1h").delay("c")
        remind.delay("d")
    queue.drain()
    assert ran == ["d", "c", "a", "b"]


# --- expiry and deadline ------------------------------------------------------------------------------


def test_a_delayed_call_expires_so_long_after_it_was_due(queue: Queue, remind: Any, ran: list[Any]) -> None:
    late = remind.options(delay="7d", expires="1h").delay("in time")
    queue.clock.advance("7d")
    queue.clock.advance("1h")
    assert queue.drain(advance=False) == Totals(done=1)
    remind.options(delay="7d", expires="1h").delay("too late")
    queue.clock.advance("7d")
    queue.clock.advance("61m")
    assert queue.drain(advance=False) == Totals(dropped=1)
    assert queue.assert_dropped(remind, "too late").why == "expired 1m ago"
    assert late.due is not None


def test_the_deadline_of_a_delayed_call_counts_from_when_it_is_due(app: App, queue: Queue) -> None:
    @app.job(deadline="10h", backoff=Backoff(base="4h", factor=1, cap="1d"))
    def hopeless() -> None:
        raise ValueError

    hopeless.options(delay="7d").delay()
    queue.drain()
    assert queue.assert_dead(hopeless, reason="deadline").attempts == 3


def test_a_long_retry_started_in_time(app: App, queue: Queue) -> None:
    @app.job(expires="1h")
    def once() -> None:
        if current().attempt == 1:
            raise Retry(delay="2d")

    once.delay()
    assert queue.drain() == Totals(done=1, failed=1, retried=1)


# --- long retries -------------------------------------------------------------------------------------


def test_retries_may_be_days_apart(queue: Queue, charge: Any, ran: list[Any]) -> None:
    start = queue.clock.now
    charge.delay("ann", 1, fails=3)
    assert queue.drain() == Totals(done=1, failed=3, retried=3)
    assert ran == [("ann", 1, n) for n in (1, 2, 3, 4)]
    assert queue.clock.now - start == timedelta(hours=6 + 12 + 24)


def test_a_call_between_two_far_attempts_is_retrying(queue: Queue, charge: Any) -> None:
    start = queue.clock.now
    charge.delay("ann", 1, fails=1)
    queue.drain(advance=False)
    [call] = queue.calls
    assert (call.state, call.attempts, call.due) == ("retrying", 1, start + timedelta(hours=6))
    assert str(call.error) == "the bank is closed"
    queue.clock.advance("6h")
    queue.drain(advance=False)
    assert (call.state, call.attempts, call.error) == ("succeeded", 2, None)


def test_retries_that_are_days_apart_end_in_a_dead_letter(queue: Queue, charge: Any) -> None:
    charge.delay("ann", 1, fails=99)
    assert queue.drain() == Totals(failed=9, retried=8, dead=1)
    assert queue.assert_dead(charge, "ann", 1, 99, reason="retries-exhausted").attempts == 9


def test_a_snooze_may_be_one_of_weeks(app: App, queue: Queue) -> None:
    seen: list[datetime] = []

    @app.job(retries=0)
    def wait() -> None:
        seen.append(queue.clock.now)
        if len(seen) == 1:
            raise Snooze("2w")

    wait.delay()
    assert queue.drain() == Totals(done=1)
    assert seen[1] - seen[0] == timedelta(weeks=2)
    assert queue.calls[0].attempts == 1


def test_async_jobs_may_wait_for_days(app: App) -> None:
    seen: list[int] = []

    @app.job
    async def fetch() -> None:
        seen.append(current().attempt)
        if current().attempt == 1:
            raise Retry(delay="3d")

    async def scenario() -> None:
        with testing.manual(app) as queue:
            await fetch.options(delay="1d").adelay()
            await queue.adrain()

    asyncio.run(scenario())
    assert seen == [1, 2]


# --- the order of a key -------------------------------------------------------------------------------


def test_later_calls_of_a_key_wait_behind_a_long_retry_and_come_in_order(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    charge.delay("ann", 1, fails=2)
    charge.delay("ann", 2)
    charge.delay("bob", 3)
    queue.drain(advance=False)
    assert numbers(ran) == [1, 3]
    assert states(queue) == ["retrying", "waiting", "succeeded"]
    charge.delay("ann", 4)
    queue.drain(advance=False)
    assert numbers(ran) == [1, 3], "it is parked as well"
    queue.drain()
    assert ran == [("ann", 1, 1), ("bob", 3, 1), ("ann", 1, 2), ("ann", 1, 3), ("ann", 2, 1), ("ann", 4, 1)]


def test_a_hundred_calls_behind_a_long_retry_keep_their_order(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    charge.delay("ann", 0, fails=1)
    charge.delay_many([("ann", n) for n in range(1, 101)])
    queue.drain()
    assert numbers(ran) == [0, *range(101)]
    charge.delay("ann", 101)
    queue.drain(advance=False)
    assert numbers(ran)[-1] == 101, "the key is free again"


def test_a_delayed_call_comes_behind_what_its_key_has_when_it_is_due(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    charge.options(delay="1h").delay("ann", 1)
    charge.delay("ann", 2)
    queue.clock.advance("59m")
    charge.delay("ann", 3)
    queue.clock.advance("1m")
    charge.delay("ann", 4)
    queue.drain(advance=False)
    assert numbers(ran) == [2, 3, 1, 4]


def test_a_delayed_call_waits_behind_a_long_retry_of_its_key(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    charge.delay("ann", 1, fails=1)
    charge.options(delay="1h").delay("ann", 2)
    charge.options(delay="1h").delay("bob", 3)
    queue.clock.advance("2h")
    queue.drain(advance=False)
    assert ran == [("ann", 1, 1), ("bob", 3, 1)]
    queue.drain()
    assert ran[2:] == [("ann", 1, 2), ("ann", 2, 1)]


def test_with_relaxed_order_nothing_waits_behind_a_long_retry(app: App, queue: Queue) -> None:
    ran: list[str] = []

    @app.job(key="customer", order="relaxed", backoff=Backoff(base="6h"))
    def note(customer: str, what: str) -> None:
        ran.append(f"{what} {current().attempt}")
        if what == "one" and current().attempt == 1:
            raise ConnectionError

    note.delay("ann", "one")
    note.delay("ann", "two")
    queue.drain(advance=False)
    assert ran == ["one 1", "two 1"]
    note.delay("ann", "three")
    queue.drain()
    assert ran[2:] == ["three 1", "one 2"]


def test_a_relaxed_call_that_is_due_waits_for_no_other(app: App, queue: Queue) -> None:
    ran: list[str] = []

    @app.job(key="customer", order="relaxed")
    def note(customer: str, what: str) -> None:
        ran.append(what)

    @app.job(key="customer", backoff=Backoff(base="6h"))
    def fail(customer: str) -> None:
        if current().attempt == 1:
            raise ConnectionError
        ran.append("fail")

    note.options(delay="1h").delay("ann", "delayed")
    fail.delay("ann")
    queue.drain()
    assert ran == ["delayed", "fail"]


# --- inline ---------------------------------------------------------------------------------------------


def test_inline_a_delayed_call_runs_before_delay_returns(app: App, remind: Any, ran: list[Any]) -> None:
    with testing.inline(app) as queue:
        start = queue.clock.now
        handle = remind.options(delay="7d").delay("yes")
        assert ran == ["yes"]
        assert queue.clock.now - start == timedelta(days=7)
        assert handle.cancel() is Verdict.GONE


def test_inline_long_retries_are_made(app: App, charge: Any, ran: list[Any]) -> None:
    with testing.inline(app) as queue:
        charge.delay("ann", 1, fails=2)
        assert ran == [("ann", 1, 1), ("ann", 1, 2), ("ann", 1, 3)]
        with pytest.raises(ConnectionError):
            charge.delay("ann", 2, fails=99)
        queue.assert_dead(charge, "ann", 2, 99)


def test_inline_a_job_can_take_back_what_it_has_delayed(app: App, remind: Any, ran: list[Any]) -> None:
    @app.job
    def order() -> None:
        reminder = remind.options(delay="7d").delay("no")
        assert reminder.cancel()

    with testing.inline(app) as queue:
        order.delay()
        assert ran == []
        queue.assert_dropped(remind, "no")


# --- refusals -------------------------------------------------------------------------------------------


def test_a_handle_whose_place_is_not_known_cannot_be_asked_about(app: App, queue: Queue, remind: Any) -> None:
    with app.batch():
        handle = remind.options(delay="1h").delay()
        with pytest.raises(KjobsError, match="is not known to be in Kafka"):
            handle.cancel()
    assert handle.cancel()
