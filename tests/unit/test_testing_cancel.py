"""Taking delayed calls back in a user's tests: cancel, reschedule, and the same id once more."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from kjobs import App, Retry, current
from kjobs.core.deferred import Verdict
from kjobs.testing import Queue, Totals


def states(queue: Queue) -> list[str]:
    return [str(call.state) for call in queue.calls]


# --- taken back ---------------------------------------------------------------------------------------


def test_a_delayed_call_can_be_cancelled(queue: Queue, remind: Any, ran: list[Any]) -> None:
    handle = remind.options(delay="7d").delay("no")
    remind.options(delay="7d").delay("yes")
    verdict = handle.cancel()
    assert verdict is Verdict.CANCELLED
    assert verdict
    queue.drain()
    assert ran == ["yes"]
    assert queue.assert_dropped(remind, "no").why == "cancelled"
    assert handle.cancel() is Verdict.GONE


def test_a_call_without_a_delay_cannot_be_cancelled(queue: Queue, remind: Any, ran: list[Any]) -> None:
    handle = remind.delay("yes")
    assert handle.cancel() is Verdict.GONE
    queue.drain()
    assert handle.cancel() is Verdict.GONE
    assert ran == ["yes"]


def test_a_call_that_was_due_by_then_has_started(queue: Queue, remind: Any, ran: list[Any]) -> None:
    one = remind.options(delay="1h").delay("one")
    two = remind.options(delay="1h").delay("two")
    queue.clock.advance("1h")
    assert one.cancel() is Verdict.STARTED, "a worker would have begun it"
    assert two.reschedule(delay="1h") is Verdict.STARTED
    queue.drain(advance=False)
    assert ran == ["one", "two"]
    assert states(queue) == ["succeeded", "succeeded"]


def test_a_call_that_waits_for_a_long_retry_can_be_cancelled(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    handle = charge.delay("ann", 1, fails=1)
    charge.delay("ann", 2)
    queue.drain(advance=False)
    assert handle.cancel()
    queue.drain(advance=False)
    assert ran == [("ann", 1, 1), ("ann", 2, 1)], "what was behind it goes on at once"
    assert [(call.state, call.why) for call in queue.calls] == [("dropped", "cancelled"), ("succeeded", None)]


def test_an_answer_is_certain_however_much_waits_in_memory(app: App, queue: Queue) -> None:
    @app.job
    def retry(number: int) -> None:
        # More than fits into a worker's commit, but for one that is in the store.
        raise Retry(delay="6h" if number == 600 else number * 7919 % 29_989 / 1000)

    handles = retry.delay_many([(n,) for n in range(1200)])
    queue.drain(advance=False)
    assert handles[600].cancel() is Verdict.CANCELLED
    assert handles[601].cancel() is Verdict.GONE, "it waits in memory"


def test_a_job_can_cancel_another_call(app: App, queue: Queue, remind: Any, ran: list[Any]) -> None:
    verdicts: list[Verdict] = []
    handle = remind.options(delay="1h").delay("no")

    @app.job
    def paid() -> None:
        verdicts.append(handle.cancel())

    paid.delay()
    queue.drain()
    assert (verdicts, ran) == ([Verdict.CANCELLED], [])


def test_a_job_that_cancels_its_own_call_makes_its_last_attempt(app: App, queue: Queue) -> None:
    seen: list[Any] = []
    handles: list[Any] = []

    @app.job(retries=5)
    def stop() -> None:
        seen.append((current().attempt, handles[0].cancel(), current().cancelled))
        raise ConnectionError

    handles.append(stop.options(delay="1h").delay())
    assert queue.drain() == Totals(dropped=1)
    assert seen == [(1, Verdict.STARTED, True)]
    assert queue.calls[0].why == "cancelled while it ran"


def test_another_thread_may_cancel_while_calls_run(
    app: App, queue: Queue, remind: Any, ran: list[Any]
) -> None:
    handles = [remind.options(delay="1h").delay(str(n)) for n in range(20)]
    verdicts: list[Verdict] = []

    @app.job
    def look() -> None:
        thread = threading.Thread(target=lambda: verdicts.extend(handle.cancel() for handle in handles[::2]))
        thread.start()
        thread.join()

    look.delay()
    queue.drain()
    assert verdicts == [Verdict.CANCELLED] * 10
    assert ran == [str(n) for n in range(1, 20, 2)]


# --- at another time ------------------------------------------------------------------------------------


def test_a_delayed_call_can_be_moved_to_another_time(queue: Queue, remind: Any) -> None:
    start = queue.clock.now
    handle = remind.options(delay="7d").delay()
    assert handle.reschedule(at=start + timedelta(days=1)) is Verdict.MOVED
    assert queue.calls[0].due == start + timedelta(days=1)
    queue.drain()
    assert queue.clock.now == start + timedelta(days=1)


def test_a_new_delay_counts_from_the_clock_of_the_test(queue: Queue, remind: Any, ran: list[Any]) -> None:
    handle = remind.options(delay="300d").delay()
    queue.clock.advance("200d")
    assert handle.reschedule(delay="200d") is Verdict.MOVED
    queue.clock.advance("199d")
    assert queue.drain(advance=False) == Totals()
    queue.clock.advance("1d")
    assert queue.drain(advance=False) == Totals(done=1)


def test_a_call_may_be_moved_again_and_again(queue: Queue, remind: Any) -> None:
    start = queue.clock.now
    handle = remind.options(delay="1d").delay()
    for days in (5, 2, 9, 3):
        assert handle.reschedule(at=start + timedelta(days=days))
    queue.drain()
    assert queue.clock.now == start + timedelta(days=3)
    assert handle.reschedule(delay="1d") is Verdict.GONE


def test_a_call_that_is_moved_keeps_the_time_it_has_to_start(
    queue: Queue, remind: Any, ran: list[Any]
) -> None:
    handle = remind.options(delay="1d", expires="1h").delay("moved")
    assert handle.reschedule(delay="9d")
    queue.clock.advance("9d")
    queue.clock.advance("1h")
    queue.drain(advance=False)
    assert ran == ["moved"]
    handle = remind.options(delay="9d", expires="1h").delay("late")
    assert handle.reschedule(delay="1d")
    queue.clock.advance("1d")
    queue.clock.advance("2h")
    assert queue.drain(advance=False) == Totals(dropped=1)


def test_a_retry_that_is_far_can_be_made_at_once_but_loses_its_place(
    queue: Queue, charge: Any, ran: list[Any]
) -> None:
    handle = charge.delay("ann", 1, fails=1)
    charge.delay("ann", 2)
    queue.drain(advance=False)
    assert handle.reschedule(delay=0) is Verdict.MOVED
    queue.drain(advance=False)
    assert ran == [("ann", 1, 1), ("ann", 2, 1), ("ann", 1, 2)]


def test_a_job_may_put_its_reminder_off(app: App, queue: Queue, remind: Any, ran: list[Any]) -> None:
    start = queue.clock.now
    handle = remind.options(delay="1d").delay("reminder")

    @app.job
    def paid_in_part() -> None:
        assert handle.reschedule(delay="7d")

    paid_in_part.options(delay="12h").delay()
    queue.drain()
    assert ran == ["reminder"]
    assert queue.clock.now - start == timedelta(days=7, hours=12)


# --- the same id ----------------------------------------------------------------------------------------


def test_delaying_a_call_again_with_its_id_replaces_it(queue: Queue, remind: Any, ran: list[Any]) -> None:
    start = queue.clock.now
    remind.options(delay="1d", id="r-7").delay("first")
    remind.options(delay="3d", id="r-7").delay("second")
    assert queue.drain() == Totals(done=1)
    assert ran == ["second"]
    assert queue.clock.now - start == timedelta(days=3)
    assert [(call.state, call.why) for call in queue.calls] == [
        ("dropped", "replaced by a later one of the same id"),
        ("succeeded", None),
    ]


def test_the_same_id_in_another_queue_is_another_call(queue: Queue, remind: Any, ran: list[Any]) -> None:
    remind.options(delay="1d", id="r-7", queue="a").delay("one")
    remind.options(delay="1d", id="r-7", queue="b").delay("two")
    assert queue.drain() == Totals(done=2)
    assert states(queue) == ["succeeded", "succeeded"]


def test_a_call_that_runs_is_not_replaced(app: App, queue: Queue) -> None:
    seen: list[str] = []

    @app.job
    def renew(what: str) -> None:
        seen.append(what)
        if what == "first":
            renew.options(delay="1d", id="r-7").delay("second")

    renew.options(delay="1h", id="r-7").delay("first")
    assert queue.drain() == Totals(done=2)
    assert seen == ["first", "second"]
    assert states(queue) == ["succeeded", "succeeded"]
