"""Events: who hears what, and that nobody's trouble is another's."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kjobs import events
from kjobs.events import CallBuried, CallDropped, Event, WorkerReady, WorkerStopped, emit, subscribe, wanted


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this test's subscribers."""
    monkeypatch.setattr(events, "_subscribers", {})
    return


DROPPED = CallDropped("i", "j", "q", None, 0, 0, 1, 1, why="old")


def test_a_subscriber_hears_the_kinds_it_asked_for() -> None:
    heard: list[Any] = []
    subscribe(heard.append, CallDropped, WorkerStopped)
    for event in (DROPPED, WorkerReady(), WorkerStopped(0)):
        emit(event)
    assert heard == [DROPPED, WorkerStopped(0)]


def test_all_subscribers_hear_in_the_order_they_came() -> None:
    heard: list[str] = []
    subscribe(lambda event: heard.append("one"), WorkerReady)
    subscribe(lambda event: heard.append("two"), WorkerReady)
    emit(WorkerReady())
    assert heard == ["one", "two"]


def test_who_unsubscribed_hears_nothing_any_more() -> None:
    heard: list[Any] = []
    other: list[Any] = []
    end = subscribe(heard.append, WorkerReady, WorkerStopped)
    subscribe(other.append, WorkerReady)
    end()
    end()
    emit(WorkerReady())
    emit(WorkerStopped(0))
    assert (heard, other) == ([], [WorkerReady()])


def test_a_subscriber_may_end_itself_while_it_is_told() -> None:
    heard: list[str] = []

    def once(event: Event) -> None:
        heard.append("once")
        end()

    end = subscribe(once, WorkerReady)
    subscribe(lambda event: heard.append("always"), WorkerReady)
    emit(WorkerReady())
    emit(WorkerReady())
    assert heard == ["once", "always", "always"]


def test_a_failing_subscriber_is_logged_and_breaks_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def fail(event: Event) -> None:
        raise RuntimeError("no room")

    subscribe(fail, WorkerReady)
    subscribe(heard.append, WorkerReady)
    with caplog.at_level(logging.ERROR, "kjobs"):
        emit(WorkerReady())
    assert heard == [WorkerReady()]
    (line,) = caplog.records
    assert (line.levelname, line.getMessage()) == ("ERROR", "a subscriber of WorkerReady failed")
    assert line.__dict__["event"] == "subscriber.failed"
    assert line.exc_info is not None
    assert str(line.exc_info[1]) == "no room"


def test_whether_anybody_listens_is_known() -> None:
    assert not wanted(WorkerReady)
    end = subscribe(lambda event: None, WorkerReady)
    assert wanted(WorkerReady)
    assert not wanted(WorkerStopped)
    end()
    assert not wanted(WorkerReady)


def test_an_event_cannot_be_changed_by_who_hears_it() -> None:
    with pytest.raises(AttributeError):
        DROPPED.why = "new"  # type: ignore[misc]


def test_events_about_calls_all_say_which_call() -> None:
    of_calls = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.CallEvent)
    ]
    assert CallBuried in of_calls
    for kind in of_calls:
        assert kind.__struct_fields__[:8] == (
            "id",
            "job",
            "queue",
            "key",
            "partition",
            "offset",
            "attempt",
            "epoch",
        )
