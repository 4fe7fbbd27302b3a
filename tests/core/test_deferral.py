"""Calls go to the deferred store: long waits, and what comes behind them in their key."""

from __future__ import annotations

import pytest

from kjobs.core.checkpoint import Checkpoint, Trial
from kjobs.core.commands import Commit, Retrying
from kjobs.core.deferral import PAUSE
from kjobs.core.deferred import QUEUED, Kind
from kjobs.core.outcome import Early, Failed, Outcome, Snoozed
from kjobs.core.policy import LONGEST_WAIT_IN_LANE, Backoff, Policy
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

WAITS = [later(), asleep(), Failed(ValueError(), STRICT, 0.5, LONG)]


def waiting(seconds: float) -> Snoozed:
    return Snoozed(seconds, PATIENT)


# --- what goes there ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", WAITS)
def test_a_long_wait_is_spent_in_the_store(outcome: Outcome) -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=outcome)
    (order,) = shell.orders
    row = row_in(order)
    assert (row.id, row.key, row.value) == (queued(0), b"a", b'{"job":"j"}')
    assert row.due_ms == int((shell.now + LONG) * 1000)
    assert (row.rank, row.source, row.needs, row.kind) == ((0, QUEUED), 0, 1, Kind.RANKED)
    assert row.since_ms == shell.scheduler.partitions[HERE].order[0].record.timestamp()[1]
    assert row.of == -1, "it goes on from no record of the log"
    assert shell.scheduler.next_due() is None, "nothing of it is waited for here"


def test_a_wait_of_thirty_seconds_is_spent_in_memory() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=waiting(LONGEST_WAIT_IN_LANE))
    assert shell.orders == []
    shell.finish(1, outcome=waiting(LONGEST_WAIT_IN_LANE + 0.001))
    assert shell.deferring == [queued(1)]


def test_how_long_a_wait_in_memory_may_be_is_a_setting() -> None:
    shell = stored(lane_wait=1.0)
    shell.fetch("ab")
    shell.finish(0, outcome=waiting(1.0))
    shell.finish(1, outcome=waiting(1.001))
    assert shell.deferring == [queued(1)]


def test_a_due_time_is_never_rounded_down() -> None:
    shell = stored()
    shell.fetch("-")
    shell.now += 0.0004
    shell.finish(0, outcome=waiting(LONG))
    (order,) = shell.orders
    assert row_in(order).due_ms == int(shell.now * 1000) + LONG * 1000 + 1


def test_a_call_that_its_enqueuer_wants_later_goes_there_too() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=Early(shell.now + LONG, STRICT))
    assert shell.deferring == [queued(0)]
    assert shell.kept == {}
    shell.acknowledge()
    assert shell.kept[queued(0)].failures == 0


def test_failures_are_kept_in_the_store_and_told() -> None:
    shell = stored()
    shell.fetch("a")
    entry = shell.out[0]
    entry.failures = 2
    shell.finish(0, outcome=later())
    (order,) = shell.orders
    assert row_in(order).failures == 3
    (told,) = shell.take(Retrying)
    assert (told.due, told.entry) == (shell.now + 4 * LONG, entry)
    assert not entry.out


def test_a_snooze_counts_no_failure_in_the_store() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=asleep())
    (order,) = shell.orders
    assert row_in(order).failures == 0


# --- acknowledged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "-"])
def test_the_offset_passes_only_when_the_store_has_the_call(key: str) -> None:
    shell = stored()
    shell.fetch(key)
    shell.finish(0, outcome=later())
    assert shell.commit()[0] == 0
    assert shell.scheduler.busy(), "a worker that stops waits for it"
    shell.acknowledge()
    assert shell.commit()[0] == 1
    assert not shell.scheduler.busy()
    assert shell.scheduler.held == 0, "it is not in memory any more"


def test_the_wait_is_in_the_commit_until_the_store_has_it() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=later())
    offset, checkpoint = shell.commit()
    (trial,) = checkpoint.trials
    assert (offset, trial.offset, trial.failures) == (0, 0, 1)
    assert trial.due_ms == int((shell.now + LONG) * 1000)
    shell.acknowledge()
    offset, checkpoint = shell.commit()
    assert (offset, checkpoint.trials) == (1, ())


def test_a_crash_before_the_store_has_it_repeats_the_same_record() -> None:
    shell = stored()
    shell.fetch("aa")
    shell.finish(0, outcome=later())
    first = row_in(shell.orders[0])
    heir = stored()
    heir.now = shell.now
    offset, checkpoint = shell.commit()
    heir.assign(HERE, offset, checkpoint)
    heir.refetch("aa")
    assert heir.running == [], "it waits, and its follower with it"
    again = row_in(heir.orders[0])
    assert (again.id, again.failures, again.due_ms) == (first.id, first.failures, first.due_ms)
    assert heir.deferring == [queued(0), queued(1)]


def test_a_failure_that_goes_to_the_store_is_committed_soon() -> None:
    shell = stored()
    shell.fetch("a")
    shell.live(1.0)
    shell.take(Commit)
    shell.finish(0, outcome=later())
    shell.wait(0.06)
    (commit,) = shell.take(Commit)
    assert commit.offsets[0][:2] == (HERE, 0)


# --- refused ------------------------------------------------------------------------------------------


def test_what_the_store_refuses_is_tried_again_for_as_long_as_it_takes() -> None:
    shell = stored()
    shell.fetch("aab")
    shell.finish(0, outcome=later())
    shell.acknowledge(2)
    shell.finish(2, outcome=later())
    first = row_in(shell.orders[0])
    for _ in range(4):
        assert shell.deferring == [queued(2)]
        shell.refuse()
        assert not shell.scheduler.busy(), "a worker that stops does not wait for it for ever"
        shell.live(PAUSE - 0.01)
        assert shell.orders == []
        assert shell.commit()[0] == 2
        shell.wait(0.01)
        assert shell.scheduler.busy()
    assert row_in(shell.orders[0]) == first
    shell.acknowledge()
    assert shell.commit()[0] == 3


def test_a_key_is_held_while_its_head_is_refused() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=later())
    shell.refuse()
    shell.fetch("a")
    assert shell.running == [1]
    assert shell.deferring == [queued(2)], "it is parked behind"
    shell.acknowledge()
    assert shell.asked == [], "the head of the lane is not in the store yet"
    shell.live(PAUSE)
    assert shell.deferring == [queued(0)]
    shell.acknowledge()
    assert shell.asked == [("a", 3)]


# --- behind it ----------------------------------------------------------------------------------------


def test_all_that_is_behind_it_in_its_key_goes_with_it_in_order() -> None:
    shell = stored()
    shell.fetch("aabaa-")
    shell.finish(0, outcome=later())
    assert shell.deferring == [queued(n) for n in (0, 1, 3, 4)]
    assert shell.in_store == {"a"}
    assert shell.running == [2, 5], "other keys go on"
    shell.finish(2, 5)
    assert shell.commit()[0] == 0
    shell.acknowledge(1)
    assert shell.commit()[0] == 1
    shell.acknowledge(2)
    assert shell.commit()[0] == 4
    shell.acknowledge(1)
    assert shell.commit()[0] == 6
    assert [shell.kept[queued(n)].rank for n in (0, 1, 3, 4)] == [(n, QUEUED) for n in (0, 1, 3, 4)]


def test_what_is_parked_is_due_at_once_when_its_turn_comes() -> None:
    shell = stored()
    shell.fetch("aa")
    shell.finish(0, outcome=later())
    first, second = (row_in(order) for order in shell.orders)
    assert first.due_ms > shell.now * 1000
    assert second.due_ms == 0


def test_later_calls_of_the_key_are_parked_when_they_arrive() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.fetch("ab")
    assert shell.deferring == [queued(0), queued(1)]
    shell.acknowledge()
    shell.fetch("a")
    assert shell.deferring == [queued(3)]
    assert shell.running == [2]
    shell.acknowledge()
    shell.finish(2)
    assert shell.commit()[0] == 4


def test_a_chain_that_its_slot_has_not_begun_is_parked() -> None:
    shell = stored(chain=8)
    shell.fetch("aaaa")
    shell.finish(0)
    assert shell.running == [1]
    shell.finish(1, outcome=later())
    assert shell.running == []
    assert shell.deferring == [queued(1), queued(2), queued(3)]
    shell.acknowledge()
    assert shell.commit()[0] == 4


def test_a_call_without_a_key_waits_alone() -> None:
    shell = stored()
    shell.fetch("---")
    shell.finish(1, outcome=later())
    assert shell.deferring == [queued(1)]
    assert row_in(shell.orders[0]).kind is Kind.FREE
    shell.fetch("-")
    assert shell.running == [0, 2, 3]
    assert shell.in_store == set()


def test_of_a_relaxed_job_later_calls_pass_the_one_in_the_store() -> None:
    shell = stored()
    shell.fetch("aaa")
    shell.finish(0, outcome=later(PATIENT_RELAXED))
    assert shell.running == [1], "at once, acknowledged or not"
    row = row_in(shell.orders[0])
    assert (row.key, row.relaxed, row.lane, row.kind) == (b"a", True, None, Kind.FREE)
    shell.acknowledge()
    shell.finish(1)
    assert shell.running == [2]
    assert shell.in_store == set()
    shell.fetch("a")
    shell.finish(2)
    shell.finish(3)
    assert shell.commit()[0] == 4


def test_a_relaxed_call_that_let_its_key_go_on_before_leaves_it_alone_now() -> None:
    growing = Policy(retries=3, backoff=Backoff(base=4, factor=100, cap="1d", jitter="none"), order="relaxed")
    shell = stored()
    shell.fetch("aaa")
    shell.finish(0, outcome=failure(growing))
    assert shell.running == [1]
    shell.live(4)
    assert shell.running == [1, 0]
    shell.finish(0, outcome=failure(growing))
    assert shell.deferring == [queued(0)]
    assert shell.running == [1], "2 waits for 1, and for nothing else"
    shell.finish(1)
    assert shell.running == [2]


def test_a_wait_known_from_a_commit_goes_to_the_store_if_it_is_long() -> None:
    shell = stored(lane_wait=10 * LONG)
    shell.fetch("aab")
    shell.finish(0, outcome=later())
    assert shell.orders == []
    offset, checkpoint = shell.commit()
    heir = stored()
    heir.now = shell.now
    heir.assign(HERE, offset, checkpoint)
    heir.refetch("aab")
    assert heir.deferring == [queued(0), queued(1)]
    assert row_in(heir.orders[0]).failures == 1
    assert heir.running == [2]


def test_a_parked_call_keeps_what_a_commit_knew_of_it() -> None:
    shell = StoreShell()
    due_ms = int(shell.now * 1000) + 5000
    shell.assign(HERE, 0, Checkpoint(1, ((0, 1),), (Trial(0, 2, due_ms),)), lanes=[b"a"])
    shell.fetch("a")
    (order,) = shell.orders
    assert (row_in(order).failures, row_in(order).due_ms) == (2, due_ms)
    assert [trial.failures for trial in shell.commit()[1].trials] == [2]
    shell.acknowledge()
    assert shell.commit()[1].trials == ()
