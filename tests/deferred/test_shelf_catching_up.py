"""A shelf reads the log of a partition that it has just been given."""

from __future__ import annotations

from kjobs.core.deferred import Answered, End, Kind, Verdict
from kjobs.core.events import CaughtUp
from kjobs.deferred.memory import MemoryStore
from tests.deferred.bench import Bench, cancel, move, without_offset
from tests.deferred.calls import NOW, OWNER, dated, ended, free, names, parked

BEFORE = (4, "before")


def test_nothing_is_told_before_the_log_is_read() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), dated("b"), parked("c@1", 1, due_ms=NOW))
    bench.read(2)
    assert bench.shelf.next_due() is None
    bench.read()
    assert bench.shelf.next_due() is None
    bench.catch_up()
    assert bench.shelf.next_due() == NOW


def test_it_is_told_which_lanes_and_sources_there_are_and_which_turn_was_the_last() -> None:
    bench = Bench(caught_up=False, read_from=6)
    bench.append(
        free("a"),
        parked("b@5", 5, b"x"),
        parked("c@8", 8, b"x"),
        parked("d", 7, b"y", turn=4),
        parked("e@9", 9, b"z", relaxed=True),
        dated("f"),
    )
    bench.catch_up()
    assert set(bench.start.lanes) == {b"x", b"y"}
    assert set(bench.start.sources) == {8, 9}
    assert bench.start.last_turn == 4
    assert isinstance(bench.events[0], CaughtUp)


def test_ranks_in_a_queue_that_is_no_more_come_before_all_others() -> None:
    bench = Bench(topic_id="new")
    bench.written(
        parked("a@0", 0, topic_id="new"),
        parked("b@7", 7, topic_id="old"),
        parked("c@3", 3, topic_id="old"),
        parked("d@9", 9, topic_id="new"),
    )
    found = bench.lane(read=10)
    assert names(found.rows) == ["c@3", "b@7", "a@0", "d@9"]
    # Of whatever topic they are: nothing of it is in the queue that is read.
    successor = Bench(bench.log, topic_id="new", read_from=0)
    assert set(successor.start.sources) == {0, 9}


def test_the_log_counts_from_where_the_index_ends() -> None:
    first = Bench()
    first.written(free("a"), free("b"), cancel("a"))
    second = Bench(first.log, store=MemoryStore(first.store.rows, first.store.position))
    assert second.store.count == 1
    assert second.store.position == 3
    second.written(free("c"))
    assert names(second.due()) == ["b", "c"]


def test_a_later_part_of_the_log_may_overrule_an_earlier_one() -> None:
    """As compaction leaves it, or not."""
    bench = Bench(caught_up=False)
    old, *_ = bench.append(free("a", 1), free("a", 5), ended("b"), free("b"))
    bench.append(End(id="a", of=old.offset, owner=BEFORE))
    bench.catch_up()
    assert bench.store.get("a") is not None
    bench.settle()
    bench.assert_the_log_says_so()
    assert bench.waiting("a") == without_offset(free("a", 5))


def test_what_somebody_has_put_right_already_is_not_put_right_again() -> None:
    bench = Bench(caught_up=False)
    old, new = bench.append(free("a", 1), free("a", 5))
    bench.append(End(id="a", of=old.offset, owner=BEFORE))
    bench.append(free("a", 5, of=new.offset, owner=BEFORE))
    bench.catch_up()
    assert not bench.shelf.wishes
    assert bench.store.position == bench.end


# --- wishes from before ------------------------------------------------------------------------------


def test_a_wish_to_cancel_is_answered_when_all_is_read() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), cancel("a", "r"), cancel("b", "s"))
    bench.read()
    assert not bench.shelf.wishes
    assert bench.store.position == 1, "whoever comes next must find the wishes"
    bench.catch_up()
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert bench.verdict("s") is Verdict.GONE
    assert bench.store.count == 0
    assert bench.store.position == bench.end


def test_a_wish_to_cancel_does_not_touch_a_later_call_of_that_id() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), cancel("a", "r"), free("a", 5))
    bench.catch_up()
    bench.settle()
    assert bench.verdict("r") is Verdict.CANCELLED
    assert bench.waiting("a") == without_offset(free("a", 5))


def test_a_wish_for_another_time_is_granted_when_all_is_read() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), move("a", 50, "r"), move("b", 60, "s"))
    bench.catch_up()
    assert not bench.due(NOW)
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert bench.verdict("s") is Verdict.GONE
    assert names(bench.due(NOW + 50)) == ["a"]


def test_of_two_wishes_for_another_time_the_last_counts() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), move("a", 50, "r"), move("a", 60, "s"))
    bench.catch_up()
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert bench.verdict("s") is Verdict.MOVED
    assert bench.store.get("a").due_ms == NOW + 60  # type: ignore[union-attr]
    bench.assert_the_log_says_so()


def test_a_wish_that_was_answered_is_not_answered_again() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), cancel("a", "r"), Answered(request="r", verdict=Verdict.CANCELLED))
    bench.append(free("b"), move("b", 50, "s"))
    bench.append(free("b", 50, of=3, owner=BEFORE), Answered(request="s", verdict=Verdict.MOVED))
    bench.catch_up()
    assert not bench.shelf.wishes
    assert bench.store.position == bench.end
    assert bench.store.get("b").due_ms == NOW + 50  # type: ignore[union-attr]


def test_a_wish_that_was_granted_and_not_answered_is_answered_only() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), move("a", 50, "r"), free("a", 50, of=0, owner=BEFORE))
    bench.catch_up()
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert bench.end == 4


def test_a_wish_from_before_the_call_was_moved_by_another_is_not_granted_again() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"), move("a", 50, "r"), free("a", 50, of=0, owner=BEFORE))
    bench.append(move("a", 90, "s"), free("a", 90, of=2, owner=BEFORE))
    bench.append(Answered(request="s", verdict=Verdict.MOVED))
    bench.catch_up()
    bench.settle()
    assert bench.verdict("r") is Verdict.MOVED
    assert bench.store.get("a").due_ms == NOW + 90  # type: ignore[union-attr]


def test_a_call_that_went_on_after_it_was_cancelled_is_not_there() -> None:
    """Its owner had written that it goes on before it read that it is cancelled, and was gone then."""
    bench = Bench(caught_up=False)
    bench.append(free("a"), cancel("a", "r"), free("a", 5, of=0, owner=BEFORE, failures=1))
    bench.catch_up()
    bench.settle()
    assert bench.store.get("a") is None
    assert bench.verdict("r") is Verdict.CANCELLED
    bench.assert_the_log_says_so()


def test_a_call_of_a_later_owner_is_taken_as_it_is() -> None:
    """Before all is read nobody knows who is the owner."""
    bench = Bench(caught_up=False, epoch=3)
    bench.append(free("a"), free("a", 5, of=0, owner=(9, "later"), failures=2))
    bench.catch_up()
    assert bench.store.get("a").failures == 2  # type: ignore[union-attr]
    assert not bench.shelf.wishes


def test_an_end_that_goes_on_from_nothing_that_is_left_is_no_matter() -> None:
    bench = Bench(caught_up=False)
    bench.append(End(id="a", of=0, owner=OWNER), cancel("b"))
    bench.catch_up()
    assert bench.store.count == 0
    assert bench.store.position == 2
    assert all(bench.store.next_due(kind) is None for kind in Kind)


def test_a_call_that_was_cancelled_while_nobody_looked_is_passed_over_in_the_queue() -> None:
    bench = Bench(caught_up=False, read_from=2)
    bench.append(parked("a@3", 3, b"x"), cancel("a@3"))
    bench.catch_up()
    assert bench.store.count == 0
    assert set(bench.start.sources) == {3}
