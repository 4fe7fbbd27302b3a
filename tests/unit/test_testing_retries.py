"""Failures in tests: retries, dead letters, discards, with the clock skipping over the waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kjobs import App, Backoff, DeadLetter, Discard, Retry, Snooze, current, testing
from kjobs.testing import Totals


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App()


def test_fails_three_times_then_is_dead_lettered(app: App) -> None:
    attempts: list[int] = []

    @app.job(retries=2, backoff=Backoff(base="10s", factor=2, cap="30s"))
    def charge(order: int) -> None:
        attempts.append(current().attempt)
        raise ConnectionError("the bank is closed")

    with testing.manual(app) as queue:
        start = queue.clock.now
        charge.delay(7)
        assert queue.drain() == Totals(failed=3, retried=2, dead=1)
        assert attempts == [1, 2, 3]
        assert queue.clock.now - start == timedelta(seconds=10 + 20)
        dead = queue.assert_dead(charge, 7, reason="retries-exhausted", error=ConnectionError)
        assert (dead.attempts, dead.call.attempts) == (3, 3)
        assert dead.error is dead.call.error
        assert (dead.call.state, dead.call.why) == ("dead", "retries-exhausted")


def test_succeeds_at_the_third_attempt(app: App) -> None:
    @app.job
    def charge() -> None:
        if current().attempt < 3:
            raise ConnectionError

    with testing.manual(app) as queue:
        charge.delay()
        assert queue.drain() == Totals(done=1, failed=2, retried=2)
        call = queue.assert_succeeded(charge)
        assert (call.attempts, call.error, queue.dead) == (3, None, [])


def test_a_jittered_backoff_takes_as_long_as_it_can(app: App) -> None:
    @app.job(retries=3, backoff=Backoff(base=1, factor=3, jitter="full"))
    def fail() -> None:
        raise ValueError

    with testing.manual(app) as queue:
        waits = []
        fail.delay()
        queue.drain(advance=False)
        while (due := queue.calls[0].due) and queue.calls[0].state == "retrying":
            wait = due - queue.clock.now
            waits.append(wait.total_seconds())
            queue.clock.advance(wait)
            queue.drain(advance=False)
        assert waits == [1, 3, 9]
        assert queue.calls[0].state == "dead"


def test_without_advancing_only_what_is_due_runs(app: App) -> None:
    @app.job(backoff=Backoff(base="10s", jitter="none"))
    def fail_once() -> None:
        if current().attempt == 1:
            raise ValueError("no")

    with testing.manual(app) as queue:
        fail_once.delay()
        assert queue.drain(advance=False) == Totals(failed=1, retried=1)
        [call] = queue.calls
        assert (call.state, call.attempts, str(call.error)) == ("retrying", 1, "no")
        assert call.due == queue.clock.now + timedelta(seconds=10)
        queue.clock.advance("9s")
        assert queue.drain(advance=False) == Totals()
        queue.clock.advance("1s")
        assert queue.drain(advance=False) == Totals(done=1)
        assert (call.state, call.attempts) == ("succeeded", 2)


def test_a_job_may_say_when_to_retry(app: App) -> None:
    @app.job
    def later() -> None:
        if current().attempt == 1:
            raise Retry(delay="17s")

    with testing.manual(app) as queue:
        start = queue.clock.now
        later.delay()
        assert queue.drain() == Totals(done=1, failed=1, retried=1)
        assert queue.clock.now - start == timedelta(seconds=17)


def test_a_snooze_is_no_attempt(app: App) -> None:
    seen: list[int] = []

    @app.job(retries=0)
    def wait() -> None:
        seen.append(current().attempt)
        if len(seen) < 4:
            raise Snooze("30s")

    with testing.manual(app) as queue:
        start = queue.clock.now
        wait.delay()
        queue.drain(advance=False)
        [call] = queue.calls
        assert (call.state, call.attempts, call.due) == ("waiting", 0, start + timedelta(seconds=30))
        assert queue.drain() == Totals(done=1)
        assert seen == [1, 1, 1, 1]
        assert call.attempts == 1
        assert queue.clock.now - start == timedelta(seconds=90)


def test_a_job_may_give_up_its_call(app: App) -> None:
    @app.job
    def hopeless() -> None:
        raise DeadLetter("no such order")

    with testing.manual(app) as queue:
        hopeless.delay()
        assert queue.drain() == Totals(failed=1, dead=1)
        assert queue.assert_dead(hopeless, reason="rejected", error="no such order").attempts == 1


def test_a_job_may_forget_its_call(app: App) -> None:
    @app.job
    def stale() -> None:
        raise Discard("superseded")

    @app.job(discard_on=KeyError)
    def gone() -> None:
        raise KeyError("order")

    with testing.manual(app) as queue:
        stale.delay()
        gone.delay()
        assert queue.drain() == Totals(dropped=2)
        assert queue.assert_dropped(stale).why == "superseded"
        assert queue.assert_dropped(gone).why == "KeyError is discarded by the job"
        assert queue.dead == []


def test_an_error_that_is_not_retried_is_dead_at_once(app: App) -> None:
    @app.job(retry_on=ConnectionError)
    def strict() -> None:
        raise ValueError

    with testing.manual(app) as queue:
        strict.delay()
        assert queue.drain() == Totals(failed=1, dead=1)
        queue.assert_dead(strict, reason="not-retried")


def test_no_attempt_begins_after_the_deadline(app: App) -> None:
    @app.job(deadline="25s", backoff=Backoff(base="10s", factor=1, jitter="none"))
    def slow() -> None:
        raise ValueError

    with testing.manual(app) as queue:
        slow.delay()
        queue.drain()
        assert queue.assert_dead(slow, reason="deadline").attempts == 3
        slow.delay()
        queue.clock.advance("20s")
        queue.drain()
        assert queue.dead[1].attempts == 1


def test_a_call_that_waited_too_long_is_dropped(app: App) -> None:
    @app.job(expires="10s")
    def news() -> None: ...

    with testing.manual(app) as queue:
        news.delay()
        queue.clock.advance("10s")
        assert queue.drain() == Totals(done=1)
        news.delay()
        queue.clock.advance("12s")
        assert queue.drain() == Totals(dropped=1)
        assert queue.assert_dropped(news).why == "expired 2s ago"
