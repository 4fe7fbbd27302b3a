"""What an earlier owner writes who does not know that it is one, and a later one that is not known yet."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kjobs.core.deferred import End, Row
from tests.deferred.bench import Bench, compacted, live, without_offset
from tests.deferred.calls import NOW, dated, free, names, parked

BEFORE, AFTER = (4, "before"), (6, "after")


def handed_over(*calls: Row) -> tuple[Bench, list[Row]]:
    """A shelf of the fifth epoch, with calls that were in the log before."""
    bench = Bench(caught_up=False)
    known = bench.append(*calls)
    bench.catch_up()
    return bench, known


@pytest.mark.parametrize("of", [0, -1], ids=["goes on", "anew"])
def test_a_late_record_about_a_call_that_waits_is_overruled(of: int) -> None:
    bench, (call,) = handed_over(free("a", 5))
    bench.written(free("a", 900, of=of, owner=BEFORE, failures=3))
    assert bench.waiting("a") == without_offset(call)
    assert names(bench.due(NOW + 5)) == ["a"]
    bench.settle()
    assert not bench.due(NOW + 999), "it is given out twice"
    bench.assert_the_log_says_so()


@pytest.mark.parametrize("of", [0, -1], ids=["goes on", "anew"])
def test_a_late_record_about_a_call_in_hand_is_overruled_and_the_call_stays_there(of: int) -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.written(free("a", -5, of=of, owner=BEFORE, failures=3))
    bench.settle()
    assert not bench.due(NOW + 999)
    bench.assert_the_log_says_so()
    bench.finish(call)
    assert bench.store.count == 0
    assert not live(bench.log)


def test_a_late_record_about_a_call_that_has_ended_does_not_bring_it_back() -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.finish(call)
    bench.written(free("a", -5, of=call.offset, owner=BEFORE, failures=1))
    assert not bench.due(NOW + 999)
    bench.settle()
    assert not live(bench.log)
    assert not live(compacted(bench.log))


def test_a_late_record_between_an_end_and_its_reading_does_not_bring_the_call_back() -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.append(free("a", -5, of=call.offset, owner=BEFORE, failures=1))
    bench.order(End(id="a", of=call.offset))
    bench.acknowledge()
    bench.settle()
    assert bench.store.get("a") is None
    assert not bench.due(NOW + 999)
    assert not live(bench.log)
    assert not live(compacted(bench.log))


def test_a_late_end_of_a_call_that_waits_is_overruled() -> None:
    """Its attempt was made by somebody whose partition it was no more; here it has another."""
    bench, (call,) = handed_over(free("a", 5))
    bench.written(End(id="a", of=call.offset, owner=BEFORE))
    bench.settle()
    assert bench.waiting("a") == without_offset(call)
    bench.assert_the_log_says_so()


def test_a_late_end_of_a_call_in_hand_is_overruled_and_the_call_stays_there() -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.written(End(id="a", of=call.offset, owner=BEFORE))
    bench.settle()
    assert bench.waiting("a") == without_offset(call)
    assert not bench.due(NOW + 999)
    bench.assert_the_log_says_so()
    bench.finish(call)
    assert not live(bench.log)


def test_a_late_end_of_an_earlier_record_is_overruled() -> None:
    bench, (old, _) = handed_over(free("a"), free("a", 5))
    bench.written(End(id="a", of=old.offset, owner=BEFORE))
    bench.settle()
    assert bench.waiting("a") == without_offset(free("a", 5))
    bench.assert_the_log_says_so()


def test_a_late_record_about_a_call_of_a_lane_does_not_change_its_place() -> None:
    bench, (call, _) = handed_over(parked("a@1", 1), parked("b@2", 2))
    bench.written(parked("a@1", 1, due_ms=NOW + 900, of=call.offset, owner=BEFORE))
    found = bench.lane()
    assert names(found.rows) == ["a@1", "b@2"]
    bench.settle()
    assert not bench.lane(now_ms=NOW + 999).rows
    bench.assert_the_log_says_so()


def test_a_call_in_hand_is_given_back_under_the_offset_it_was_given_with() -> None:
    bench, _ = handed_over(free("a"), dated("b"))
    a, b = bench.due()
    bench.written(free("a", -5, of=a.offset, owner=BEFORE), dated("b", -5, of=b.offset, owner=BEFORE))
    bench.settle()
    bench.shelf.release([a.offset, b.offset])
    again = bench.due()
    assert [(row.id, row.due_ms) for row in again] == [("a", NOW), ("b", NOW)]
    for row in again:
        bench.finish(row)
    assert not live(bench.log)


def test_a_call_in_hand_goes_on_under_the_offset_it_was_given_with() -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.written(free("a", -5, of=call.offset, owner=BEFORE, failures=9))
    bench.settle()
    retry = bench.defer(call, 5, failures=1)
    bench.settle()
    assert bench.due(NOW + 5) == [retry]
    bench.assert_the_log_says_so()


def test_an_owner_of_the_same_epoch_is_overruled_by_one_of_the_two() -> None:
    """Or both would write for ever."""
    one, other = (Bench([replace(free("a"), offset=0)], name=name) for name in ("a", "b"))
    other.log = one.log
    (call,) = one.due()
    one.defer(call, 900, failures=1)
    for _ in range(5):
        for bench in (one, other):
            bench.acknowledge()
            bench.read()
            assert not (bench is one and bench.shelf.wishes), "the first is overruled by the second"
            bench.grant()
    for bench in (one, other):
        assert not bench.shelf.wishes
        assert bench.waiting("a") == without_offset(call)
        bench.assert_the_log_says_so()


def test_what_a_later_owner_writes_is_taken_as_it_is() -> None:
    bench, (call, other, lane) = handed_over(free("a", 5), free("b"), parked("c@1", 1))
    bench.written(
        free("a", 900, of=call.offset, owner=AFTER, failures=1),
        End(id="b", of=other.offset, owner=AFTER),
        parked("c@1", 1, due_ms=NOW + 9, of=lane.offset, owner=AFTER),
        parked("d@2", 2, owner=AFTER),
    )
    assert not bench.shelf.wishes
    assert bench.store.get("b") is None
    assert bench.store.get("a").failures == 1  # type: ignore[union-attr]
    assert not bench.due()
    assert bench.store.position == bench.end
    bench.assert_the_log_says_so()


def test_what_both_owners_agree_on_is_not_said_again() -> None:
    bench, _ = handed_over(free("a"))
    (call,) = bench.due()
    bench.finish(call)
    bench.written(End(id="a", of=call.offset, owner=BEFORE))
    assert not bench.shelf.wishes


def test_a_call_that_was_said_once_more_is_not_lost_to_what_came_before_that() -> None:
    """An enqueuer puts it in again just before the owner says what it believed to be so."""
    bench, (call,) = handed_over(free("a", 5))
    bench.written(free("a", 900, of=call.offset, owner=BEFORE))
    bench.append(free("a", 7, value=b"new"))
    bench.grant()
    successor = bench.successor(warm=False)
    for one in (bench, successor):
        one.settle()
        assert one.waiting("a") == without_offset(free("a", 7, value=b"new"))
        one.assert_the_log_says_so()
