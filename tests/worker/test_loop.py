"""The owner thread with everything but Kafka: it never waits for a job, and lets partitions go in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
import pytest

from kjobs import Backoff, Discard, OutcomeUnknown, events
from kjobs.core.events import Lost
from kjobs.worker import loop as module
from kjobs.worker import overtime
from tests.worker.looping import HERE, THERE, Gate, Rig, declare
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


# --- working ------------------------------------------------------------------------------------------


def test_calls_run_and_are_committed(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed(*[("k", "do")] * 30, (None, "do"))
    rig.until(lambda: rig.watermark() == 31)
    assert ran == ["do"] * 31


def test_a_dead_call_passes_once_its_letter_is_acknowledged(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed(("k", "die"), ("k", "do"), ("other", "do"))
    rig.until(lambda: rig.producer.sent and "do" in ran)
    rig.until(lambda: rig.checkpoint().high == 3)
    assert (rig.watermark(), ran.count("do")) == (0, 1)
    rig.producer.sent[0].acknowledge()
    rig.until(lambda: rig.watermark() == 3)
    assert ran.count("do") == 2


def test_kafka_is_polled_while_every_slot_is_in_a_job(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=1)
    gate = Gate(rig.app, "wait")
    declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed((None, "wait"), *[(None, "do")] * 2000)
    rig.until(lambda: gate.began)
    polls = rig.consumer.polls
    rig.until(lambda: rig.consumer.polls > polls + 5)
    gate.opened.set()
    rig.until(lambda: rig.watermark() == 2001)


def test_what_happens_is_told(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    declare(rig.app)

    @rig.app.job(name="forget")
    def forget() -> None:
        raise Discard("old news")

    rig.start()
    heard: list[str] = []
    kinds = (
        events.PartitionsAssigned,
        events.LeaseExtended,
        events.OffsetsCommitted,
        events.CallDropped,
        events.BurialFailed,
        events.CallBuried,
        events.PartitionsRevoked,
    )
    events.subscribe(lambda event: heard.append(type(event).__name__), *kinds)
    rig.assign()
    rig.feed((None, "forget"), (None, "die"))
    rig.until(lambda: rig.producer.sent and "CallDropped" in heard)
    rig.producer.sent[0].acknowledge(OutcomeUnknown("no answer"))
    rig.until(lambda: "BurialFailed" in heard)
    rig.clock.skip(2)
    rig.until(lambda: len(rig.producer.sent) == 2)
    rig.producer.sent[1].acknowledge()
    rig.until(lambda: rig.watermark() == 2)
    rig.loop.revoke([HERE])
    assert set(heard) == {kind.__name__ for kind in kinds}
    assert (heard.count("CallBuried"), heard.count("CallDropped"), heard.count("BurialFailed")) == (1, 1, 1)


def test_it_is_looked_again_and_again_whether_the_topics_are_still_the_same(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    rig.start()
    rig.until(lambda: rig.consumer.looks >= 3)


# --- letting go ---------------------------------------------------------------------------------------


def test_a_partition_goes_when_what_ran_of_it_has_ended(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=1)
    gate = Gate(rig.app, "wait")
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed((None, "wait"), (None, "do"))
    rig.until(lambda: gate.began)
    threading.Timer(0.05, gate.opened.set).start()
    rig.loop.revoke([HERE])
    assert gate.opened.is_set()
    assert rig.consumer.last_commits == [{HERE: 1}]
    assert rig.checkpoint().clean
    assert ran == [], "nothing more began"


def test_a_partition_goes_after_a_while_whatever_still_runs(rigs: Callable[..., Rig]) -> None:
    rig = rigs(grace=0.05)
    gate = Gate(rig.app, "wait")
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed(("k", "wait"), ("k", "do"), ("other", "do"))
    rig.until(lambda: gate.began and ran)
    rig.loop.revoke([HERE])
    assert rig.consumer.last_commits == [{HERE: 0}]
    assert (rig.checkpoint().high, rig.checkpoint().unfinished, rig.checkpoint().clean) == (
        3,
        ((0, 2),),
        True,
    )
    # It comes back while the call still runs: its key waits for that, and then the call runs again.
    rig.assign()
    rig.feed(("k", "wait"), ("k", "do"), ("other", "do"), ("new", "do"))
    rig.until(lambda: len(ran) == 2)
    assert gate.began == 1
    gate.opened.set()
    rig.until(lambda: rig.watermark() == 4)
    assert gate.began == 2


class Slow(msgspec.Struct):
    """An argument that takes its time to be restored."""

    entered: ClassVar[threading.Event]
    opened: ClassVar[threading.Event]

    def __post_init__(self) -> None:
        self.entered.set()
        assert self.opened.wait(DEADLINE)


def test_an_async_call_that_never_began_locks_no_key_when_its_partition_comes_back(
    rigs: Callable[..., Rig],
) -> None:
    rig = rigs(async_slots=1, grace=0.2)
    ended, began = threading.Event(), list[str]()
    Slow.entered, Slow.opened = threading.Event(), threading.Event()

    @rig.app.job(name="hold")
    async def hold() -> None:
        began.append("hold")
        while not ended.is_set():
            await asyncio.sleep(0.001)

    @rig.app.job(name="next")
    async def following(it: Slow) -> None:
        began.append("next")

    rig.start()
    rig.assign()
    rig.assign(THERE)
    rig.feed(("a", "hold"))
    rig.until(lambda: began)
    rig.feed(("b", 'next","args":[{}],"x":"'), place=THERE)
    rig.until(Slow.entered.is_set)
    # The slot has taken the call, and hands it to the event loop, which has no room for it, only when
    # the partition is about to go.
    threading.Timer(0.05, Slow.opened.set).start()
    rig.loop.revoke([THERE])
    assert Slow.opened.is_set()
    rig.assign(THERE)
    rig.feed(("b", 'next","args":[{}],"x":"'), place=THERE)
    ended.set()
    rig.until(lambda: rig.watermark(THERE) == 1)
    assert began == ["hold", "next"]


def test_a_commit_of_what_stays_that_is_due_just_then_is_made_and_answered(
    rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs()
    declare(rig.app)
    rig.start()
    rig.assign()
    rig.assign(THERE)
    rig.until(lambda: all(partition.open for partition in rig.loop.scheduler.partitions.values()))
    # While the worker waits for what runs, it becomes time to commit the other partitions.
    monkeypatch.setattr(
        module, "failpoint", lambda place: rig.clock.skip(1.5) if place == "in-revoke" else None
    )
    rig.loop.revoke([THERE])
    assert rig.consumer.last_commits == [{THERE: 0}], "only what goes is worth waiting for"
    rig.feed((None, "do"))
    skipped = rig.clock.now()
    rig.until(lambda: rig.watermark() == 1)
    assert rig.clock.now() - skipped < 4, "it was not taken for a commit that is under way"


def test_without_a_word_of_the_group_nothing_is_committed_at_last(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    declare(rig.app)
    rig.start()
    rig.consumer.answering = False
    rig.assign()
    rig.feed((None, "do"))
    for _ in range(5):
        rig.loop.step()
    rig.loop.revoke([HERE])
    assert rig.consumer.last_commits == []


def test_what_was_lost_is_not_committed(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed((None, "do"))
    rig.until(lambda: rig.watermark() == 1)
    rig.loop.hear(Lost([HERE]))
    assert rig.consumer.last_commits == []
    assert rig.loop.scheduler.held == 0


def test_a_loop_that_stops_begins_nothing_and_is_busy_until_the_last_call_ends(
    rigs: Callable[..., Rig],
) -> None:
    rig = rigs(slots=1)
    gate = Gate(rig.app, "wait")
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed((None, "wait"), (None, "do"), (None, "do"))
    rig.until(lambda: gate.began)
    rig.loop.stop()
    for _ in range(20):
        rig.loop.step()
    assert rig.loop.busy()
    gate.opened.set()
    rig.until(lambda: not rig.loop.busy())
    assert ran == []
    rig.until(lambda: rig.watermark() == 1)


# --- calls that cannot be ended ---------------------------------------------------------------------


def stuck(rig: Rig) -> tuple[threading.Lock, list[str]]:
    """A job that hears of no exception while it waits for a lock; gives the lock, and what went on."""
    lock, went_on = threading.Lock(), list[str]()

    @rig.app.job(name="stuck", timeout=0.02, backoff=Backoff(base=3.0, jitter="none"))
    def stuck() -> None:
        with lock:
            went_on.append("stuck")

    return lock, went_on


def test_one_that_cannot_be_ended_counts_as_failed_and_nothing_else_begins(
    rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(overtime, "HARD", 0.05)
    rig = rigs(slots=2)
    (lock, _), gate, ran = stuck(rig), Gate(rig.app, "wait"), declare(rig.app)
    rig.start()
    rig.assign()
    with lock:
        rig.feed(("k", "stuck"), ("k", "do"), ("other", "wait"))
        rig.until(lambda: rig.loop.spoiled)
        assert rig.loop.busy(), "the other one runs"
        assert "after its job's timeout" in caplog.text
        assert "with lock:" in caplog.text
        rig.feed((None, "do"))
        gate.opened.set()
        rig.until(lambda: not rig.loop.busy())
        rig.until(lambda: rig.checkpoint().unfinished == ((0, 2),))
        assert [(trial.offset, trial.failures) for trial in rig.checkpoint().trials] == [(0, 1)]
        assert ran == []


def test_one_that_ends_after_it_was_given_up_changes_nothing(
    rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overtime, "HARD", 0.05)
    rig = rigs()
    lock, _ = stuck(rig)
    rig.start()
    rig.assign()
    with lock:
        rig.feed(("k", "stuck"))
        rig.until(lambda: rig.loop.spoiled)
    rig.until(lambda: rig.executor.starving and not rig.executor.awake)
    rig.until(lambda: rig.checkpoint().trials)
    assert [(trial.offset, trial.failures) for trial in rig.checkpoint().trials] == [(0, 1)]


def test_a_coroutine_that_will_not_be_cancelled_is_given_up(
    rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overtime, "HARD", 0.05)
    rig = rigs()
    ended = asyncio.Event()

    @rig.app.job(name="stubborn", timeout=0.02)
    async def stubborn() -> None:
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await ended.wait()

    rig.start()
    rig.assign()
    rig.feed((None, "stubborn"))
    rig.until(lambda: rig.loop.spoiled)
    assert not rig.loop.busy()


def test_one_that_ends_in_time_is_not_given_up(
    rigs: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overtime, "HARD", 0.0)
    rig = rigs()

    @rig.app.job(name="quick", timeout=DEADLINE)
    def quick() -> None: ...

    rig.start()
    rig.assign()
    rig.feed(*[(None, "quick")] * 20)
    rig.until(lambda: rig.watermark() == 20)
    assert not rig.loop.spoiled
