"""The frozen clock, and delays by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import App, current, testing
from kjobs.testing import FrozenClock, Totals


@pytest.fixture
def app() -> App:
    """An app of the test's own, so that tests do not share jobs."""
    return App()


def test_the_clock_starts_at_the_present_and_stands_still() -> None:
    before = datetime.now(UTC)
    clock = FrozenClock()
    assert before - timedelta(milliseconds=1) <= clock.now <= datetime.now(UTC)
    now = clock.now
    until = time.monotonic() + 0.003
    while time.monotonic() < until:
        pass
    assert clock.now == now
    assert now.microsecond % 1000 == 0


@pytest.mark.parametrize(
    ("length", "seconds"), [("5m", 300), (1.5, 1.5), (timedelta(days=2), 172_800), ("250ms", 0.25), (0, 0)]
)
def test_the_clock_advances_by_any_duration(length: str | float | timedelta, seconds: float) -> None:
    clock = FrozenClock()
    start = clock.now
    clock.advance(length)
    assert clock.now - start == timedelta(seconds=seconds)
    assert repr(clock) == f"<FrozenClock at {clock.now.isoformat()}>"


def test_the_clock_does_not_go_back() -> None:
    clock = FrozenClock()
    now = clock.now
    with pytest.raises(ValueError, match="zero or more"):
        clock.advance(-1)
    clock.reach(clock.instant - 5)
    assert clock.now == now


@given(st.integers(1_700_000_000_000, 2_500_000_000_000), st.lists(st.integers(0, 100_000), max_size=20))
def test_the_clock_hits_every_millisecond_it_is_sent_to(due: int, waits: list[int]) -> None:
    clock = FrozenClock()
    clock.reach(due / 1000)
    target = max(due, clock.milliseconds)
    # As the invoker asks, and as the scheduler does: a clock just short of it would never get there.
    assert due <= clock.instant * 1000
    assert due / 1000 <= clock.instant
    for wait in waits:
        clock.advance(wait / 1000)
        target += wait
        assert clock.milliseconds == target
        assert clock.instant * 1000 >= target


def test_a_delayed_call_starts_at_its_time(app: App) -> None:
    started: list[datetime] = []

    @app.job
    def remind() -> None:
        started.append(queue.clock.now)

    with testing.manual(app) as queue:
        start = queue.clock.now
        handle = remind.options(delay="20s").delay()
        assert handle.due == start + timedelta(seconds=20) == queue.calls[0].due
        assert queue.drain(advance=False) == Totals()
        assert queue.calls[0].state == "waiting"
        queue.clock.advance("19999ms")
        assert queue.drain(advance=False) == Totals()
        queue.clock.advance("1ms")
        assert queue.drain(advance=False) == Totals(done=1)
        assert started == [start + timedelta(seconds=20)]


def test_draining_skips_to_delayed_calls_in_the_order_of_their_times(app: App) -> None:
    ran: list[tuple[str, timedelta]] = []

    @app.job
    def remind(what: str) -> None:
        ran.append((what, queue.clock.now - start))

    with testing.manual(app) as queue:
        start = queue.clock.now
        remind.options(delay="20s").delay("late")
        remind.options(at=queue.clock.now + timedelta(seconds=5)).delay("early")
        remind.delay("now")
        queue.drain()
    assert ran == [
        ("now", timedelta(0)),
        ("early", timedelta(seconds=5)),
        ("late", timedelta(seconds=20)),
    ]


def test_calls_are_enqueued_at_the_clocks_time(app: App) -> None:
    seen: list[datetime] = []

    @app.job
    def look() -> None:
        seen.append(current().enqueued_at)

    with testing.manual(app) as queue:
        queue.clock.advance("30d")
        look.delay()
        at = queue.clock.now
        queue.clock.advance("1d")
        queue.drain()
    assert seen == [at]
    assert at - datetime.now(UTC) > timedelta(days=29)


def test_the_expiry_of_a_delayed_call_counts_from_its_time(app: App) -> None:
    @app.job
    def remind() -> None: ...

    with testing.manual(app) as queue:
        remind.options(delay="20s", expires="5s").delay()
        queue.clock.advance("25s")
        assert queue.drain() == Totals(done=1)
        remind.options(delay="20s", expires="5s").delay()
        queue.clock.advance("26s")
        assert queue.drain() == Totals(dropped=1)


def test_a_job_may_let_time_pass(app: App) -> None:
    @app.job
    def slow() -> None:
        queue.clock.advance("1h")

    with testing.manual(app) as queue:
        start = queue.clock.now
        slow.delay()
        queue.drain()
        assert queue.clock.now - start == timedelta(hours=1)
