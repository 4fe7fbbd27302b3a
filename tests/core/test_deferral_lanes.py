"""Lanes come back from the store: when they are asked for, and when a key is in memory again."""

from __future__ import annotations

import pytest

from kjobs.core.commands import Start
from kjobs.core.deferral import PAUSE
from kjobs.core.deferred import QUEUED
from kjobs.core.events import Skipped
from kjobs.core.ports import LaneHead
from tests.core.shell import HERE, failure
from tests.core.storing import LONG, StoreShell, later, queued, stored


def behind_a_failing_call() -> StoreShell:
    """A lane of three, all of it in the store, and its head is due."""
    shell = stored()
    shell.fetch("aaa")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    shell.give("a", head=LaneHead(1, int((shell.now + LONG) * 1000)))
    assert shell.asked == [("a", 3)]
    shell.live(LONG)
    return shell


# --- when it is asked for -----------------------------------------------------------------------------


def test_a_lane_that_is_due_is_fetched_and_runs_in_its_order() -> None:
    shell = behind_a_failing_call()
    shell.lane_due("a", 1)
    assert shell.asked == [("a", 3)]
    assert shell.running == []
    shell.give("a", queued(0), queued(1), queued(2))
    for n in range(3):
        assert shell.running == [queued(n)]
        shell.finish(queued(n))
    assert shell.order == [0, queued(0), queued(1), queued(2)]


def test_what_comes_from_the_store_goes_before_what_waits_for_a_slot() -> None:
    shell = behind_a_failing_call()
    shell.lane_due("a", 1)
    starts = [command for command in shell.give("a", queued(0)) if isinstance(command, Start)]
    assert [start.first for start in starts] == [True]


def test_a_lane_is_asked_for_once() -> None:
    shell = behind_a_failing_call()
    shell.lane_due("a", 1)
    shell.lane_due("a", 1)
    shell.tell(Skipped(HERE, 9))
    assert shell.asked == [("a", 3)]
    shell.give("a", queued(0))
    shell.lane_due("a", 1)
    assert shell.asked == [], "something of it is in memory"


def test_a_lane_is_not_fetched_while_something_of_it_is_being_written() -> None:
    shell = stored()
    shell.fetch("aa")
    shell.finish(0, outcome=later())
    shell.lane_due("a", 1)
    assert shell.asked == []
    shell.acknowledge(1)
    assert shell.asked == []
    shell.acknowledge(1)
    assert shell.asked == [("a", 2)]


def test_a_lane_is_not_fetched_while_something_of_it_is_refused() -> None:
    shell = stored()
    shell.fetch("aa")
    shell.finish(0, outcome=later())
    shell.acknowledge(1)
    shell.refuse()
    shell.lane_due("a", 1)
    assert shell.asked == []
    shell.live(PAUSE)
    shell.acknowledge()
    assert shell.asked == [("a", 2)]


def test_a_lane_waits_until_the_queue_has_been_read_past_its_head() -> None:
    shell = StoreShell()
    shell.put_in("x", "a", rank=5)
    shell.assign(lanes=[b"a"], sources=[5])
    shell.lane_due("a", 6)
    shell.fetch("bbbbb")
    assert shell.asked == []
    shell.fetch("a")
    assert shell.asked == [("a", 6)], "5 is in the store already: it is passed over"
    assert shell.running == [0]
    assert shell.orders == []


def test_the_end_of_a_log_that_has_nothing_more_counts_as_read() -> None:
    shell = StoreShell()
    shell.assign(lanes=[b"a"])
    shell.lane_due("a", 6)
    shell.tell(Skipped(HERE, 5))
    assert shell.asked == []
    shell.tell(Skipped(HERE, 6))
    assert shell.asked == [("a", 6)]


def test_lanes_are_asked_for_in_the_order_in_which_the_queue_is_read() -> None:
    shell = StoreShell()
    shell.assign(lanes=[b"a", b"b", b"c"])
    for key, needs in (("a", 3), ("b", 1), ("c", 2)):
        shell.lane_due(key, needs)
    shell.fetch("-")
    assert shell.asked == [("b", 1)]
    shell.fetch("--")
    assert shell.asked == [("c", 3), ("a", 3)]


def test_calls_left_in_the_queue_that_come_before_the_head_run_before_it() -> None:
    # A worker had parked 2 and 3 behind 1, which it did not get to write before it died.
    shell = StoreShell()
    shell.put_in("two", "a", rank=2, due=0)
    shell.put_in("three", "a", rank=3, due=0)
    shell.assign(offset=1, lanes=[b"a"], sources=[2, 3])
    shell.lane_due("a", 3)
    shell.fetch("aaa")
    assert shell.deferring == [queued(1)], "of a key in the store all later calls are parked"
    shell.acknowledge()
    assert shell.asked == [("a", 4)]
    shell.give("a", queued(1), "two", "three")
    for name in (queued(1), "two", "three"):
        shell.finish(name)
    assert shell.order == [queued(1), "two", "three"]


# --- what is answered ---------------------------------------------------------------------------------


def test_a_head_that_needs_more_to_be_read_is_asked_for_then() -> None:
    shell = StoreShell()
    shell.assign(lanes=[b"a"])
    shell.lane_due("a", 0)
    shell.give("a", head=LaneHead(4, 0))
    shell.take(Start)
    assert shell.asked == [("a", 0)]
    shell.fetch("---")
    assert shell.asked == []
    shell.fetch("-")
    assert shell.asked == [("a", 4)]


def test_a_head_that_needed_more_is_asked_for_again_if_that_was_read_meanwhile() -> None:
    shell = StoreShell()
    shell.put_in("x", "a", rank=3, due=0)
    shell.assign(lanes=[b"a"], sources=[3])
    shell.lane_due("a", 0)
    assert shell.asked == [("a", 0)]
    shell.fetch("---a")
    shell.give("a", head=LaneHead(4, 0))
    assert shell.asked == [("a", 4)], "the store was told of 0 when it answered"
    shell.give("a", "x")
    assert "x" in shell.running


def test_a_head_that_is_not_due_is_left_to_the_store() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    assert shell.asked == [("a", 1)]
    shell.give("a", head=LaneHead(1, int((shell.now + LONG) * 1000)))
    shell.fetch("b")
    assert shell.asked == []
    assert shell.in_store == {"a"}


def test_a_lane_with_nothing_left_is_in_memory_again() -> None:
    shell = behind_a_failing_call()
    shell.lane_due("a", 1)
    shell.give("a", queued(0), queued(1), queued(2))
    for n in range(3):
        shell.finish(queued(n))
    shell.fetch("a")
    assert shell.deferring == [queued(3)], "nobody knows yet whether that was all"
    shell.acknowledge()
    assert shell.asked[-1] == ("a", 4)
    shell.give("a", queued(3))
    shell.finish(queued(3))
    shell.acknowledge()
    assert shell.asked == [("a", 4)]
    shell.give("a")
    assert shell.in_store == set()
    shell.fetch("aa")
    assert shell.orders == []
    assert shell.running == [4]
    shell.finish(4)
    assert shell.running == [5]


def test_a_call_parked_while_the_lane_was_found_empty_keeps_it_in_the_store() -> None:
    shell = StoreShell()
    shell.assign(lanes=[b"a"])
    shell.lane_due("a", 0)
    shell.fetch("a")
    shell.give("a")
    assert shell.in_store == {"a"}, "a call is on its way there"
    assert shell.asked == [("a", 0)]
    shell.acknowledge()
    assert shell.asked == [("a", 1)]
    shell.give("a", queued(0))
    assert shell.running == [queued(0)]


def test_a_lane_longer_than_a_batch_comes_in_batches() -> None:
    shell = behind_a_failing_call()
    shell.lane_due("a", 1)
    assert shell.asked == [("a", 3)]
    shell.give("a", queued(0), queued(1))
    shell.finish(queued(0))
    shell.finish(queued(1))
    assert shell.asked == [], "both are being erased"
    shell.acknowledge(1)
    assert shell.asked == []
    shell.acknowledge(1)
    assert shell.asked == [("a", 3)]
    shell.give("a", queued(2))
    assert shell.running == [queued(2)]


def test_a_lane_told_of_that_is_in_memory_is_looked_at_when_it_ends() -> None:
    shell = stored()
    shell.fetch("a")
    shell.lane_due("a", 0)
    assert shell.asked == []
    shell.finish(0)
    assert shell.asked == [("a", 1)]
    shell.give("a")
    assert shell.in_store == set()


def test_a_failing_call_of_memory_behind_which_a_lane_is_in_the_store_holds_it() -> None:
    shell = stored()
    shell.fetch("a")
    shell.lane_due("a", 0)
    shell.fetch("a")
    shell.acknowledge()
    shell.finish(0, outcome=failure())
    assert shell.asked == []
    shell.live(4)
    assert shell.running == [0]
    shell.finish(0)
    assert shell.asked == [("a", 2)]
    shell.give("a", queued(1))
    assert shell.order == [0, 0, queued(1)]


@pytest.mark.parametrize("order", [1, -1])
def test_other_keys_of_the_store_do_not_wait(order: int) -> None:
    shell = stored()
    shell.fetch("ab")
    shell.finish(0, outcome=later())
    shell.finish(1, outcome=later())
    shell.refuse(1)
    shell.acknowledge()
    keys = ["a", "b"][::order]
    for key in keys:
        shell.lane_due(key, 1)
    assert shell.asked == [("b", 2)]
    shell.give("b", queued(1))
    assert shell.running == [queued(1)]


def test_a_call_that_comes_back_knows_its_failures_and_its_place() -> None:
    shell = stored()
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    shell.live(LONG)
    shell.lane_due("a", 1)
    shell.give("a", queued(0))
    entry = shell.out[queued(0)]
    assert (entry.failures, entry.rank, entry.position, entry.offset) == (1, (0, QUEUED), 0, 0)
    assert entry.record.timestamp()[1] == shell.kept[queued(0)].since_ms
    assert (entry.record.key(), entry.record.value()) == (b"a", b'{"job":"j"}')
