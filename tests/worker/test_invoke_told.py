"""What is told of every attempt, to those who asked for it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kjobs import events
from tests.worker.invoking import Bench, call_of, entry_of
from tests.worker.owner import DEADLINE


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this test's subscribers."""
    monkeypatch.setattr(events, "_subscribers", {})
    return


# --- what is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["j", "a"])
def test_start_and_end_are_told_to_who_asked_before_the_worker_started(bench: Bench, name: str) -> None:
    @bench.app.job(name="j")
    def job(n: int) -> None:
        _ = 1 // n

    @bench.app.job(name="a")
    async def later(n: int) -> None:
        _ = 1 // n

    heard: list[Any] = []
    events.subscribe(heard.append, events.CallStarted, events.CallEnded)
    bench.take(entry_of(call_of(name, 1), key=b"k", failures=2))
    bench.take(entry_of(call_of(name, 0)))
    kinds = [(type(event).__name__, event.attempt, getattr(event, "result", None)) for event in heard]
    assert kinds == [
        ("CallStarted", 3, None),
        ("CallEnded", 3, "succeeded"),
        ("CallStarted", 1, None),
        ("CallEnded", 1, "failed"),
    ]
    first = heard[0]
    assert (first.id, first.job, first.queue, first.key) == ("call-1", name, "mail", "k")
    assert (first.partition, first.offset, first.epoch) == (3, 17, 1)
    assert 0 <= heard[1].seconds < DEADLINE


def test_start_and_end_are_debug_lines(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    @bench.app.job(name="mail.send")
    def job() -> None: ...

    with caplog.at_level(logging.DEBUG, "kjobs.call"):
        bench.take(entry_of(call_of("mail.send"), key=b"7"))
    started, ended = caplog.records
    assert {line.levelname for line in caplog.records} == {"DEBUG"}
    assert started.getMessage() == "mail.send call-1 key='7' started"
    assert ended.getMessage().startswith("mail.send call-1 key='7' succeeded in ")
    common = {"call_id": "call-1", "job": "mail.send", "queue": "mail", "key": "7", "attempt": 1}
    for line, name in ((started, "call.started"), (ended, "call.ended")):
        assert line.__dict__["event"] == name
        assert common.items() <= line.__dict__.items()
    assert ended.__dict__["result"] == "succeeded"


def test_without_anybody_who_listens_nothing_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    @bench.app.job(name="j")
    def job() -> None: ...

    with caplog.at_level(logging.INFO, "kjobs.call"):
        bench.run("j")
    assert caplog.records == []
