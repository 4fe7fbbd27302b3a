"""What is known of the store when a partition is taken over, and what was fetched before that."""

from __future__ import annotations

import pytest

from kjobs.core.buffer import Bounds
from kjobs.core.checkpoint import Checkpoint, Trial
from kjobs.core.commands import CloseStore, OpenStore
from kjobs.core.events import Assigned, CaughtUp, Lost, Revoked, Skipped
from kjobs.core.ports import LaneHead
from tests.core.shell import HERE
from tests.core.storing import LONG, StoreShell, later, queued, stored


def assigned(offset: int = 0, checkpoint: Checkpoint | None = None, **options: object) -> StoreShell:
    """A shell that has a partition, and does not know what the store has of it."""
    shell = StoreShell(**options)
    shell._next[HERE] = offset
    shell.known[HERE] = None
    shell.tell(Assigned(HERE, offset, checkpoint, "topic-one"))
    shell.live(1)
    return shell


# --- before it is known -------------------------------------------------------------------------------


def test_the_store_is_opened_for_each_assignment() -> None:
    shell = assigned(7, Checkpoint(7, epoch=4))
    assert shell.take(OpenStore) == [OpenStore(HERE, 7, 5, "topic-one")]


@pytest.mark.parametrize("away", [Revoked, Lost])
def test_the_store_is_closed_when_a_partition_goes(away: type[Revoked | Lost]) -> None:
    shell = assigned()
    shell.tell(away([HERE]))
    assert shell.take(CloseStore) == [CloseStore([HERE])]


def test_nothing_begins_before_what_the_store_has_is_known() -> None:
    shell = assigned()
    shell.fetch("ab-")
    shell.live(5)
    assert not shell.scheduler.partitions[HERE].open
    assert shell.running == []
    shell.tell(CaughtUp(HERE))
    assert shell.scheduler.partitions[HERE].open
    assert shell.running == [0, 1, 2]


def test_a_partition_that_is_known_but_not_confirmed_begins_nothing() -> None:
    shell = StoreShell()
    shell.tell(Assigned(HERE, 0), CaughtUp(HERE))
    shell._next[HERE] = 0
    shell.fetch("-")
    assert shell.running == []
    shell.confirm()
    shell.tell()
    assert shell.running == [0]


def test_what_is_fetched_before_counts_as_held() -> None:
    shell = assigned(bounds=Bounds(10, 1000))
    shell.fetch("abcdef")
    assert shell.scheduler.held == 6
    assert shell.scheduler.room == 4
    assert shell.scheduler.partitions[HERE].size == 6 * len(b'{"job":"j"}')
    shell.tell(CaughtUp(HERE))
    assert shell.scheduler.held == 6
    assert shell.scheduler.room == 4
    shell.run()
    assert shell.scheduler.held == 0
    assert shell.scheduler.partitions[HERE].size == 0


def test_what_was_fetched_before_is_taken_in_in_its_order() -> None:
    shell = assigned()
    shell.fetch("aa")
    shell.fetch("ba")
    shell.tell(CaughtUp(HERE))
    shell.run()
    assert [name for name in shell.order if name != 2] == [0, 1, 3]
    assert shell.commit()[0] == 4


def test_an_end_that_was_told_before_is_not_forgotten() -> None:
    shell = assigned()
    shell.fetch("-")
    shell.tell(Skipped(HERE, 9))
    assert shell.commit()[0] == 0
    shell.tell(CaughtUp(HERE, lanes=[b"a"]))
    shell.finish(0)
    assert shell.commit()[0] == 9
    shell.lane_due("a", 9)
    assert shell.asked == [("a", 9)]


def test_an_end_is_not_read_before_the_records_below_it() -> None:
    shell = assigned()
    shell.fetch("--")
    shell.tell(Skipped(HERE, 2))
    shell.tell(CaughtUp(HERE))
    assert shell.running == [0, 1]


def test_a_partition_that_goes_before_it_is_known_commits_where_it_began() -> None:
    shell = assigned(5)
    shell.fetch("ab")
    shell.tell(Revoked([HERE]))
    shell.tell(CaughtUp(HERE))
    assert shell.scheduler.held == 0
    assert [offset for _, offset, _ in shell.unanswered] == [5]
    assert shell.running == []


def test_calls_of_a_commit_that_finished_are_skipped_also_when_fetched_before() -> None:
    trial = Trial(2, 2, 1_000_030 * 1000)
    shell = assigned(0, Checkpoint(4, ((0, 1), (2, 1)), (trial,)))
    shell.fetch("abcde")
    shell.tell(CaughtUp(HERE))
    assert shell.running == [0, 4]
    assert shell.scheduler.next_due() == 1_000_030
    shell.live(30)
    assert shell.out[2].failures == 2


# --- what it has ----------------------------------------------------------------------------------------


def test_calls_that_are_in_the_store_are_passed_over_in_the_queue() -> None:
    shell = assigned()
    shell.fetch("aab-")
    shell.tell(CaughtUp(HERE, lanes=[b"a"], sources=[0, 1]))
    assert shell.running == [2, 3]
    assert shell.orders == []
    assert shell.commit()[0] == 2, "they are finished here"
    shell.finish(2, 3)
    assert shell.commit()[0] == 4


def test_calls_of_the_store_are_passed_over_once_and_in_one_partition() -> None:
    shell = assigned()
    shell.tell(CaughtUp(HERE, sources=[1]))
    shell.fetch("---")
    assert shell.running == [0, 2]
    assert not shell.scheduler.partitions[HERE].stored.matters, "from here on records need no second look"
    shell.fetch("-")
    assert shell.running == [0, 2, 3]


def test_calls_of_the_store_that_the_commit_has_as_well_are_not_tried_twice() -> None:
    # The worker died after the store had it, and before that was committed.
    shell = assigned(0, Checkpoint(0, (), (Trial(0, 1, int((1_000_000 + LONG) * 1000)),)))
    shell.tell(CaughtUp(HERE, lanes=[b"a"], sources=[0]))
    shell.fetch("a")
    assert shell.orders == []
    assert shell.scheduler.held == 0
    offset, checkpoint = shell.commit()
    assert (offset, checkpoint.trials) == (1, ())


def test_what_of_the_store_is_below_the_committed_offset_is_no_concern_of_the_queue() -> None:
    shell = assigned(5)
    shell.tell(CaughtUp(HERE, sources=[2, 3]))
    assert not shell.scheduler.partitions[HERE].stored.matters
    shell.fetch("-")
    assert shell.running == [5]


def test_of_a_key_in_the_store_what_is_in_the_queue_is_parked() -> None:
    shell = assigned()
    shell.fetch("aba")
    shell.tell(CaughtUp(HERE, lanes=[b"a"]))
    assert shell.deferring == [queued(0), queued(2)]
    assert shell.running == [1]


def test_records_fetched_again_after_a_resume_are_no_news() -> None:
    shell = assigned()
    shell.tell(CaughtUp(HERE, lanes=[b"a"]))
    shell.fetch("ab")
    shell.refetch("ab-")
    assert shell.deferring == [queued(0)]
    assert shell.running == [1, 2]


# --- the index was made anew ------------------------------------------------------------------------------


def test_lanes_are_asked_for_again_when_the_index_was_made_anew() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=later())
    shell.finish(1, outcome=later())
    shell.acknowledge()
    assert shell.asked == [("a", 2), ("b", 2)]
    shell.give("b", head=LaneHead(2, 10**15))
    shell.tell(CaughtUp(HERE, lanes=[b"a", b"b"]))
    assert shell.asked == [("a", 2), ("b", 2)]
    shell.give("a", queued(0))
    assert shell.running == [queued(0)]
    shell.fetch("ab")
    assert shell.deferring == [queued(2), queued(3)]


def test_a_lane_that_is_in_memory_or_being_written_is_not_asked_for_again() -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=later())
    shell.finish(1, outcome=later())
    shell.acknowledge(1)
    assert shell.asked == [("a", 2)]
    shell.give("a", queued(0))
    shell.tell(CaughtUp(HERE, lanes=[b"a", b"b"]))
    assert shell.asked == []
    shell.finish(queued(0))
    shell.acknowledge()
    assert sorted(shell.asked) == [("a", 2), ("b", 2)]


def test_nothing_is_fed_twice_when_the_index_was_made_anew() -> None:
    shell = assigned()
    shell.fetch("ab")
    shell.tell(CaughtUp(HERE))
    shell.tell(CaughtUp(HERE, sources=[0, 1, 4]))
    assert shell.order == [0, 1]
    shell.fetch("---")
    assert shell.running == [0, 1, 2, 3], "4 is in the store"


def test_while_lanes_are_asked_for_the_owner_knows_that_calls_may_follow() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    assert shell.scheduler.following
    shell.give("a")
    assert not shell.scheduler.following
    shell.fetch("a")
    assert not shell.scheduler.following
