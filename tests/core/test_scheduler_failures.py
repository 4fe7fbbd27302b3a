"""Failures: how they are counted, remembered over a crash, and where they end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.burials import PAUSE
from kjobs.core.commands import BuryEntry, Commit, Dropped, Retrying
from kjobs.core.events import Buried, NotBuried, Revoked
from kjobs.core.outcome import (
    Condemned,
    Discarded,
    Early,
    Expired,
    Outcome,
    Reason,
    Snoozed,
)
from kjobs.core.policy import Backoff, Policy
from tests.core.shell import HERE, RELAXED, STRICT, Shell, failure, successor_of

POISON = Condemned(Reason.UNDECODABLE, ValueError("no call"))


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    return shell


# --- retries ------------------------------------------------------------------------------------------


def test_a_failing_call_is_tried_as_often_as_its_policy_says_and_then_buried() -> None:
    shell = assigned()
    shell.fetch("a")
    entry, waits = shell.out[0], list[float]()
    while shell.out:
        shell.finish(0, outcome=failure())
        due = shell.scheduler.next_due()
        if due is not None:
            waits.append(due - shell.now)
            shell.live(due - shell.now)
    assert waits == [4, 8, 16]
    assert len(shell.take(Retrying)) == 3
    (order,) = shell.take(BuryEntry)
    assert order.entry is entry
    assert entry.burial is not None
    assert (entry.burial.reason, entry.burial.attempts) == (Reason.RETRIES_EXHAUSTED, 4)


def test_each_retry_is_told_with_its_error_and_time() -> None:
    shell = assigned()
    shell.fetch("a")
    error = ConnectionError("gone")
    shell.finish(0, outcome=failure(error=error))
    (told,) = shell.take(Retrying)
    assert (told.entry.offset, told.error, told.due) == (0, error, shell.now + 4)
    assert told.entry.failures == 1


def test_an_error_is_not_kept_longer_than_it_is_needed() -> None:
    shell = assigned()
    shell.fetch("a")
    entry = shell.out[0]
    shell.finish(0, outcome=failure())
    assert not isinstance(entry.outcome, type(failure())), "it would keep the frames of the job alive"


@pytest.mark.parametrize(
    "outcome", [failure(), Snoozed(4.0, STRICT), failure(RELAXED), Snoozed(4.0, RELAXED)]
)
def test_a_wait_and_the_failures_before_it_outlive_a_crash(outcome: Outcome) -> None:
    shell = assigned()
    shell.fetch("aa")
    shell.finish(0, outcome=failure())
    shell.live(4)
    shell.finish(0, outcome=outcome)
    failures = shell.scheduler.partitions[HERE].trying[0].failures
    due = shell.scheduler.next_due()
    heir = shell.successor()
    heir.refetch("aa")
    assert heir.running == []
    assert heir.scheduler.next_due() == pytest.approx(due, abs=0.001)
    assert due is not None
    heir.live(due - heir.now - 0.01)
    assert heir.running == []
    heir.live(0.02)
    assert heir.running[:1] == [0]
    assert heir.out[0].failures == failures


def test_a_call_that_came_early_needs_no_memory() -> None:
    shell = assigned()
    shell.fetch("a")
    shell.finish(0, outcome=Early(shell.now + 5, STRICT))
    assert shell.commit()[1].trials == ()
    heir = shell.successor()
    heir.refetch("a")
    assert heir.running == [0], "it is looked at again, and its own text says when it is due"


def test_a_failure_is_committed_sooner_than_a_success() -> None:
    shell = assigned()
    shell.fetch("ab")
    shell.wait(1.0)
    shell.confirm()
    shell.take(Commit)
    shell.finish(0)
    shell.wait(0.06)
    assert shell.take(Commit) == []
    shell.finish(1, outcome=failure())
    commits = shell.take(Commit)
    assert len(commits) == 1
    assert commits[0].offsets[0][:2] == (HERE, 1)


def test_a_deadline_counts_from_the_time_of_the_record() -> None:
    shell = assigned()
    hasty = Policy(retries=9, backoff=Backoff(base=4, factor=1, jitter="none"), deadline=10.0)
    shell.fetch("a")
    for _ in range(2):
        shell.finish(0, outcome=failure(hasty))
        shell.live(4)
    assert shell.running == [0]
    shell.finish(0, outcome=failure(hasty))
    (order,) = shell.take(BuryEntry)
    assert order.entry.burial is not None
    assert (order.entry.burial.reason, order.entry.burial.attempts) == (Reason.DEADLINE, 3)


# --- only what is unfinished runs again ---------------------------------------------------------------


@given(st.text("abc-", min_size=1, max_size=40), st.lists(st.integers(0, 99), max_size=60), st.booleans())
def test_after_a_crash_exactly_the_unfinished_run_again_with_their_failures(
    keys: str, choices: list[int], relaxed: bool
) -> None:
    shell = assigned(chain=1)
    shell.fetch(keys)
    patient = Policy(retries=99, backoff=Backoff(base=1, factor=1), order="relaxed" if relaxed else "strict")
    finished: set[int] = set()
    failures: dict[int, int] = {}
    for choice in choices:
        if not shell.out:
            shell.live(1)
            continue
        offset = shell.running[choice % len(shell.out)]
        if choice % 3:
            shell.finish(offset)
            finished.add(offset)
            failures.pop(offset, None)
        else:
            shell.finish(offset, outcome=failure(patient))
            failures[offset] = failures.get(offset, 0) + 1
    heir = shell.successor()
    heir.refetch(keys)
    seen: dict[int, int] = {}
    while heir.out or heir.scheduler.next_due():
        if not heir.out:
            heir.live(1)
            continue
        offset = heir.running[0]
        seen[offset] = heir.out[offset].failures
        heir.finish(offset)
    assert set(seen) == set(range(len(keys))) - finished
    assert {offset: count for offset, count in seen.items() if count} == failures


# --- dead letters -------------------------------------------------------------------------------------


def test_the_offset_passes_only_when_the_dead_letter_is_acknowledged() -> None:
    shell = assigned(chain=1)
    shell.fetch("ab")
    entry = shell.out[0]
    shell.finish(0, outcome=POISON)
    shell.finish(1)
    assert shell.take(BuryEntry)[0].entry is entry
    assert shell.commit()[0] == 0
    assert shell.scheduler.busy(), "a worker that stops waits for it"
    shell.tell(Buried(entry))
    assert shell.commit()[0] == 2
    assert not shell.scheduler.busy()


def test_a_key_waits_for_the_burial_and_other_keys_do_not() -> None:
    shell = assigned(chain=1)
    shell.fetch("aab")
    shell.finish(0, outcome=POISON)
    assert shell.running == [2]
    shell.bury()
    assert shell.running == [2, 1]


def test_a_refused_burial_is_tried_again_for_as_long_as_it_takes() -> None:
    shell = assigned(chain=1)
    shell.fetch("aa")
    entry = shell.out[0]
    shell.finish(0, outcome=POISON)
    for _ in range(5):
        assert [order.entry for order in shell.take(BuryEntry)] == [entry]
        shell.tell(NotBuried(entry))
        assert not shell.scheduler.busy(), "a worker that stops does not wait for it for ever"
        shell.live(PAUSE - 0.01)
        assert shell.take(BuryEntry) == []
        assert shell.commit()[0] == 0
        assert shell.running == []
        shell.wait(0.01)
    assert entry.burial is not None
    shell.bury()
    assert shell.running == [1]
    assert shell.commit()[0] == 1


def test_a_failure_whose_burial_was_never_acknowledged_is_made_again_after_a_crash() -> None:
    shell = assigned()
    shell.fetch("a")
    for _ in range(3):
        shell.finish(0, outcome=failure())
        due = shell.scheduler.next_due()
        assert due is not None
        shell.live(due - shell.now)
    shell.finish(0, outcome=failure())
    assert shell.take(BuryEntry)
    heir = shell.successor()
    heir.refetch("a")
    assert heir.out[0].failures == 3, "the fourth attempt left no trace yet, so it is the fourth again"


def test_a_burial_that_ends_after_the_partition_went_changes_nothing() -> None:
    shell = assigned()
    shell.fetch("ab")
    first, second = shell.out[0], shell.out[1]
    shell.finish(0, 1, outcome=POISON)
    shell.tell(Revoked([HERE]))
    shell.assign()
    shell.take(BuryEntry)
    shell.tell(Buried(first), NotBuried(second))
    shell.wait(PAUSE)
    assert shell.take(BuryEntry) == [], "the new owner of the partition buries it"
    assert shell.commit()[0] == 0


@pytest.mark.parametrize(
    "outcome", [Condemned(reason, ValueError()) for reason in (Reason.UNKNOWN_JOB, Reason.BAD_ARGUMENTS)]
)
def test_bad_records_stop_nothing(outcome: Condemned) -> None:
    shell = assigned(chain=1)
    shell.fetch("-a-b" * 50)
    for offset in range(0, 200, 4):
        shell.finish(offset, outcome=outcome)
    shell.bury()
    shell.run()
    assert shell.commit()[0] == 200


# --- what is given up ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "why"), [(Discarded("old news"), "old news"), (Expired(1.0), "expired")])
def test_what_is_dropped_passes_and_is_told(outcome: Outcome, why: str) -> None:
    shell = assigned(chain=1)
    shell.fetch("aa")
    shell.finish(0, outcome=outcome)
    (told,) = shell.take(Dropped)
    assert told.entry.offset == 0
    assert told.why.startswith(why)
    assert shell.running == [1]
    assert shell.commit()[0] == 1


def test_a_checkpoint_from_another_offset_restores_nothing() -> None:
    shell = assigned()
    shell.fetch("abc")
    shell.finish(1)
    _, metadata = shell.scheduler.partitions[HERE].snapshot()
    heir = successor_of(7, metadata, shell.now)
    heir.fetch("abc")
    assert heir.running == [7, 8, 9]
