"""Delayed calls and long retries on the embedded broker, which cannot compact and keeps little."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kjobs import Handle, QueueFull
from kjobs.admin.delayed import DelayedCalls
from kjobs.admin.delayedcall import State
from kjobs.admin.delayedfilter import DelayedFilter
from kjobs.core.deferred import Verdict
from kjobs.kafka.embedded import EmbeddedBroker
from kjobs.kafka.embedded.accounts import ROOM, SPARED_BY_CALLS
from tests.admin.waiting_room import WaitingRoom
from tests.patience import until

#: Bytes of a large call; random, so that nothing could compress it.
SIZE = 40_000
FILLING = random.Random(3).randbytes(SIZE)
#: What calls may take of the one partition.
CAP = ROOM - SPARED_BY_CALLS


@pytest.fixture
def room(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[WaitingRoom]:
    """A queue of one partition on a broker of its own."""
    made = WaitingRoom(
        broker.bootstrap, "small", tmp_path, lambda name, _: broker.create_topic(name, 1), enqueue_timeout=2
    )
    yield made
    made.close()


def fill(room: WaitingRoom, most: int = 1000) -> list[Handle]:
    """Delay large calls by an hour until there is no room for more."""
    handles: list[Handle] = []
    while len(handles) < most:
        try:
            handles.append(room.send.options(delay="1h", headers={"filling": FILLING}).delay(0))
        except QueueFull:
            break
    return handles


def test_a_delayed_call_runs_once(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        handle = room.send.options(delay=0.5).delay(1)
        assert [call.id for call in calls.list()] == [handle.id]
        room.have_run(1)
        until(lambda: not calls.count(), "it waits no more", told=room.said)
        assert handle.cancel() is Verdict.GONE
    assert room.ran() == {1: 1}


def test_a_long_call_goes_on_where_it_was(room: WaitingRoom, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with room.worker():
        room.climb.delay(10, "k", str(gate))
        room.order.delay(1, "k")
        room.have_run(10, 11)
    assert room.ran() == {10: 1, 11: 1}, "its key waits"
    gate.touch()
    with room.worker():
        room.have_run(1)
    assert room.ran() == {10: 1, 11: 1, 12: 1, 13: 1, 1: 1}


def test_what_waited_when_a_worker_stopped_runs_under_the_next(room: WaitingRoom) -> None:
    with room.worker():
        room.order.options(delay="1h").delay(1, "k")
        sooner = room.order.options(delay="1h").delay(2, "k")
        assert sooner.reschedule(delay=3) is Verdict.MOVED
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        room.have_run(2)
        until(lambda: calls.count() == 1, "the other one waits", told=room.said)
    assert room.ran() == {2: 1}


def test_a_long_retry_holds_its_key_and_lets_it_go_when_it_is_cancelled(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        failed = room.fail.delay(1, "k")
        room.have_run(-1)
        room.order.delay(2, "k")
        room.order.delay(3, "another")
        room.have_run(3)
        until(lambda: calls.count() == 2, "both wait", told=room.said)
        assert [call.state for call in calls.list()] == [State.RETRYING, State.PARKED]
        assert failed.cancel() is Verdict.CANCELLED
        room.have_run(2)
    assert room.ran() == {-1: 1, 3: 1, 2: 1}


def test_a_cancelled_call_never_runs(room: WaitingRoom) -> None:
    with room.worker():
        told = []
        for number in range(1, 40):
            handle = room.send.options(delay=0.01).delay(number)
            told.append((number, handle.cancel()))
        room.send.options(delay=0.5).delay(0)
        room.have_run(0)
    ran = room.ran()
    assert all(not ran[number] for number, verdict in told if verdict)
    assert all(ran[number] == 1 for number, verdict in told if not verdict), told


def test_a_full_log_takes_no_more_and_loses_nothing(room: WaitingRoom) -> None:
    handles = fill(room)
    assert CAP - 2 * SIZE < len(handles) * SIZE < CAP
    with DelayedCalls(room.app, "mail") as calls:
        assert calls.survey().calls == len(handles)
        with room.worker():  # which gets to know all of them
            assert handles[0].cancel() is Verdict.CANCELLED  # there is room for what makes room
            assert handles[-1].reschedule(delay=0) is Verdict.MOVED
            room.have_run(0)
            until(lambda: calls.count() == len(handles) - 2, "all others wait", told=room.said)


def test_calls_that_have_ended_make_room(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        before = fill(room)
        outcome = calls.cancel(DelayedFilter(job="mail.send"))
        assert outcome.verdicts == {Verdict.CANCELLED: len(before)}
        room.shop.configure(enqueue_timeout=20)
        again = fill(room, most=len(before))
        assert len(again) == len(before)
        assert calls.count() == len(again)


def test_one_that_waits_for_long_does_not_keep_what_comes_after_it(room: WaitingRoom) -> None:
    room.shop.configure(enqueue_timeout=20)
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        long = [room.send.options(delay="1h", id=f"long{n}").delay(0) for n in range(3)]
        count = 3 * CAP // SIZE
        for number in range(1, count + 1):
            room.send.options(delay=0.01, headers={"filling": FILLING}).delay(number)
        room.have_run(*range(1, count + 1))
        until(lambda: calls.count() == len(long), "the others are through", told=room.said)
        assert {call.id for call in calls.list()} == {handle.id for handle in long}
        assert {call.due for call in calls.list()} == {handle.due for handle in long}
        assert [handle.cancel() for handle in long] == [Verdict.CANCELLED] * 3
        assert calls.count() == 0
    assert room.ran() == dict.fromkeys(range(1, count + 1), 1)


def test_long_retries_that_find_no_room_wait_and_push_nothing_out(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        first = room.send.options(delay="1h").delay(0)
        count = CAP // SIZE + 10
        for number in range(1, count + 1):
            room.fail.options(headers={"filling": FILLING}).delay(number, f"k{number}")
        room.have_run(*(-number for number in range(1, count + 1)))
        until(lambda: "could not be written" in room.said(), "there is no more room", told=room.said)
        assert calls.find(first.id)
        retrying = DelayedFilter(job="mail.fail")
        stored = calls.count(retrying)
        assert stored < count
        cancelled = calls.cancel(retrying).of(Verdict.CANCELLED)
        assert cancelled >= stored
        until(lambda: calls.count(retrying) == count - cancelled, "the others follow", told=room.said)
        assert calls.find(first.id)[0].due == first.due
    assert room.ran() == {-number: 1 for number in range(1, count + 1)}
