"""Somebody wants a call cancelled, or at another time, whatever state it is in."""

from __future__ import annotations

import pytest

from kjobs.core.deferred import End, Verdict
from kjobs.core.events import CancelAsked, MoveAsked
from tests.deferred.bench import PLACE, Bench, cancel, move, without_offset
from tests.deferred.calls import NOW, dated, free, names, parked

# --- to cancel -----------------------------------------------------------------------------------


def test_a_call_that_waits_is_cancelled() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"), cancel("a", "r"))
    assert names(bench.due()) == ["b"]
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert not bench.asked
    bench.assert_the_log_says_so()


def test_a_call_that_is_not_there_is_gone() -> None:
    bench = Bench()
    bench.written(cancel("a", "r"), cancel("b"))
    bench.settle()
    assert bench.verdict("r") is Verdict.GONE
    assert bench.end == 3


def test_a_call_is_cancelled_once() -> None:
    bench = Bench()
    bench.written(free("a"), cancel("a", "r"), cancel("a", "s"))
    bench.settle()
    assert (bench.verdict("r"), bench.verdict("s")) == (Verdict.CANCELLED, Verdict.GONE)


def test_nobody_is_told_who_did_not_ask() -> None:
    bench = Bench()
    bench.written(free("a"), cancel("a"))
    assert not bench.shelf.wishes
    assert bench.store.count == 0
    assert bench.store.position == bench.end


def test_the_scheduler_says_what_becomes_of_a_call_in_hand() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.written(cancel("a", "r"))
    assert bench.asked == [CancelAsked(PLACE, call.offset, "r", None)]
    assert bench.store.get("a") is None
    assert not bench.shelf.wishes
    bench.shelf.answer("r", Verdict.STARTED)
    bench.settle()
    assert bench.verdict("r") is Verdict.STARTED
    bench.order(End(id="a", of=call.offset))
    bench.settle()
    assert bench.verdict("r") is Verdict.STARTED
    bench.assert_the_log_says_so()


def test_the_scheduler_hears_of_a_call_in_hand_though_nobody_asked() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.written(cancel("a"))
    assert bench.asked == [CancelAsked(PLACE, call.offset, "", None)]


def test_a_call_that_was_given_back_is_cancelled() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.shelf.release([call.offset])
    bench.written(cancel("a", "r"))
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert not bench.due(NOW + 99)


def test_a_call_of_a_lane_is_cancelled_and_its_lane_goes_on() -> None:
    bench = Bench()
    bench.written(dated("a"), parked("b@1", 1), parked("c@2", 2))
    bench.written(cancel("a", "r"), cancel("b@1"))
    assert names(bench.lane().rows) == ["c@2"]
    assert not bench.due()
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED


def test_what_came_from_the_queue_is_for_the_scheduler_to_answer() -> None:
    """It may come from there again if nobody has committed yet that it does not."""
    bench = Bench()
    bench.written(parked("a@7", 7), cancel("a@7", "r"))
    assert bench.asked == [CancelAsked(PLACE, 0, "r", 7)]
    assert not bench.shelf.wishes
    bench.shelf.answer("r", Verdict.CANCELLED)
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert bench.store.count == 0


# --- to move -------------------------------------------------------------------------------------


def test_a_call_that_waits_is_moved() -> None:
    bench = Bench()
    bench.written(free("a", 5), move("a", 50, "r"))
    assert not bench.due(NOW + 9), "it may begin before the new time though that was promised"
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert not bench.due(NOW + 49)
    assert names(bench.due(NOW + 50)) == ["a"]
    bench.assert_the_log_says_so()


def test_a_call_is_moved_to_an_earlier_time() -> None:
    bench = Bench()
    bench.written(free("a", 500), move("a", 5, "r"))
    bench.settle()
    assert bench.shelf.next_due() == NOW + 5
    assert names(bench.due(NOW + 5)) == ["a"]
    assert bench.verdict("r") is Verdict.MOVED


def test_nobody_is_told_that_a_call_is_moved_before_the_log_says_so() -> None:
    bench = Bench()
    bench.written(free("a", 5), move("a", 50, "r"))
    (wish,) = bench.shelf.wishes
    assert wish.id == "a"  # type: ignore[union-attr]
    bench.grant()
    assert not bench.shelf.wishes
    bench.acknowledge()
    assert [type(wish).__name__ for wish in bench.shelf.wishes] == ["Answered"]


def test_a_call_that_is_not_there_is_not_moved() -> None:
    bench = Bench()
    bench.written(move("a", 50, "r"))
    bench.settle()
    assert bench.verdict("r") is Verdict.GONE
    assert bench.store.count == 0


def test_a_call_gives_up_its_place_when_it_is_moved() -> None:
    bench = Bench()
    bench.written(parked("a", 3, turn=1), parked("b@3", 3), move("a", 50, "r"))
    bench.settle()
    assert names(bench.lane().rows) == ["b@3"]
    assert names(bench.due(NOW + 50)) == ["a"]


def test_its_time_to_start_moves_with_a_call() -> None:
    bench = Bench()
    value = b'{"job":"j","expires":%d}' % (NOW + 7)
    bench.written(free("a", 5, value=value), move("a", 50, "r"))
    bench.settle()
    bench.written(move("a", 60, "s"))
    bench.settle()
    assert bench.store.get("a").expires_ms == NOW + 62  # type: ignore[union-attr]


def test_a_call_can_be_moved_again_and_again() -> None:
    bench = Bench()
    bench.written(free("a", 5), move("a", 50, "r"), move("a", 60, "s"), move("a", 70, "t"))
    bench.settle()
    assert [bench.verdict(request) for request in "rst"] == [Verdict.MOVED] * 3
    assert bench.store.get("a").due_ms == NOW + 70  # type: ignore[union-attr]
    bench.assert_the_log_says_so()


def test_the_scheduler_says_whether_a_call_in_hand_can_be_moved() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    a, b = bench.due()
    bench.written(move("a", 50, "r"), move("b", 50, "s"))
    assert bench.asked == [MoveAsked(PLACE, a.offset, "r", None), MoveAsked(PLACE, b.offset, "s", None)]
    bench.shelf.answer("r", Verdict.MOVED)
    bench.shelf.answer("s", Verdict.STARTED)
    bench.settle()
    assert (bench.verdict("r"), bench.verdict("s")) == (Verdict.MOVED, Verdict.STARTED)
    assert names(bench.due(NOW + 50)) == ["a"]
    bench.finish(b)
    bench.assert_the_log_says_so()


def test_a_call_that_the_scheduler_let_go_of_is_given_to_nobody_before_its_new_time() -> None:
    bench = Bench()
    bench.written(free("a"))
    bench.due()
    bench.written(move("a", 50, "r"))
    bench.shelf.answer("r", Verdict.MOVED)
    for step in (bench.grant, bench.read, bench.acknowledge, bench.settle):
        step()
        assert not bench.due(NOW + 49)
    assert len(bench.due(NOW + 50)) == 1


def test_a_call_that_ends_before_the_scheduler_answers_is_not_moved() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.written(move("a", 50, "r"))
    bench.order(End(id="a", of=call.offset))
    bench.shelf.answer("r", Verdict.STARTED)
    bench.settle()
    assert bench.verdict("r") is Verdict.STARTED
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_a_call_that_goes_on_while_the_scheduler_answers_is_moved() -> None:
    """Its retry is on its way when somebody wants it at another time."""
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.defer(call, 5, failures=1)
    bench.append(move("a", 50, "r"))
    bench.read()
    for event in bench.asked:
        bench.shelf.answer(event.request, Verdict.MOVED)
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert not bench.due(NOW + 49)
    (again,) = bench.due(NOW + 50)
    assert again.failures == 1
    bench.assert_the_log_says_so()


# --- one after the other -------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["read", "written", "acknowledged"])
def test_a_call_that_is_moved_and_cancelled_at_once_is_cancelled(until: str) -> None:
    bench = Bench()
    bench.written(free("a", 5), move("a", 50, "r"))
    if until != "read":
        bench.grant()
    if until == "acknowledged":
        bench.acknowledge()
    bench.written(cancel("a", "s"))
    bench.settle()
    assert bench.verdict("s") is Verdict.CANCELLED
    assert bench.verdict("r") in (Verdict.MOVED, Verdict.GONE)
    assert bench.store.count == 0
    assert not bench.due(NOW + 99)
    bench.assert_the_log_says_so()


def test_a_call_that_is_cancelled_and_put_in_again_waits() -> None:
    bench = Bench()
    bench.written(free("a", 5), cancel("a", "r"), free("a", 9))
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert bench.waiting("a") == without_offset(free("a", 9))
    bench.assert_the_log_says_so()


def test_a_call_that_is_put_in_again_while_it_is_moved_stays_as_it_was_put_in() -> None:
    bench = Bench()
    bench.written(free("a", 5, value=b"old"), move("a", 50, "r"))
    bench.append(free("a", 9, value=b"new"))
    bench.grant()
    bench.settle()
    assert bench.waiting("a") == without_offset(free("a", 9, value=b"new"))
    assert bench.verdict("r") is not None
    bench.assert_the_log_says_so()


def test_a_wish_holds_the_position_back_until_it_is_answered() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    bench.due()
    bench.written(free("c"), cancel("a", "r"), free("d"), move("b", 50, "s"), free("e"))
    assert bench.store.position == 3
    bench.shelf.answer("r", Verdict.STARTED)
    bench.settle()
    assert bench.store.position == 5
    bench.shelf.answer("s", Verdict.STARTED)
    bench.settle()
    assert bench.store.position == bench.end
    assert bench.store.count == 4


@pytest.mark.parametrize("warm", [False, True], ids=["from nothing", "from an index"])
@pytest.mark.parametrize("taken", [False, True], ids=["waits", "in hand"])
def test_a_wish_that_nobody_answered_is_answered_by_the_next_owner(*, taken: bool, warm: bool) -> None:
    bench = Bench()
    bench.written(free("a"), free("b", 1 if taken else 5))
    if taken:
        bench.due(NOW + 1)
    bench.written(cancel("a", "r"), move("b", 50, "s"), move("gone", 50, "t"))
    successor = bench.successor(warm=warm)
    successor.settle()
    assert successor.verdict("r") in (Verdict.CANCELLED, Verdict.GONE)
    assert successor.verdict("s") is Verdict.MOVED
    assert successor.verdict("t") is Verdict.GONE
    assert names(successor.due(NOW + 99)) == ["b"]
    successor.assert_the_log_says_so()


def test_a_garbage_wish_for_another_time_holds_nothing_back() -> None:
    bench = Bench()
    bench.written(move("", 5, "r"), free("a"))
    bench.settle()
    assert bench.verdict("r") is Verdict.GONE
    assert bench.store.position == bench.end


def test_a_lane_that_loses_a_call_to_another_time_is_told() -> None:
    bench = Bench()
    bench.written(parked("a", 3, turn=1), parked("b@3", 3), move("a", 50, "r"))
    bench.grant()
    bench.acknowledge()
    assert bench.lanes_told == [b"k"]


def test_who_takes_a_call_out_is_not_answered_with_a_later_one() -> None:
    """The index knows what was put in after it; the wish is read again because nobody has answered."""
    bench = Bench()
    bench.written(free("a"), cancel("a", "r"), free("a", 9, value=b"new"))
    successor = bench.successor(warm=True)
    successor.settle()
    assert successor.verdict("r") in (Verdict.CANCELLED, Verdict.GONE)
    assert successor.waiting("a") == without_offset(free("a", 9, value=b"new"))


def test_the_scheduler_lets_go_of_a_call_that_was_put_in_again() -> None:
    bench = Bench()
    bench.written(free("a"))
    (old,) = bench.due()
    bench.written(free("a", 5))
    assert bench.asked == [CancelAsked(PLACE, old.offset, "", None)]
    assert len(bench.due(NOW + 5)) == 1
    bench.settle()
    assert bench.end == 2, "nobody asked"
