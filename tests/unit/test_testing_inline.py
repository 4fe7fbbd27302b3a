"""``testing.inline()``: a call has ended when ``.delay()`` returns."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from kjobs import App, DeadLetter, current, testing
from kjobs.testing import Totals
from kjobs.testing.log import Log, StoredRecord


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App(max_size=2000)


def test_a_call_runs_before_delay_returns(app: App) -> None:
    ran: list[tuple[int, str]] = []

    @app.job
    def note(n: int) -> None:
        ran.append((n, current().id))

    with testing.inline(app) as queue:
        handle = note.delay(7)
        assert ran == [(7, handle.id)]
        queue.assert_succeeded(note, 7, times=1)


def test_retries_are_made_and_the_clock_skips_over_their_waits(app: App) -> None:
    @app.job
    def flaky() -> None:
        if current().attempt < 4:
            raise ConnectionError

    with testing.inline(app) as queue:
        start = queue.clock.now
        flaky.delay()
        assert queue.assert_succeeded(flaky).attempts == 4
        assert queue.clock.now - start == timedelta(seconds=2 + 4 + 8)


def test_a_delayed_call_runs_at_once_at_its_time(app: App) -> None:
    @app.job
    def remind() -> None: ...

    with testing.inline(app) as queue:
        start = queue.clock.now
        remind.options(delay="20s").delay()
        queue.assert_succeeded(remind)
        assert queue.clock.now - start == timedelta(seconds=20)


def test_an_error_that_is_not_retried_any_more_reaches_the_caller(app: App) -> None:
    tries: list[int] = []

    @app.job(retries=2)
    def charge(order: int) -> None:
        tries.append(order)
        raise ConnectionError("the bank is closed")

    with testing.inline(app) as queue:
        with pytest.raises(ConnectionError, match="the bank is closed") as caught:
            charge.delay(7)
        assert tries == [7, 7, 7]
        [note] = caught.value.__notes__
        assert note.endswith(
            "charge(7), dead after 3 attempts (retries-exhausted): ConnectionError: the bank is closed"
        )
        assert caught.traceback[-1].name == "charge"
        queue.assert_dead(charge, 7)


def test_so_do_a_rejection_and_an_error_that_no_retry_helps(app: App) -> None:
    @app.job
    def reject() -> None:
        raise DeadLetter("no such order")

    @app.job(name="gone")
    def gone() -> None: ...

    with testing.inline(app):
        with pytest.raises(DeadLetter, match="no such order"):
            reject.delay()
        del app.jobs["gone"]
        with pytest.raises(LookupError, match="no job 'gone' is registered"):
            gone.delay()


def test_what_is_dropped_raises_nothing(app: App) -> None:
    @app.job(discard_on=KeyError)
    def stale() -> None:
        raise KeyError

    with testing.inline(app) as queue:
        stale.delay()
        queue.assert_dropped(stale)


def test_errors_can_be_kept_as_dead_letters_only(app: App) -> None:
    @app.job(retries=0)
    def fail() -> None:
        raise ValueError

    with testing.inline(app, propagate=False) as queue:
        fail.delay()
        queue.assert_dead(fail, error=ValueError)


def test_calls_that_a_job_enqueues_run_when_it_is_through(app: App) -> None:
    ran: list[str] = []

    @app.job
    def outer() -> None:
        inner.delay()
        ran.append("outer")

    @app.job
    def inner() -> None:
        ran.append("inner")

    with testing.inline(app):
        outer.delay()
        assert ran == ["outer", "inner"]


def test_an_error_of_a_call_that_a_job_enqueued_does_not_fail_the_job(app: App) -> None:
    @app.job
    def outer() -> None:
        inner.delay()

    @app.job(retries=0)
    def inner() -> None:
        raise ValueError("inner")

    with testing.inline(app) as queue:
        with pytest.raises(ValueError, match="inner"):
            outer.delay()
        assert queue.assert_succeeded(outer, times=1).attempts == 1


def test_a_long_chain_of_calls_needs_no_deep_stack(app: App) -> None:
    @app.job
    def count_down(n: int) -> None:
        if n:
            count_down.delay(n - 1)

    with testing.inline(app) as queue:
        count_down.delay(1500)
        queue.assert_succeeded(count_down, times=1501)


def test_many_calls_are_enqueued_and_then_run(app: App) -> None:
    ran: list[int] = []

    @app.job(retries=0)
    def note(n: int) -> None:
        ran.append(n)
        if n in (1, 3):
            raise ValueError(f"number {n}")

    with testing.inline(app) as queue:
        with pytest.raises(ValueError, match="number 1") as caught:
            note.delay_many([(n,) for n in range(5)])
        assert ran == [0, 1, 2, 3, 4]
        assert [text.split(",")[0].rpartition(".")[2] for text in caught.value.__notes__] == [
            "note(1)",
            "note(3)",
        ]
        queue.assert_succeeded(note, times=3)


def test_a_batch_runs_at_its_end(app: App) -> None:
    ran: list[int] = []

    @app.job
    def note(n: int) -> None:
        ran.append(n)

    with testing.inline(app):
        with app.batch():
            note.delay(1)
            note.options(ack="none").delay(2)
            note.delay_many([(3,)])
            assert ran == []
        assert ran == [1, 2, 3]


def test_calls_beside_one_that_is_too_large_run(app: App) -> None:
    ran: list[str] = []

    @app.job
    def note(text: str) -> None:
        ran.append(text)

    with testing.inline(app), pytest.raises(Exception, match="1 of 3 calls were not enqueued"):
        note.delay_many([("a",), ("x" * 3000,), ("b",)])
    assert ran == ["a", "b"]


def test_what_a_job_sets_in_its_context_stays_there(app: App) -> None:
    from contextvars import ContextVar

    var: ContextVar[str] = ContextVar("var", default="unset")
    seen: list[str] = []

    @app.job
    def tell() -> None:
        seen.append(var.get())
        var.set("job's")

    with testing.inline(app):
        var.set("test's")
        tell.delay()
    assert (seen, var.get()) == (["test's"], "test's")


def test_a_call_from_another_thread_is_run_by_whoever_is_at_it(app: App) -> None:
    ran: list[str] = []

    @app.job
    def outer() -> None:
        thread = threading.Thread(target=inner.delay)
        thread.start()
        thread.join()
        ran.append("outer")

    @app.job
    def inner() -> None:
        ran.append("inner")

    with testing.inline(app):
        outer.delay()
    assert ran == ["outer", "inner"]


def test_a_call_that_comes_at_the_last_moment_is_run(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    @app.job
    def note(text: str) -> None:
        ran.append(text)

    read, hurry = Log.read, iter(["last"])

    def read_while_another_enqueues(log: Log) -> list[StoredRecord]:
        records = read(log)
        if ran:
            for text in hurry:
                note.delay(text)
        return records

    monkeypatch.setattr(Log, "read", read_while_another_enqueues)
    with testing.inline(app):
        note.delay("first")
    assert ran == ["first", "last"]


def test_there_is_nothing_left_to_drain(app: App) -> None:
    @app.job
    def note() -> None: ...

    with testing.inline(app) as queue:
        note.delay()
        assert queue.drain() == Totals()
