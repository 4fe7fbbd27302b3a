"""Delayed calls on a real Kafka, with a real worker: looked at, cancelled, given another time."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kjobs import Handle
from kjobs.admin.delayed import DelayedCalls, DelayedOutcome
from kjobs.admin.delayedcall import State
from kjobs.admin.delayedfilter import DelayedFilter
from kjobs.core.deferred import Verdict
from kjobs.core.partitioner import partition_of
from kjobs.core.topics import Topic
from kjobs.errors import BrokerError, EnqueueRefused, UnknownQueue
from kjobs.handle import row_id
from kjobs.kafka.producer import Producer
from tests.admin.waiting_room import WaitingRoom
from tests.patience import until

#: Calls whose cancelling races with their beginning, by each of some threads.
RACES = 60
THREADS = 4


def named(*handles: Handle) -> DelayedFilter:
    """A filter for these calls."""
    return DelayedFilter(ids=frozenset(handle.id for handle in handles))


# --- looking ---------------------------------------------------------------------------------------


def test_a_delayed_call_is_listed_as_it_was_enqueued(room: WaitingRoom) -> None:
    handle = room.order.options(delay="1h", expires="5m", headers={"traceparent": "00-1"}).delay(7, "k")
    with DelayedCalls(room.app, "mail") as calls:
        (call,) = calls.list()
        assert calls.find(handle.id) == [call]
        assert calls.find(call.place) == [call]
    assert (call.id, call.job, call.queue, call.key) == (handle.id, "mail.order", "mail", "k")
    assert (call.partition, call.offset) == (handle.partition, handle.offset)
    assert (call.due, call.state, call.attempts) == (handle.due, State.SCHEDULED, 0)
    assert call.due is not None
    assert call.expires == call.due + timedelta(minutes=5)
    assert call.enqueued_at == call.due - timedelta(hours=1)
    assert (call.args, call.kwargs) == ([7, "k"], {})
    assert call.headers == [("traceparent", b"00-1")]


def test_calls_are_found_wherever_they_are(room: WaitingRoom) -> None:
    free = room.send.options(delay="1h").delay_many([(n,) for n in range(20)])
    keyed = room.order.options(delay="1h").delay_many([(n, f"k{n}") for n in range(20)])
    assert {handle.partition for handle in keyed} == {0, 1, 2}
    assert any(partition_of(handle.id.encode(), 3) != handle.partition for handle in keyed)
    with DelayedCalls(room.app, "mail") as calls:
        for handle in (*free, *keyed):
            (call,) = calls.find(handle.id)
            assert (call.id, call.partition) == (handle.id, handle.partition)
        assert calls.find("nobody") == ()
        assert calls.find("7@0") == ()


def test_a_call_put_in_again_with_its_id_and_key_replaces_the_one_that_waits(room: WaitingRoom) -> None:
    room.order.options(delay="1h", id="mine").delay(1, "k")
    again = room.order.options(delay="2h", id="mine").delay(2, "k")
    with DelayedCalls(room.app, "mail") as calls:
        (call,) = calls.list()
    assert (call.due, call.args) == (again.due, [2, "k"])


def test_a_survey_counts_by_job_and_state_and_knows_the_first_and_the_last(room: WaitingRoom) -> None:
    handles = [room.send.options(delay=f"{n}h").delay(n) for n in (3, 1, 2)]
    past = room.order.options(at=datetime.now(UTC) - timedelta(seconds=5)).delay(9, "k")
    with DelayedCalls(room.app, "mail") as calls:
        survey = calls.survey()
        assert survey.calls == calls.count() == 4
        assert survey.kinds == {("mail.send", State.SCHEDULED): 3, ("mail.order", State.SCHEDULED): 1}
        assert (survey.soonest, survey.latest, survey.overdue) == (past.due, handles[0].due, 1)
        hour = datetime.now(UTC) + timedelta(hours=1.5)
        assert [call.id for call in calls.list(DelayedFilter(due_after=hour))] == [
            handles[2].id,
            handles[0].id,
        ]
        assert [call.id for call in calls.list(DelayedFilter(due_before=hour))] == [past.id, handles[1].id]


def test_a_long_retry_and_what_is_parked_behind_it_are_told_apart(room: WaitingRoom) -> None:
    with room.worker():
        room.send.options(delay="1h").delay(1)
        failed = room.fail.delay(2, "k")
        room.have_run(-2)
        behind = room.order.delay(3, "k")
        with DelayedCalls(room.app, "mail") as calls:
            until(lambda: calls.count() == 3, "the store has all three", told=room.said)
            states = {call.id: call for call in calls.list()}
            (found,) = calls.find(failed.id)
    retrying, parked = states[failed.id], states[behind.id]
    assert found == retrying
    assert (retrying.state, retrying.attempts) == (State.RETRYING, 1)
    assert retrying.record_id == f"{failed.id}@{failed.offset}" == row_id(failed)
    assert (parked.state, parked.attempts, parked.due, parked.key) == (State.PARKED, 0, None, "k")
    assert list(states)[-1] == behind.id  # what has no time of its own is at the end


def test_a_call_that_has_run_waits_no_more(room: WaitingRoom) -> None:
    with room.worker():
        handle = room.send.options(delay=0.2).delay(5)
        room.have_run(5)
        with DelayedCalls(room.app, "mail") as calls:
            until(lambda: not calls.find(handle.id), "it is gone", told=room.said)
            assert calls.count() == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("mial", r"there is no queue mial at .* Did you mean mail\?"),
        ("billing", r"there is no queue billing at .* There are: mail\."),
    ],
)
def test_a_queue_that_is_not_there_is_told(room: WaitingRoom, asked: str, said: str) -> None:
    with pytest.raises(UnknownQueue, match=said):
        DelayedCalls(room.app, asked)


def test_a_queue_that_cannot_delay_is_told(room: WaitingRoom) -> None:
    room.admin.create([Topic(room.names.queue("old"), 1)], 1)
    with pytest.raises(UnknownQueue, match=r"queue old has no deferred store: .*\.old\.delayed does not"):
        DelayedCalls(room.app, "old")


# --- cancelling ------------------------------------------------------------------------------------


def test_five_thousand_calls_are_cancelled_by_what_they_have_in_common(room: WaitingRoom) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(5000)])
    others = room.order.options(delay="1h").delay_many([(n, f"k{n}") for n in range(50)])
    told: list[DelayedOutcome] = []
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        outcome = calls.cancel(DelayedFilter(job="mail.send"), progress=told.append)
        assert outcome.verdicts == {Verdict.CANCELLED: 5000}
        assert told[-1] == outcome
        assert [one.calls for one in told] == sorted(one.calls for one in told)
        assert {call.id for call in calls.list()} == {handle.id for handle in others}
        assert calls.cancel(DelayedFilter(job="mail.send")).calls == 0
    assert room.ran() == {}


def test_what_was_put_in_after_the_survey_is_not_touched(room: WaitingRoom) -> None:
    old = room.send.options(delay="1h").delay_many([(n,) for n in range(5)])
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        survey = calls.survey()
        new = room.send.options(delay="1h").delay_many([(n,) for n in range(5)])
        assert old[0].reschedule(delay="2h") is Verdict.MOVED  # it is not what it was
        outcome = calls.cancel(within=survey)
        assert outcome.verdicts == {Verdict.CANCELLED: 4}
        assert {call.id for call in calls.list()} == {handle.id for handle in (old[0], *new)}


def test_named_calls_are_cancelled_and_no_others(room: WaitingRoom) -> None:
    handles = room.send.options(delay="1h").delay_many([(n,) for n in range(6)])
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        place = calls.find(handles[2].id)[0].place
        ids = frozenset({handles[0].id, handles[1].id, place, "nobody"})
        assert calls.cancel(DelayedFilter(ids=ids)).verdicts == {Verdict.CANCELLED: 3}
        assert {call.id for call in calls.list()} == {handle.id for handle in handles[3:]}


def test_a_retry_that_waits_and_what_is_parked_can_be_cancelled(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        failed, behind = room.fail.delay(1, "k"), room.order.delay(2, "k")
        last = room.order.delay(3, "k")
        until(lambda: calls.count() == 3, "the store has all three", told=room.said)
        assert calls.cancel(named(behind)).verdicts == {Verdict.CANCELLED: 1}
        assert calls.cancel(named(failed)).verdicts == {Verdict.CANCELLED: 1}
        room.have_run(3)  # nothing holds its key any more
        until(lambda: calls.count() == 0, "all are gone", told=room.said)
        assert last.cancel() is Verdict.GONE
    assert room.ran() == {-1: 1, 3: 1}


def test_of_a_call_that_runs_it_is_said_that_it_has_begun(room: WaitingRoom) -> None:
    gate = room.folder / "gate"
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        handle = room.hold.options(delay=0.1).delay(1, str(gate))
        room.have_run(-1)
        assert calls.survey().overdue == 1  # it is in the store until it has ended
        assert calls.cancel(named(handle)).verdicts == {Verdict.STARTED: 1}
        gate.touch()
        room.have_run(1)
        assert calls.count() == 0


def test_without_a_worker_nothing_is_certain_but_the_wish_counts(room: WaitingRoom) -> None:
    room.shop.configure(enqueue_timeout=0.5)
    handles = room.send.options(delay="2s").delay_many([(n,) for n in range(2500)])
    with DelayedCalls(room.app, "mail") as calls:
        assert calls.cancel().verdicts == {Verdict.UNKNOWN: 2500}  # more than are asked for at a time
        assert calls.count() == 0
        kept = room.send.options(at=handles[0].due).delay(-1)
        assert kept.reschedule(delay="1h") is Verdict.UNKNOWN
        assert calls.find(kept.id)[0].due == kept.due  # nobody has moved it yet
        with room.worker():
            moved = datetime.now(UTC) + timedelta(minutes=30)
            until(
                lambda: [call for call in calls.find(kept.id) if call.due and call.due > moved],
                "it is moved",
                told=room.said,
            )
            last = room.send.options(at=handles[-1].due).delay(-2)
            room.have_run(-2)  # when all others would have run
            assert last.cancel() is not Verdict.CANCELLED
    assert room.ran() == {-2: 1}


def test_a_partition_whose_owner_is_silent_does_not_hold_up_the_others(room: WaitingRoom) -> None:
    room.shop.configure(enqueue_timeout=3.0)
    handles = room.order.options(delay="1h").delay_many([(n, f"k{n}") for n in range(3000)])
    with room.worker(), room.stranger() as taken, DelayedCalls(room.app, "mail") as calls:
        silent = sum(handle.partition in taken for handle in handles)
        assert 0 < silent < 3000
        outcome = calls.cancel()
        assert outcome.verdicts == {Verdict.CANCELLED: 3000 - silent, Verdict.UNKNOWN: silent}


def test_when_kafka_takes_no_more_wishes_it_is_told_what_was_done_before(
    room: WaitingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(20)])
    put = Producer.put
    left = 12

    def failing(self: Producer, *args: Any, **options: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise EnqueueRefused("the disk is full.")
        put(self, *args, **options)

    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        monkeypatch.setattr(Producer, "put", failing)
        with pytest.raises(BrokerError, match=r"the disk is full. Before that, 12 calls were asked for"):
            calls.cancel()
        assert calls.count() == 8


def test_a_wish_about_a_queue_that_is_not_there_is_refused(room: WaitingRoom) -> None:
    handle = room.send.options(delay="1h").delay(1)
    handle.queue = "nowhere"
    with pytest.raises(UnknownQueue, match=r"nowhere\.delayed does not exist"):
        handle.cancel()


# --- another time ----------------------------------------------------------------------------------


def test_a_call_is_moved_there_and_back(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        later, sooner = room.send.options(delay="3s").delay(1), room.send.options(delay="1h").delay(2)
        far = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        assert calls.reschedule(far, named(later)).verdicts == {Verdict.MOVED: 1}
        (call,) = calls.find(later.id)
        assert call.due == far
        assert calls.reschedule(datetime.now(UTC), named(sooner)).verdicts == {Verdict.MOVED: 1}
        room.have_run(2)
        assert later.due is not None
        until(lambda: datetime.now(UTC) > later.due + timedelta(seconds=0.5), "its first time is over")
        assert room.ran() == {2: 1}
        assert calls.reschedule(datetime.now(UTC), named(later)).verdicts == {Verdict.MOVED: 1}
        room.have_run(1)
        until(lambda: calls.count() == 0, "both are gone", told=room.said)
    assert room.ran() == {1: 1, 2: 1}


def test_a_moved_call_has_as_long_as_before_to_start(room: WaitingRoom) -> None:
    handle = room.send.options(delay="1h", expires="5m").delay(1)
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        calls.reschedule(datetime.now(UTC) + timedelta(hours=9), named(handle))
        (call,) = calls.find(handle.id)
    assert call.due is not None
    assert call.expires == call.due + timedelta(minutes=5)


# --- races -----------------------------------------------------------------------------------------


def race(room: WaitingRoom, act: str) -> dict[int, tuple[Handle, Verdict]]:
    """Delay calls by almost nothing and do something to each at once; returns what was answered."""
    told: dict[int, tuple[Handle, Verdict]] = {}

    def run(thread: int) -> None:
        dice = random.Random(thread)
        for turn in range(RACES):
            number = thread * 1000 + turn + 1
            job, args = (room.send, (number,)) if turn % 2 else (room.order, (number, f"k{turn % 5}"))
            handle = job.options(delay=dice.choice([0.0, 0.002, 0.005, 0.01, 0.02])).delay(*args)
            time.sleep(dice.choice([0.0, 0.0, 0.002, 0.005]))
            verdict = handle.cancel() if act == "cancel" else handle.reschedule(delay="1h")
            told[number] = (handle, verdict)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, THREADS + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == RACES * THREADS
    return told


@pytest.mark.parametrize("act", ["cancel", "reschedule"])
def test_what_is_answered_is_so_however_near_a_call_is(room: WaitingRoom, act: str) -> None:
    with room.worker():
        told = race(room, act)
        ran = [number for number, (_, verdict) in told.items() if verdict in (Verdict.STARTED, Verdict.GONE)]
        room.have_run(*ran)
        # What is due runs in the order of its time: nothing of the race can come after this.
        room.send.options(delay=0.5).delay(-7)
        room.have_run(-7)
        with DelayedCalls(room.app, "mail") as calls:
            waiting = {call.id for call in calls.list()}
    verdicts = Counter(verdict for _, verdict in told.values())
    counts = room.ran()
    certain = Verdict.CANCELLED if act == "cancel" else Verdict.MOVED
    assert verdicts.keys() <= {certain, Verdict.STARTED, Verdict.GONE}, verdicts
    assert verdicts[certain], verdicts
    assert {number: counts[number] for number in ran} == dict.fromkeys(ran, 1)
    certainly = [number for number, (_, verdict) in told.items() if verdict is certain]
    assert {number: counts[number] for number in certainly} == dict.fromkeys(certainly, 0)
    expected = set() if act == "cancel" else {told[number][0].id for number in certainly}
    assert waiting == expected


def test_a_call_that_is_moved_and_cancelled_at_once_is_cancelled(room: WaitingRoom) -> None:
    with room.worker(), DelayedCalls(room.app, "mail") as calls:
        for number in range(1, 60):
            handle = room.send.options(delay="1h").delay(number)
            mover = threading.Thread(target=lambda handle=handle: handle.reschedule(delay="2h"))
            mover.start()
            verdict = handle.cancel()
            mover.join()
            assert verdict is Verdict.CANCELLED
        until(lambda: calls.count() == 0, "none waits", told=room.said)
