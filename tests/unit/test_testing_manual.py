"""``testing.manual()``: calls wait, are recorded as they travel, and run when they are told to."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

import msgspec
import pytest

import kjobs
from kjobs import App, BatchError, CallTooLarge, current, events, testing
from kjobs.testing import State, Totals


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App(partitions=8, max_size=2000)


class Order(msgspec.Struct):
    """An argument that JSON has no type for."""

    number: UUID
    at: datetime


def test_a_call_waits_until_it_is_drained(app: App) -> None:
    ran: list[int] = []

    @app.job
    def note(n: int) -> None:
        ran.append(n)

    with testing.manual(app) as queue:
        assert_type(queue, testing.Queue)
        note.delay(7)
        assert ran == []
        assert queue.drain() == Totals(done=1)
        assert ran == [7]
        assert queue.drain() == Totals()
        assert ran == [7]


def test_a_recorded_call_says_how_it_was_enqueued(app: App) -> None:
    @app.job(name="shop.charge", queue="money", key="customer")
    def charge(customer: int, amount: int = 1) -> None: ...

    with testing.manual(app) as queue:
        handle = charge.options(headers={"traceparent": "00-1"}).delay(7, amount=3)
        [call] = queue.calls
        assert (call.id, call.job, call.args, call.kwargs) == (handle.id, "shop.charge", (7,), {"amount": 3})
        assert (call.key, call.queue, call.headers) == ("7", "money", {"traceparent": "00-1"})
        assert (call.partition, call.offset) == (handle.partition, handle.offset)
        assert (call.state, call.due, call.attempts, call.error, call.why) == ("waiting", None, 0, None, None)
        assert str(call) == "shop.charge(7, amount=3) key='7'"


def test_options_of_a_call_win_over_its_job(app: App) -> None:
    @app.job(queue="money", key="customer")
    def charge(customer: int) -> None: ...

    with testing.manual(app) as queue:
        handle = charge.options(queue="bulk", key="other", id="mine").delay(7)
        [call] = queue.calls
        assert (call.queue, call.key, call.id, handle.id) == ("bulk", "other", "mine", "mine")
        assert queue.drain() == Totals(done=1)


def test_arguments_go_through_the_wire_format(app: App) -> None:
    got: list[Any] = []
    order = Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC))

    @app.job
    def ship(order: Order, parts: Any) -> None:
        got.append((order, parts))

    with testing.manual(app) as queue:
        ship.delay(order, (1, 2))
        order.number = UUID(int=8)  # too late: the call is written
        sent = (Order(UUID(int=7), datetime(2026, 1, 2, tzinfo=UTC)), [1, 2])
        assert queue.calls[0].args == sent
        queue.drain()
        assert got == [sent]


def test_handles_tell_partition_and_offset(app: App) -> None:
    @app.job(key="n")
    def keyed(n: int) -> None: ...

    @app.job
    def keyless() -> None: ...

    with testing.manual(app):
        first, second = keyed.delay(7), keyed.delay(7)
        assert first.partition == second.partition
        assert (first.offset, second.offset) == (0, 1)
    with testing.manual(app):
        assert [keyless.delay().partition for _ in range(10)] == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]


def test_keys_go_where_kafkas_clients_send_them(app: App) -> None:
    @app.job(key="key")
    def keyed(key: str) -> None: ...

    with testing.manual(app):
        # From Kafka's own tests: murmur2("21") is -973932308, murmur2("abc") is 479470107.
        assert keyed.delay("21").partition == (-973932308 & 0x7FFFFFFF) % 8 == 4
        assert keyed.delay("abc").partition == 479470107 % 8 == 3


def test_queues_that_come_later_are_drained_too(app: App) -> None:
    @app.job
    def note() -> None: ...

    with testing.manual(app) as queue:
        for name in ("first", "second", "third"):
            note.options(queue=name).delay()
            assert queue.drain(advance=False) == Totals(done=1)


def test_ids_are_in_the_order_of_enqueueing_though_the_clock_stands_still(app: App) -> None:
    @app.job
    def note() -> None: ...

    with testing.manual(app) as queue:
        for _ in range(200):
            note.delay()
        ids = [call.id for call in queue.calls]
        assert ids == sorted(set(ids))
        assert all(UUID(call.id).version == 7 for call in queue.calls)


def test_calls_without_a_key_run_in_the_order_they_were_enqueued(app: App) -> None:
    ran: list[int] = []

    @app.job
    def note(n: int) -> None:
        ran.append(n)

    with testing.manual(app) as queue:
        note.delay_many([(n,) for n in range(30)])
        queue.drain()
    assert ran == list(range(30))


def test_calls_that_a_job_enqueues_are_drained_too(app: App) -> None:
    ran: list[int] = []

    @app.job
    def count_down(n: int) -> None:
        ran.append(n)
        if n:
            count_down.delay(n - 1)

    with testing.manual(app) as queue:
        count_down.delay(3)
        assert queue.drain() == Totals(done=4)
    assert ran == [3, 2, 1, 0]


def test_the_context_of_a_call_is_the_workers(app: App) -> None:
    seen: dict[str, Any] = {}

    @app.job(name="look", queue="eyes", key="n", retries=1, timeout="10s")
    def look(n: int) -> None:
        ctx = current()
        seen.update(id=ctx.id, job=ctx.job, queue=ctx.queue, key=ctx.key, attempt=ctx.attempt)
        seen.update(partition=ctx.partition, offset=ctx.offset, fence=tuple(ctx.fence), headers=ctx.headers)
        seen.update(enqueued_at=ctx.enqueued_at, deadline=ctx.deadline, cancelled=ctx.cancelled)
        if ctx.attempt == 1:
            raise ValueError

    with testing.manual(app) as queue:
        start = queue.clock.now
        handle = look.options(headers={"a": "b"}).delay(7)
        queue.drain()
        assert seen == {
            "id": handle.id,
            "job": "look",
            "queue": "eyes",
            "key": "7",
            "attempt": 2,
            "partition": handle.partition,
            "offset": 0,
            "fence": (1, 0),
            "headers": {"a": "b"},
            "enqueued_at": start,
            "deadline": queue.clock.now + timedelta(seconds=10),
            "cancelled": False,
        }


def test_there_is_no_current_call_after_one_ran(app: App) -> None:
    @app.job
    def note() -> None:
        current()

    with testing.manual(app) as queue:
        note.delay()
        queue.drain()
        queue.assert_succeeded(note)
        with pytest.raises(kjobs.NoCurrentCall):
            current()


def test_a_batch_is_enqueued_at_its_end(app: App) -> None:
    @app.job
    def note(n: int) -> None: ...

    with testing.manual(app) as queue:
        with app.batch():
            first = note.delay(1)
            note.delay_many([(2,), (3,)])
            assert (queue.calls, first.offset) == ([], None)
        assert [call.args for call in queue.calls] == [(1,), (2,), (3,)]
        assert first.offset == 0


def test_a_batch_that_raises_enqueues_nothing(app: App) -> None:
    @app.job
    def note(n: int) -> None: ...

    with testing.manual(app) as queue:
        with pytest.raises(ZeroDivisionError), app.batch():
            note.delay(1)
            raise ZeroDivisionError
        assert queue.calls == []
        note.delay(2)
        queue.assert_enqueued(note, 2, times=1)


def test_an_inner_batch_is_sent_with_the_outer_one(app: App) -> None:
    @app.job
    def note(n: int) -> None: ...

    with testing.manual(app) as queue:
        with app.batch():
            with app.batch():
                note.delay(1)
            assert queue.calls == []
        queue.assert_enqueued(note, 1, times=1)


def test_a_call_that_is_not_waited_for_is_recorded_as_any_other(app: App) -> None:
    @app.job
    def note() -> None: ...

    with testing.manual(app) as queue:
        handle = note.options(ack="none").delay()
        assert handle.offset == 0
        queue.drain()
        queue.assert_succeeded(note)


def test_what_is_wrong_with_arguments_is_told_when_they_are_enqueued(app: App) -> None:
    @app.job
    def note(n: int) -> None: ...

    with testing.manual(app) as queue:
        with pytest.raises(kjobs.ArgumentError, match="is missing 1 argument: n"):
            note.delay()  # type: ignore[call-arg]
        with pytest.raises(kjobs.ArgumentError, match="Expected `int`, got `str`"):
            note.delay("7")  # type: ignore[arg-type]
        assert queue.calls == []


def test_a_call_that_is_too_large_is_refused(app: App) -> None:
    @app.job
    def note(text: str) -> None: ...

    large = "x" * 3000
    with testing.manual(app) as queue:
        with pytest.raises(CallTooLarge, match="max_size allows 2,000"):
            note.delay(large)
        with pytest.raises(BatchError) as refused:
            note.delay_many([("a",), (large,), ("b",)])
        assert [position for position, _ in refused.value.failures] == [1]
        assert [handle.offset is None for handle in refused.value.handles] == [False, True, False]
        with pytest.raises(CallTooLarge), app.batch():
            note.delay(large)
        assert [call.args for call in queue.calls] == [("a",), ("b",)]


def test_jobs_and_middleware_may_come_after_the_queue(app: App) -> None:
    ran: list[str] = []

    def noisy(context: kjobs.Context, call_next: Any) -> Any:
        ran.append(f"before {context.job}")
        return call_next()

    with testing.manual(app) as queue:

        @app.job(name="late")
        def late() -> None:
            ran.append("late")

        late.delay()
        queue.drain()
        app.middleware.append(noisy)
        late.delay()
        queue.drain()
    assert ran == ["late", "before late", "late"]


def test_subscribers_hear_of_what_happens(app: App) -> None:
    heard: list[events.Event] = []
    kinds = (events.CallStarted, events.CallRetried, events.CallBuried, events.CallEnded)
    unsubscribe = events.subscribe(heard.append, *kinds)

    @app.job(retries=1)
    def fail() -> None:
        raise ValueError("no")

    try:
        with testing.manual(app) as queue:
            fail.delay()
            queue.drain()
    finally:
        unsubscribe()
    names = [type(event).__name__ for event in heard]
    started = ["CallStarted", "CallEnded"]
    assert names == [*started, "CallRetried", *started, "CallBuried"]


def test_a_job_that_takes_too_long_is_stopped(app: App) -> None:
    @app.job(timeout="10ms", retries=1)
    def hang() -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            pass

    with testing.manual(app) as queue:
        hang.delay()
        queue.drain()
        assert queue.assert_dead(hang, error="longer than the job's timeout").attempts == 2
    assert "kjobs-testing-limits" not in {thread.name for thread in threading.enumerate()}


def test_a_thread_may_enqueue(app: App) -> None:
    @app.job(key="n")
    def note(n: int) -> None: ...

    with testing.manual(app) as queue:
        threads = [threading.Thread(target=note.delay, args=(n % 3,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        places = [(call.partition, call.offset) for call in queue.calls]
        assert len(set(places)) == 12
        assert queue.drain() == Totals(done=12)


def test_a_job_cannot_drain_the_queue_it_runs_from(app: App) -> None:
    @app.job(retries=0)
    def greedy() -> None:
        queue.drain()

    with testing.manual(app) as queue:
        greedy.delay()
        queue.drain()
        queue.assert_dead(greedy, error=testing.Misuse)
        greedy.delay()
        assert queue.drain() == Totals(failed=1, dead=1)


def test_calls_without_an_end_are_noticed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kjobs.testing.stepper.MOST_ATTEMPTS", 50)

    @app.job(name="again")
    def again() -> None:
        again.delay()

    with testing.manual(app) as queue:
        again.delay()
        with pytest.raises(testing.Misuse, match=r"50 attempts were made .* of late again\(\)"):
            queue.drain()
        assert queue.assert_succeeded(again, times=50).state is State.SUCCEEDED


def test_what_is_raised_for_the_test_reaches_it(app: App) -> None:
    impatient = True

    @app.job
    def interrupted() -> None:
        if impatient:
            raise KeyboardInterrupt

    @app.job
    def skipping() -> None:
        pytest.skip("not here")

    with testing.manual(app) as queue:
        interrupted.delay()
        with pytest.raises(KeyboardInterrupt):
            queue.drain()
        assert (queue.calls[0].state, queue.calls[0].attempts) == ("waiting", 0)
        impatient = False
        assert queue.drain() == Totals(done=1)
        skipping.delay()
        with pytest.raises(pytest.skip.Exception):
            queue.drain()


def test_a_job_that_exits_has_failed(app: App) -> None:
    @app.job(retries=0)
    def leave() -> None:
        raise SystemExit(3)

    with testing.manual(app) as queue:
        leave.delay()
        queue.drain()
        queue.assert_dead(leave, error=SystemExit)


def test_a_call_of_a_job_that_is_gone_is_a_dead_letter(app: App) -> None:
    @app.job(name="old")
    def old(n: int) -> None: ...

    with testing.manual(app) as queue:
        old.delay(7)
        del app.jobs["old"]
        old.delay(8)
        queue.drain()
        assert [dead.reason for dead in queue.dead] == ["unknown-job", "unknown-job"]
        assert queue.calls[1].args == (8,)
        assert queue.calls[0].attempts == 0


def test_a_call_whose_job_has_other_parameters_by_now_is_a_dead_letter(app: App) -> None:
    @app.job(name="job")
    def note(n: int) -> None: ...

    def changed(text: str) -> None: ...

    with testing.manual(app) as queue:
        note.delay(7)
        del app.jobs["job"]
        app.job(name="job")(changed)
        note.delay(8)
        queue.drain()
        assert [dead.reason for dead in queue.dead] == ["bad-arguments", "bad-arguments"]
        assert [call.args for call in queue.calls] == [(7,), (8,)]
