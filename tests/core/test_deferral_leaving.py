"""A partition goes while calls of it are in the store, on their way there, or from there."""

from __future__ import annotations

import pytest

from kjobs.core.commands import Commit, Erase
from kjobs.core.deferral import PAUSE
from kjobs.core.events import CaughtUp, Due, Finished, LaneDue, LaneFetched, Lost, Recalled, Revoked, Revoking
from kjobs.core.outcome import OK, Outcome
from tests.core.shell import HERE, THERE
from tests.core.storing import StoreShell, later, queued, stored

# --- busy ---------------------------------------------------------------------------------------------


def test_a_partition_with_a_write_under_way_is_busy() -> None:
    shell = stored()
    shell.assign(THERE, 100)
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.tell(Revoking([HERE]))
    assert shell.scheduler.busy([HERE])
    assert not shell.scheduler.busy([THERE])
    shell.acknowledge()
    assert not shell.scheduler.busy([HERE])
    shell.tell(Revoked([HERE]))
    assert (HERE, 1) in [(place, offset) for place, offset, _ in shell.unanswered]


def test_a_partition_with_an_end_under_way_is_busy() -> None:
    shell = stored()
    shell.put_in("x")
    shell.due("x")
    shell.finish("x")
    shell.tell(Revoking([HERE]))
    assert shell.scheduler.busy([HERE])
    shell.acknowledge()
    assert not shell.scheduler.busy([HERE])


def test_a_lane_that_ends_while_its_partition_leaves_starts_nothing_more() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    shell.fetch("a")
    shell.tell(Revoking([HERE]))
    shell.finish("x")
    shell.acknowledge()
    assert shell.running == []


def test_what_the_store_did_not_take_in_time_stays_in_the_queue() -> None:
    shell = stored()
    shell.fetch("aa")
    shell.finish(0, outcome=later())
    shell.take(Commit)
    shell.tell(Revoking([HERE]), Revoked([HERE]))
    last = [where for commit in shell.take(Commit) for where in commit.offsets]
    assert [(place, offset) for place, offset, _ in last] == [(HERE, 0)]


# --- tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [Revoked, Lost])
@pytest.mark.parametrize("outcome", [OK, later()])
def test_a_call_of_the_store_that_still_runs_locks_its_key(
    away: type[Revoked | Lost], outcome: Outcome
) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    old = shell.out.pop("x")
    shell.tell(away([HERE]))
    shell.assign()
    assert shell.scheduler.busy(), "a worker that stops waits for it"
    shell.fetch("ab")
    assert shell.running == [1]
    old.outcome = outcome
    shell.tell(Finished([old]))
    assert shell.running == [1, 0]
    assert shell.take(Erase) == [], "it counts no more: the new owner runs it"


def test_a_call_of_the_store_that_still_runs_is_not_begun_a_second_time() -> None:
    shell = stored()
    shell.put_in("x")
    shell.put_in("y")
    shell.due("x")
    old = shell.out.pop("x")
    shell.tell(Lost([HERE]))
    shell.assign()
    shell.due("x", "y")
    assert shell.running == ["y"]
    old.outcome = OK
    shell.tell(Finished([old]))
    assert shell.running == ["y", "x"]
    assert shell.out["x"] is not old


def test_a_call_of_the_store_without_a_key_locks_no_offset_of_the_queue() -> None:
    shell = stored()
    row = shell.put_in("x")
    shell.due("x")
    token = shell.out["x"].token
    shell.out.pop("x")
    shell.tell(Lost([HERE]))
    shell.assign(offset=row.offset - 1)
    shell.fetch("---")
    assert shell.running == [row.offset - 1, row.offset, row.offset + 1]
    assert token == "x"


def test_a_call_that_was_written_anew_while_it_runs_is_not_begun_a_second_time() -> None:
    shell = stored()
    shell.put_in("x")
    shell.due("x")
    old = shell.out.pop("x")
    shell.tell(Lost([HERE]))
    shell.put_in("x")
    shell.assign()
    shell.due("x")
    assert shell.running == []
    old.outcome = OK
    shell.tell(Finished([old]))
    assert shell.running == ["x"]


def test_a_call_without_a_key_that_came_from_the_queue_is_the_same_in_the_store() -> None:
    shell = stored()
    shell.fetch("-")
    old = shell.out.pop(0)
    shell.tell(Lost([HERE]))
    shell.put_in(queued(0), rank=0)
    shell.assign()
    shell.due(queued(0))
    assert shell.running == []
    old.outcome = OK
    shell.tell(Finished([old]))
    assert shell.running == [queued(0)]


def test_a_call_of_the_store_that_was_taken_back_unbegun_locks_nothing() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    old = shell.out.pop("x")
    shell.tell(Revoking([HERE]), Revoked([HERE]))
    shell.assign()
    shell.due("x")
    assert shell.running == []
    shell.tell(Recalled([old]))
    assert shell.running == ["x"]


def test_a_call_of_a_lane_of_the_store_locks_the_key_of_what_the_queue_has() -> None:
    shell = StoreShell()
    shell.put_in("x", "a", rank=0)
    shell.assign(offset=1, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", "x")
    old = shell.out.pop("x")
    shell.tell(Lost([HERE]))
    shell.assign(offset=1)
    shell.fetch("a")
    assert shell.running == []
    old.outcome = OK
    shell.tell(Finished([old]))
    assert shell.running == [1]


# --- taken back ---------------------------------------------------------------------------------------


def test_calls_of_the_store_that_are_taken_back_begin_again_when_they_may() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.put_in("y")
    shell.due("x", "y")
    shell.fetch("a")
    shell.now += 100  # the lease is over
    shell.give_back("x", "y")
    assert shell.running == []
    shell.live(1)
    assert shell.running == ["x", "y"]
    assert shell.scheduler.held == 3


# --- what comes too late ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        Due(HERE, (), 0),
        LaneDue(HERE, b"a", 0),
        LaneFetched(HERE, b"a", (), None),
        CaughtUp(HERE),
    ],
)
def test_what_the_store_tells_of_a_partition_that_is_not_ours_is_ignored(event: object) -> None:
    shell = StoreShell()
    assert shell.tell(event) == []  # type: ignore[arg-type]
    assert shell.scheduler.partitions == {}


def test_what_was_refused_of_a_partition_that_went_is_not_tried_again() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.refuse()
    shell.tell(Lost([HERE]))
    shell.live(PAUSE)
    assert shell.orders == []


def test_lanes_asked_for_are_forgotten_with_their_partition() -> None:
    shell = stored()
    shell.assign(THERE, 100)
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    assert shell.scheduler.following
    shell.tell(Lost([HERE]))
    assert not shell.scheduler.following
    shell.assign(lanes=[b"a"])
    shell.fetch("a")
    assert shell.deferring == [queued(0)]
