"""The owner thread and the deferred store: long waits go there, and what is due comes from there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kjobs import BrokerError, Retry, current, events
from kjobs.core.commands import Defer, Erase
from kjobs.core.deferred import Row
from tests.worker.looping import HERE, Gate, Rig, declare
from tests.worker.owner import DEADLINE


@pytest.fixture
def rigs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Makes rigs, and ends their threads."""
    monkeypatch.setattr(events, "_subscribers", {})
    made: list[Rig] = []
    before = set(threading.enumerate())

    def make(**options: Any) -> Rig:
        made.append(Rig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.executor.stop()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("kjobs-"):
            thread.join(DEADLINE)


def delay(rig: Rig, name: str, job: str, key: str | None = None, *, seconds: float = 0.0) -> None:
    """Somebody delays a call."""
    due_ms = int((rig.clock.now() + seconds) * 1000)
    value = b'{"id":"%s","job":"%s"}' % (name.encode(), job.encode())
    row = Row(id=name, value=value, due_ms=due_ms, key=None if key is None else key.encode())
    rig.keeper._events += rig.keeper.memory.read(HERE, row)


def opened(rig: Rig) -> None:
    """Let the partition be this worker's."""
    rig.start()
    rig.assign()
    rig.until(lambda: rig.loop.scheduler.partitions[HERE].open)


def test_a_long_retry_waits_in_the_store_and_is_made(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    attempts: list[tuple[int, int]] = []

    @rig.app.job(name="retry")
    def retry() -> None:
        attempts.append((current().attempt, current().offset))
        if current().attempt == 1:
            raise Retry(delay="6h")

    opened(rig)
    heard: list[Any] = []
    events.subscribe(heard.append, events.CallRetried, events.CallDeferred)
    rig.feed(("k", "retry"))
    rig.until(lambda: rig.watermark() == 1)
    assert attempts == [(1, 0)]
    assert [type(event).__name__ for event in heard] == ["CallRetried", "CallDeferred"]
    assert rig.loop.scheduler.held == 0
    rig.clock.skip(6 * 3600 - 10)
    for _ in range(20):
        rig.loop.step()
    assert attempts == [(1, 0)], "never early"
    rig.clock.skip(10)
    rig.until(lambda: len(attempts) == 2)
    assert attempts[1] == (2, 0)
    rig.until(lambda: [type(c) for c in rig.keeper.heard if isinstance(c, Defer | Erase)] == [Defer, Erase])
    rig.until(lambda: not rig.loop.busy())


def test_what_is_due_goes_before_what_waits_for_a_slot(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=1)
    gate = Gate(rig.app, "wait")
    ran: list[str] = []

    @rig.app.job(name="do")
    def do() -> None:
        ran.append(current().id)

    opened(rig)
    rig.feed((None, "wait"), *[(None, "do")] * 50)
    rig.until(lambda: gate.began and rig.executor.waiting)
    delay(rig, "due", "do")
    rig.until(lambda: rig.executor.waiting > 50)
    gate.opened.set()
    rig.until(lambda: len(ran) == 51)
    assert ran[0] == "due"


def test_a_delayed_call_runs_at_its_time_and_not_before(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    ran = declare(rig.app)
    opened(rig)
    delay(rig, "x", "do", "k", seconds=3600)
    rig.clock.skip(3599)
    for _ in range(20):
        rig.loop.step()
    assert ran == []
    rig.clock.skip(1)
    rig.until(lambda: ran == ["do"])
    rig.until(lambda: rig.keeper.memory.find(HERE, "x") is None)


def test_a_dead_call_of_the_store_has_its_key_in_its_letter(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    declare(rig.app)
    opened(rig)
    delay(rig, "x", "die", "k")
    rig.until(lambda: rig.producer.sent)
    letter = rig.producer.sent[0]
    assert (letter.key, letter.partition, letter.headers["kj-id"]) == (b"k", 0, "x")
    rig.producer.sent[0].acknowledge()
    rig.until(lambda: rig.keeper.memory.find(HERE, "x") is None)


def test_a_partition_goes_when_the_store_has_what_it_was_given(rigs: Callable[..., Rig]) -> None:
    rig = rigs()

    @rig.app.job(name="retry")
    def retry() -> None:
        raise Retry(delay="6h")

    opened(rig)
    rig.keeper.frozen = True
    rig.feed(("k", "retry"))
    rig.until(lambda: any(isinstance(command, Defer) for command in rig.keeper.heard))
    assert rig.loop.busy()

    def thaw() -> None:
        rig.keeper.frozen = False

    threading.Timer(0.05, thaw).start()
    rig.loop.revoke([HERE])
    assert not rig.keeper.frozen
    assert rig.consumer.last_commits == [{HERE: 1}]


def test_a_worker_whose_store_cannot_go_on_ends(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    opened(rig)
    rig.keeper.failure = OSError("no space left")
    with pytest.raises(BrokerError, match="the deferred store cannot go on: no space left"):
        rig.until(lambda: False)


def test_clocks_that_are_far_apart_are_told_once(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    opened(rig)
    heard: list[events.ClocksApart] = []
    events.subscribe(heard.append, events.ClocksApart)
    rig.keeper.clock_offset = 4.0
    looks = rig.consumer.looks
    rig.until(lambda: rig.consumer.looks > looks + 3)
    assert heard == []
    rig.keeper.clock_offset = 40.0
    looks = rig.consumer.looks
    rig.until(lambda: rig.consumer.looks > looks + 3)
    assert [event.seconds for event in heard] == [-40.0]
