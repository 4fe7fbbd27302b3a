"""How calls of the store end: taken out, tried again, buried, dropped."""

from __future__ import annotations

import pytest

from kjobs.core.burials import PAUSE as BURIAL_PAUSE
from kjobs.core.commands import BuryEntry, Commit, Dropped, Retrying
from kjobs.core.deferral import PAUSE
from kjobs.core.deferred import QUEUED, Kind
from kjobs.core.events import Buried, NotBuried, Revoked
from kjobs.core.outcome import Condemned, Crashed, Discarded, Early, Expired, Outcome, Reason, Snoozed
from kjobs.core.ports import LaneHead
from tests.core.shell import HERE, STRICT, failure
from tests.core.storing import (
    LONG,
    PATIENT,
    PATIENT_RELAXED,
    StoreShell,
    asleep,
    later,
    queued,
    row_in,
    stored,
)

POISON = Condemned(Reason.UNDECODABLE, ValueError("no call"))


def running(name: str = "x", key: str | None = "a", **more: object) -> StoreShell:
    """A shell in which a call of the store runs."""
    shell = stored()
    shell.put_in(name, key, **more)  # type: ignore[arg-type]
    shell.due(name, end=0)
    assert shell.running == [name]
    return shell


# --- taken out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", None])
def test_a_call_that_succeeds_is_taken_out_of_the_store(key: str | None) -> None:
    shell = running(key=key)
    shell.finish("x")
    assert shell.erasing == ["x"]
    assert shell.scheduler.busy(), "a worker that stops waits for it"
    assert shell.scheduler.held == 1
    shell.acknowledge()
    assert not shell.scheduler.busy()
    assert shell.scheduler.held == 0
    assert shell.commit()[0] == 0, "it was never in the queue"


def test_what_is_behind_it_in_the_queue_waits_until_it_is_taken_out() -> None:
    shell = running()
    shell.fetch("aab")
    shell.finish("x")
    assert shell.running == [2], "it might be committed, and x come again after a crash"
    shell.acknowledge()
    assert shell.running == [2, 0]


def test_what_is_behind_it_in_the_store_does_not_wait() -> None:
    shell = StoreShell()
    for n, name in enumerate("xyz"):
        shell.put_in(name, "a", rank=n)
    shell.assign(offset=3, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"xyz")
    shell.finish("x")
    assert shell.running == ["y"]
    shell.finish("y")
    assert shell.running == ["z"]
    assert shell.erasing == ["x", "y"], "in that order"


def test_a_call_that_is_not_taken_out_is_tried_again_and_its_key_waits() -> None:
    shell = running()
    shell.fetch("a")
    shell.finish("x")
    for _ in range(3):
        assert shell.erasing == ["x"]
        shell.refuse()
        assert shell.scheduler.busy(), "if the worker left, the call would run again"
        shell.live(PAUSE - 0.01)
        assert shell.orders == []
        assert shell.running == []
        shell.wait(0.01)
    shell.acknowledge()
    assert shell.running == [0]


def test_a_call_of_the_store_leaves_the_lane_of_its_key_that_is_in_the_store_as_it_is() -> None:
    shell = stored()
    shell.put_in("x", "a", relaxed=True)
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    shell.give("a", head=LaneHead(1, int((shell.now + LONG) * 1000)))
    shell.due("x")
    shell.finish("x")
    shell.acknowledge()
    assert shell.in_store == {"a"}
    shell.fetch("a")
    assert shell.deferring == [queued(1)]


def test_what_comes_behind_the_head_from_the_queue_waits_also_when_the_rest_was_parked_for_its_length() -> (
    None
):
    # Room is scarce, so what is behind the first of the queue in this long lane goes to the store; the head
    # of the lane, from the store as well, has not been taken out when it is done.
    shell = StoreShell(bounds=bounds(40))
    shell.assign()
    shell.put_in("x", "a")
    shell.due("x", end=0)
    assert shell.running == ["x"]
    shell.fetch("a" * 40)
    shell.live(3)
    assert shell.in_store == {"a"}
    assert queued(1) in shell.deferring
    assert queued(0) not in shell.deferring
    shell.finish("x")
    assert shell.running == [], "0 is of the queue: it might be committed, and x come again after a crash"
    while shell.orders:
        shell.acknowledge()
    assert shell.running == [0]


def bounds(records: int) -> object:
    from kjobs.core.buffer import Bounds

    return Bounds(records)


# --- tried again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [failure(), later(), asleep(), Snoozed(1.0, STRICT)])
def test_a_call_of_the_store_waits_in_the_store_for_its_next_attempt(outcome: Outcome) -> None:
    shell = running(failures=1)
    before = shell.kept["x"]
    shell.finish("x", outcome=outcome)
    (order,) = shell.orders
    row = row_in(order)
    counted = 1 if isinstance(outcome, Snoozed) else 2
    assert (row.id, row.of, row.failures) == ("x", before.offset, counted)
    assert (row.rank, row.kind) == ((0, 1), Kind.RANKED), "it keeps the place that it has taken"
    assert (row.value, row.since_ms, row.key) == (before.value, before.since_ms, b"a")
    assert row.due_ms > shell.now * 1000
    assert shell.commit()[1].trials == (), "commits are about the queue"
    shell.acknowledge()
    assert shell.scheduler.held == 0
    assert shell.in_store == {"a"}


def test_what_is_behind_a_call_that_is_tried_again_is_parked_or_given_back() -> None:
    shell = StoreShell()
    for n, name in enumerate("xyz"):
        shell.put_in(name, "a", rank=n)
    shell.put_in("dated", "a")
    shell.assign(offset=3, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"xyz")
    shell.finish("x", outcome=later())
    assert shell.released == [shell.kept["y"].offset, shell.kept["z"].offset]
    assert shell.deferring == ["x"]
    shell.due("dated", end=3)
    assert shell.deferring == ["x", "dated"]
    shell.acknowledge()
    assert shell.scheduler.held == 0
    assert shell.asked[-1] == ("a", 3)


def test_a_failing_call_in_memory_lets_all_behind_it_go_to_the_store() -> None:
    shell = running()
    shell.put_in("y", "a")
    shell.fetch("a")
    shell.due("y", end=1)
    shell.fetch("a")
    shell.finish("x", outcome=later())
    assert shell.deferring == ["x", queued(0), "y", queued(1)]
    assert [row_in(order).rank for order in shell.orders] == [(0, 1), (0, QUEUED), (1, 2), (1, QUEUED)]
    assert shell.released == []


def test_a_call_without_a_key_is_tried_again_by_itself() -> None:
    shell = running(key=None)
    shell.finish("x", outcome=later())
    (order,) = shell.orders
    assert (row_in(order).rank, row_in(order).kind) == (None, Kind.FREE)
    shell.acknowledge()
    assert shell.scheduler.held == 0


def test_a_relaxed_call_of_the_store_lets_its_key_go_on() -> None:
    shell = running()
    shell.fetch("a")
    shell.finish("x", outcome=later(PATIENT_RELAXED))
    assert shell.running == [0]
    (order,) = shell.orders
    assert row_in(order).relaxed
    assert shell.in_store == set()


@pytest.mark.parametrize("policy", [PATIENT, PATIENT_RELAXED])
def test_a_call_enqueued_as_relaxed_leaves_the_lane_of_its_key_alone_whatever_its_job_says_now(
    policy: object,
) -> None:
    shell = stored()
    shell.put_in("x", "a", relaxed=True)
    shell.fetch("aa")
    shell.due("x")
    assert shell.running == [0, "x"]
    shell.finish("x", outcome=later(policy))  # type: ignore[arg-type]
    assert shell.deferring == ["x"]
    assert row_in(shell.orders[0]).relaxed
    shell.fetch("a")
    assert shell.running == [0], "one at a time, as ever"
    shell.finish(0)
    assert shell.running == [1]
    shell.finish(1)
    assert shell.running == [2]


def test_a_retry_that_is_refused_is_tried_again_and_its_key_waits() -> None:
    shell = running()
    shell.finish("x", outcome=later())
    first = row_in(shell.orders[0])
    shell.refuse()
    shell.lane_due("a", 0)
    assert shell.asked == []
    shell.live(PAUSE)
    assert row_in(shell.orders[0]) == first
    shell.acknowledge()
    assert shell.asked == [("a", 0)]


def test_each_retry_is_told() -> None:
    shell = running(failures=1)
    shell.finish("x", outcome=later())
    (told,) = shell.take(Retrying)
    assert (told.entry.failures, told.due) == (2, shell.now + 2 * LONG)


def test_a_call_whose_time_was_written_twice_is_looked_at_again_then() -> None:
    # Somebody wrote a time in the call itself that is later than that of its record in the store.
    shell = running(key=None)
    due = shell.now + 5
    shell.finish("x", outcome=Early(due, STRICT))
    (order,) = shell.orders
    assert (row_in(order).due_ms, row_in(order).failures) == (int(due * 1000), 0)


def test_the_time_that_a_deadline_counts_from_is_that_of_the_store() -> None:
    hasty = type(PATIENT)(retries=9, backoff=PATIENT.backoff, deadline=LONG * 1.5)
    shell = running()
    shell.finish("x", outcome=later(hasty))
    shell.acknowledge()
    since = shell.kept["x"].since_ms
    shell.live(LONG)
    shell.lane_due("a", 0)
    shell.give("a", "x")
    assert shell.out["x"].record.timestamp()[1] == since
    shell.finish("x", outcome=later(hasty))
    (order,) = shell.take(BuryEntry)
    assert order.entry.burial is not None
    assert order.entry.burial.reason is Reason.DEADLINE


# --- given up -----------------------------------------------------------------------------------------


def test_a_dead_call_of_the_store_is_taken_out_once_its_letter_is_acknowledged() -> None:
    shell = running()
    shell.fetch("a")
    entry = shell.out["x"]
    shell.finish("x", outcome=POISON)
    assert [order.entry for order in shell.take(BuryEntry)] == [entry]
    assert shell.orders == []
    assert shell.scheduler.busy()
    shell.tell(Buried(entry))
    assert shell.erasing == ["x"]
    assert shell.running == []
    shell.acknowledge()
    assert shell.running == [0]


def test_a_letter_that_is_refused_keeps_the_call_in_the_store() -> None:
    shell = running()
    entry = shell.out["x"]
    shell.finish("x", outcome=POISON)
    shell.take(BuryEntry)
    shell.tell(NotBuried(entry))
    shell.live(BURIAL_PAUSE)
    assert [order.entry for order in shell.take(BuryEntry)] == [entry]
    assert shell.orders == []
    assert shell.kept["x"].failures == 0


def test_retries_in_the_store_end_in_a_dead_letter_with_all_attempts_counted() -> None:
    shell = running()
    for attempt in range(1, 4):
        shell.finish("x", outcome=later())
        shell.acknowledge()
        assert shell.kept["x"].failures == attempt
        shell.live(LONG)
        shell.lane_due("a", 0)
        shell.give("a", "x")
    shell.finish("x", outcome=later())
    (order,) = shell.take(BuryEntry)
    assert order.entry.burial is not None
    assert (order.entry.burial.reason, order.entry.burial.attempts) == (Reason.RETRIES_EXHAUSTED, 4)


@pytest.mark.parametrize("outcome", [Discarded("old news"), Expired(1.0)])
def test_what_is_dropped_is_taken_out_and_told(outcome: Outcome) -> None:
    shell = running()
    shell.fetch("a")
    shell.finish("x", outcome=outcome)
    assert len(shell.take(Dropped)) == 1
    assert shell.erasing == ["x"]
    shell.acknowledge()
    assert shell.running == [0]


def test_attempts_are_counted_also_of_calls_of_the_store() -> None:
    shell = stored(attempts=2)
    shell.put_in("x", "a")
    shell.due("x")
    shell.finish("x", outcome=later())
    shell.acknowledge()
    shell.live(LONG)
    shell.lane_due("a", 0)
    shell.give("a", "x")
    assert shell.running == ["x"]
    shell.finish("x", outcome=later())
    shell.acknowledge()
    shell.lane_due("a", 0)
    shell.give("a", "x")
    assert shell.running == []
    assert shell.scheduler.attempts_left == 0
    assert not shell.scheduler.busy()


# --- answers that come too late ------------------------------------------------------------------------


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("outcome", [None, later()])
def test_an_answer_about_a_partition_that_went_changes_nothing(
    outcome: Outcome | None, acknowledged: bool
) -> None:
    shell = running()
    if outcome is None:
        shell.finish("x")
    else:
        shell.finish("x", outcome=outcome)
    shell.tell(Revoked([HERE]))
    shell.assign()
    shell.take(Commit)
    if acknowledged:
        shell.acknowledge()
    else:
        shell.refuse()
    shell.live(PAUSE)
    assert shell.orders == []
    assert not shell.scheduler.busy()
    assert shell.in_store == set()


def test_crashes_are_counted_also_of_calls_of_the_store() -> None:
    crashed = Crashed(OSError("its process was killed"), STRICT)
    shell = stored(lane_wait=0.0)
    shell.fetch("a")
    shell.finish(0, outcome=crashed)
    (order,) = shell.orders
    assert row_in(order).crashes == 1
    shell.acknowledge()
    shell.wait(1.0)
    shell.lane_due("a", 1)
    shell.give("a", queued(0))
    shell.finish(queued(0), outcome=crashed)
    assert row_in(*shell.orders).crashes == 2
    shell.acknowledge()
    shell.wait(2.0)
    shell.give("a", queued(0))
    shell.finish(queued(0), outcome=crashed)
    (buried,) = shell.take(BuryEntry)
    assert buried.entry.burial is not None
    assert buried.entry.burial.reason is Reason.CRASHED
