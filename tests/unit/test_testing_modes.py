"""What ``testing`` puts in place of Kafka, and that it is gone afterwards."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest

import kjobs
from kjobs import App, testing
from kjobs.testing import Misuse


def of_mode(mode: str, app: App | None = None) -> AbstractContextManager[testing.Queue]:
    """A queue of either mode."""
    return testing.inline(app) if mode == "inline" else testing.manual(app)


both = pytest.mark.parametrize("mode", ["inline", "manual"])


@both
def test_everything_is_as_before_at_the_end(mode: str) -> None:
    app = App()
    sender, before = app.sender, dict(vars(app))
    with of_mode(mode, app):
        assert app.sender is not sender
    assert app.sender is sender
    assert vars(app).keys() == before.keys()
    _, now_ms = app.new_id()
    assert abs(datetime.fromtimestamp(now_ms / 1000, UTC) - datetime.now(UTC)) < timedelta(minutes=1)


@both
def test_also_if_the_test_fails(mode: str) -> None:
    app = App()
    sender = app.sender
    with pytest.raises(ZeroDivisionError), of_mode(mode, app):
        raise ZeroDivisionError
    assert app.sender is sender
    assert "new_id" not in vars(app)


@both
def test_the_default_app_is_meant_if_none_is_given(mode: str) -> None:
    sender = kjobs.default_app.sender
    with of_mode(mode):
        assert kjobs.default_app.sender is not sender
        with kjobs.batch():
            pass
    assert kjobs.default_app.sender is sender


@both
@pytest.mark.parametrize("outer", ["inline", "manual"])
def test_one_inside_another_is_refused(outer: str, mode: str) -> None:
    app = App()
    sender = app.sender
    with of_mode(outer, app):
        inner = app.sender
        expected = rf"testing\.{mode}\(\): the calls of this app go to a testing\.{outer}\(\) already"
        with pytest.raises(Misuse, match=expected), of_mode(mode, app):
            pass
        assert app.sender is inner
    assert app.sender is sender


def test_two_apps_have_a_queue_each() -> None:
    here, there = App(), App()

    @here.job
    def from_here() -> None:
        to_there.delay()

    @there.job
    def to_there() -> None: ...

    with testing.manual(here) as first, testing.manual(there) as second:
        from_here.delay()
        first.drain()
        second.assert_enqueued(to_there)
        assert len(first.calls) == len(second.calls) == 1


def test_queues_do_not_know_each_others_calls() -> None:
    app = App()

    @app.job(key="n")
    def note(n: int) -> None: ...

    with testing.manual(app) as first:
        note.delay(7)
    with testing.manual(app) as second:
        assert note.delay(7).offset == 0
        second.drain()
    assert first.calls[0].state == "waiting"


def test_at_the_end_the_calls_can_be_looked_at_but_not_run() -> None:
    app = App()

    @app.job
    def note() -> None: ...

    with testing.manual(app) as queue:
        note.delay()
    queue.assert_enqueued(note)
    assert repr(queue) == "<Queue with 1 calls, 0 of them dead>"
    with pytest.raises(Misuse, match="the with block of this queue has ended"):
        queue.drain()


def test_closing_the_app_does_no_harm() -> None:
    app = App()

    @app.job
    def note() -> None: ...

    with testing.manual(app) as queue:
        app.close()
        note.delay()
        queue.assert_enqueued(note)


def test_a_direct_call_is_an_ordinary_one() -> None:
    app = App()

    @app.job
    def double(n: int) -> int:
        return 2 * n

    with testing.manual(app) as queue:
        assert double(4) == 8
        assert queue.calls == []
