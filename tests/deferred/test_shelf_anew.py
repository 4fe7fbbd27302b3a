"""The index is lost in mid-life: the log is read again while calls are in hand and records on their way."""

from __future__ import annotations

import pytest

from kjobs.core.deferred import End, Verdict
from kjobs.core.events import CancelAsked, MoveAsked
from kjobs.deferred.memory import MemoryStore
from tests.deferred.bench import Bench, cancel, move, without_offset
from tests.deferred.calls import NOW, dated, free, names, parked


def lost(bench: Bench) -> None:
    """The index is gone, and another one begun."""
    bench.store = MemoryStore()
    bench.shelf.begin_anew(bench.store)
    bench.at = 0
    bench.events.clear()


def test_nothing_is_told_until_the_log_is_read_again() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    lost(bench)
    bench.read(1)
    assert bench.shelf.next_due() is None
    bench.catch_up()
    assert names(bench.due()) == ["a", "b"]


def test_what_is_in_hand_stays_there() -> None:
    bench = Bench()
    bench.written(free("a"), dated("b"), parked("c@1", 1), free("d", 5))
    in_hand = [*bench.due(), *bench.lane().rows]
    lost(bench)
    bench.catch_up()
    assert not bench.due()
    assert not bench.lane().rows
    assert not bench.start.lanes
    assert all(bench.store.taken(row.id) for row in in_hand)
    for row in in_hand:
        bench.finish(row)
    assert names(bench.due(NOW + 9)) == ["d"]
    assert bench.store.count == 1
    bench.assert_the_log_says_so()


def test_lanes_are_told_again() -> None:
    bench = Bench()
    bench.written(parked("a@1", 1, due_ms=NOW))
    bench.due()
    lost(bench)
    bench.catch_up()
    assert list(bench.start.lanes) == [b"k"]
    bench.due()
    assert bench.lanes_told == [b"k"]


def test_what_is_given_back_meanwhile_is_given_out_again() -> None:
    bench = Bench()
    bench.written(free("a"), parked("b@1", 1))
    (a,) = bench.due()
    (b,) = bench.lane().rows
    lost(bench)
    bench.shelf.release([a.offset, b.offset])
    bench.catch_up()
    assert bench.due() == [a]
    assert list(bench.lane().rows) == [b]


@pytest.mark.parametrize("seen", [0, 1, 2], ids=["before", "after its call", "after its end"])
def test_an_end_that_is_acknowledged_meanwhile_counts(seen: int) -> None:
    """The call that it ends is read again; it must not come back, not even until the end is read again."""
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.order(End(id="a", of=call.offset))
    lost(bench)
    bench.read(seen)
    bench.acknowledge()
    bench.catch_up()
    assert not bench.due(NOW + 99)
    bench.settle()
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_an_end_that_was_acknowledged_before_counts() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.order(End(id="a", of=call.offset))
    bench.acknowledge()
    lost(bench)
    bench.read(1)
    bench.catch_up()
    assert not bench.due(NOW + 99)
    bench.settle()
    assert bench.store.count == 0


@pytest.mark.parametrize("seen", [0, 1, 2], ids=["before", "after its call", "after it"])
def test_a_retry_that_is_acknowledged_meanwhile_is_given_out_once(seen: int) -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    retry = bench.defer(call, -1, failures=1)
    lost(bench)
    bench.read(seen)
    bench.acknowledge()
    bench.catch_up()
    assert bench.due() == [retry]
    bench.settle()
    assert not bench.due(NOW + 99)
    bench.finish(retry)
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_a_deferred_call_that_is_acknowledged_meanwhile_is_there() -> None:
    bench = Bench()
    known = bench.order(parked("a@1", 1))
    lost(bench)
    bench.acknowledge()
    bench.catch_up()
    assert list(bench.lane().rows) == [known]
    assert not bench.lane().rows


def test_it_may_be_lost_twice() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    a, _ = bench.due()
    retry = bench.defer(a, 5, failures=1)
    lost(bench)
    bench.acknowledge()
    bench.read(1)
    lost(bench)
    bench.read(2)
    bench.catch_up()
    assert bench.due(NOW + 9) == [retry]
    bench.settle()
    bench.assert_the_log_says_so()


def test_a_call_in_hand_that_an_earlier_owner_wrote_of_stays_there() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.written(free("a", -5, of=call.offset, owner=(4, "before"), failures=1))
    bench.settle()
    lost(bench)
    bench.catch_up()
    assert not bench.due(NOW + 99), "it is given out while it runs"
    bench.finish(call)
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_a_call_that_was_put_in_again_is_given_out_beside_the_one_in_hand() -> None:
    bench = Bench()
    bench.written(free("a", value=b"old"))
    (old,) = bench.due()
    bench.written(free("a", value=b"new"))
    lost(bench)
    bench.catch_up()
    (new,) = bench.due()
    assert new.value == b"new"
    bench.finish(old)
    bench.finish(new)
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_who_cancels_a_call_in_hand_meanwhile_is_answered_by_the_scheduler() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.append(cancel("a", "r"))
    lost(bench)
    bench.catch_up()
    assert next(event for event in bench.asked if isinstance(event, CancelAsked)).offset == call.offset
    bench.shelf.answer("r", Verdict.STARTED)
    bench.settle()
    assert bench.verdict("r") is Verdict.STARTED


def test_who_moves_a_call_in_hand_meanwhile_is_answered_by_the_scheduler() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.append(move("a", 50, "r"))
    lost(bench)
    bench.catch_up()
    assert [event.offset for event in bench.asked if isinstance(event, MoveAsked)] == [call.offset]
    bench.shelf.answer("r", Verdict.MOVED)
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert names(bench.due(NOW + 50)) == ["a"]


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
@pytest.mark.parametrize("verdict", [Verdict.MOVED, Verdict.STARTED])
def test_a_wish_that_the_scheduler_was_asked_about_is_answered_once(verdict: Verdict, when: str) -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.written(move("a", 50, "r"))
    if when == "before":
        bench.shelf.answer("r", verdict)
        bench.grant()
    lost(bench)
    bench.read(1)
    if when == "meanwhile":
        bench.shelf.answer("r", verdict)
    bench.catch_up()
    if when == "after":
        bench.shelf.answer("r", verdict)
    bench.settle()
    assert bench.verdict("r") is verdict
    assert not bench.due(NOW + 49)
    if verdict:
        assert names(bench.due(NOW + 50)) == ["a"]
    else:
        bench.finish(call)
        assert bench.store.count == 0
    bench.assert_the_log_says_so()


@pytest.mark.parametrize("when", ["wished", "written", "acknowledged"])
def test_a_call_that_is_being_moved_is_given_to_nobody(when: str) -> None:
    bench = Bench()
    bench.written(free("a", 5), move("a", 50, "r"))
    if when != "wished":
        bench.grant()
    if when == "acknowledged":
        bench.acknowledge()
    lost(bench)
    bench.catch_up()
    assert not bench.due(NOW + 49)
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert names(bench.due(NOW + 50)) == ["a"]
    bench.assert_the_log_says_so()


def test_an_index_that_was_only_away_goes_on() -> None:
    """What is on from there is read again, and some of it is known."""
    bench = Bench()
    bench.written(free("a"), free("b"))
    (a, _) = bench.due()
    bench.append(free("c"))
    store = MemoryStore(bench.store.rows, bench.store.position)
    bench.store = store
    bench.shelf.begin_anew(store)
    bench.at = store.position
    bench.events.clear()
    bench.catch_up()
    assert names(bench.due()) == ["c"]
    bench.finish(a)
    assert {row.id for row in bench.store.rows} == {"b", "c"}
    assert bench.waiting("b") == without_offset(free("b"))


def test_what_ended_meanwhile_is_gone_before_its_end_is_read_again() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    a, _ = bench.due()
    bench.order(End(id="a", of=a.offset))
    lost(bench)
    bench.acknowledge()
    bench.read(2)
    bench.shelf.catch_up()
    assert not bench.due(NOW + 99), "the end of a is not read yet"
    bench.settle()
    assert {row.id for row in bench.store.rows} == {"b"}
    bench.written(free("a", 5))
    assert names(bench.due(NOW + 5)) == ["a"], "a new call has nothing to do with that end"


def test_an_end_that_was_read_before_does_not_count_against_what_is_read_again() -> None:
    bench = Bench()
    bench.written(free("a"))
    (a,) = bench.due()
    bench.finish(a)
    bench.written(free("a", 5))
    lost(bench)
    bench.catch_up()
    assert names(bench.due(NOW + 5)) == ["a"]
