"""A shelf and calls that run and save how far they are: they stay in hand, and what counts is known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kjobs.core.deferred import End, Kind, Row
from kjobs.core.events import CancelAsked
from kjobs.deferred.memory import MemoryStore
from tests.deferred.bench import PLACE, Bench, cancel, live
from tests.deferred.calls import NOW, dated, free, parked

#: What came from the queue is not in the log before it saves for the first time.
CALLS = [free("a@3", rank=(3, 1 << 53)), parked("a@3", 3, due_ms=NOW)]
BEFORE = (4, "before")


def assert_in_hand(bench: Bench, row: Row) -> None:
    """Nobody is given a call, and the scheduler's word about it counts."""
    assert not bench.due(NOW + 9)
    assert not bench.lane(now_ms=NOW + 9).rows
    assert bench.store.taken(row.id)
    bench.finish(row)
    assert bench.store.count == 0
    assert not live(bench.log)


@pytest.mark.parametrize("call", CALLS, ids=["without a key", "with one"])
@pytest.mark.parametrize("steps", [("read", "acknowledge"), ("acknowledge", "read")])
def test_a_call_of_the_queue_that_saves_is_there_and_in_hand(call: Row, steps: tuple[str, ...]) -> None:
    bench = Bench()
    first = bench.save(call, "1", of=-1)
    for step in steps:
        getattr(bench, step)()
        assert not bench.due(NOW + 9)
        assert not bench.lane(now_ms=NOW + 9).rows
    assert bench.store.get("a@3") == first
    second = bench.save(first, "2")
    for step in steps:
        getattr(bench, step)()
    assert second.of == first.offset
    # The scheduler knows it by the first record.
    third = bench.save(first, "3")
    assert third.of == second.offset
    bench.settle()
    assert_in_hand(bench, first)


@pytest.mark.parametrize("call", [free("a"), dated("a")], ids=["free", "dated"])
def test_a_call_that_was_given_out_stays_given_out(call: Row) -> None:
    bench = Bench()
    bench.written(call)
    (given,) = bench.due()
    bench.save(replace(given, rank=(7, 2)), "1")
    bench.settle()
    bench.save(replace(given, rank=(7, 2)), "2")
    bench.settle()
    assert bench.store.get("a").state == b"2"  # type: ignore[union-attr]
    assert_in_hand(bench, given)


def test_when_it_waits_again_it_is_given_out_with_its_state() -> None:
    bench = Bench()
    first = bench.save(CALLS[0], "1", of=-1)
    bench.settle()
    bench.defer(first, 5, failures=1)
    bench.settle()
    (again,) = bench.due(NOW + 5)
    assert (again.state, again.failures) == (b"1", 1)


def test_what_was_refused_and_is_there_all_the_same_is_saved_again() -> None:
    bench = Bench()
    known = bench.save(CALLS[1], "1", of=-1)
    bench.shelf.refused(known)
    bench.unacked.clear()
    bench.read()
    assert not bench.due(NOW + 9)
    second = bench.save(CALLS[1], "2", of=-1)
    bench.settle()
    bench.assert_the_log_says_so()
    assert live(bench.log)["a@3"].state == b"2"
    assert_in_hand(bench, second)


def test_what_was_not_written_for_certain_leaves_nothing() -> None:
    bench = Bench()
    row = replace(CALLS[0], state=b"1")
    bench.shelf.withdrawn(bench.shelf.signed(row, stays=True))
    bench.settle()
    assert bench.store.count == 0
    assert not bench.log
    assert bench.shelf.may_write(row)


# --- others -------------------------------------------------------------------------------------------


def test_somebody_cancels_a_call_that_saves_for_the_first_time() -> None:
    bench = Bench()
    first = bench.save(CALLS[0], "1", of=-1)
    bench.append(cancel("a@3", "r"))
    bench.read()
    bench.acknowledge()
    assert bench.asked == [CancelAsked(PLACE, first.offset, "r", 3)], "after it was told that it is there"
    bench.settle()
    assert bench.store.count == 0


def test_somebody_cancels_one_whose_next_state_is_on_its_way() -> None:
    bench = Bench()
    first = bench.save(CALLS[0], "1", of=-1)
    bench.settle()
    bench.append(cancel("a@3", "r"))
    bench.save(first, "2")
    bench.settle()
    assert bench.asked == [CancelAsked(PLACE, first.offset, "r", 3)]
    assert not bench.due(NOW + 9)
    assert bench.store.count == 0
    assert not live(bench.log)


def test_somebody_puts_in_another_one_of_that_id() -> None:
    bench = Bench()
    bench.written(free("a"))
    (given,) = bench.due()
    (other,) = bench.append(free("a", 5))
    bench.save(given, "1")
    bench.settle()
    (found,) = bench.due(NOW + 5)
    assert (found.due_ms, found.state) == (other.due_ms, None)


# --- what counts --------------------------------------------------------------------------------------


def test_it_is_certain_when_it_is_read() -> None:
    bench = Bench()
    bench.append(free("b"))
    bench.save(CALLS[0], "1", of=-1)
    bench.acknowledge()
    assert not bench.shelf.is_certain("a@3"), "somebody else's may be before it"
    bench.read(1)
    assert not bench.shelf.is_certain("a@3")
    bench.read()
    assert bench.shelf.is_certain("a@3")


def test_what_a_former_owner_wrote_between_is_overruled_before_it_is_certain() -> None:
    bench = Bench(caught_up=False)
    bench.append(free("a"))
    bench.catch_up()
    (given,) = bench.due()
    bench.append(free("a", of=given.offset, owner=BEFORE, state=b"late"))
    bench.save(given, "1")
    bench.acknowledge()
    bench.read()
    assert live(bench.log)["a"].state == b"late", "to whoever reads it now"
    assert not bench.shelf.is_certain("a")
    bench.settle()
    assert bench.shelf.is_certain("a")
    assert live(bench.log)["a"].state == b"1"
    assert_in_hand(bench, given)


def test_what_a_former_owner_wrote_after_it_counts_for_no_reader() -> None:
    bench = Bench()
    bench.save(CALLS[1], "1", of=-1)
    bench.settle()
    (late,) = bench.append(parked("a@3", 3, due_ms=NOW, owner=BEFORE, state=b"late"))
    bench.append(replace(late, of=late.offset, offset=-1, failures=1))
    bench.append(End(id="a@3", of=late.offset + 1, owner=BEFORE))
    for warm in (False, True):
        heir = bench.successor(warm=warm)
        found = heir.store.get("a@3")
        assert found is not None
        assert found.state == b"1"
        heir.settle()
        heir.assert_the_log_says_so()


@pytest.mark.parametrize("saves", [1, 3])
def test_an_index_that_is_made_anew_has_it_in_hand(saves: int) -> None:
    bench = Bench()
    first = bench.save(CALLS[1], "0", of=-1)
    bench.settle()
    for n in range(1, saves):
        bench.save(first, str(n))
        bench.settle()
    bench.store = MemoryStore()
    bench.shelf.begin_anew(bench.store)
    bench.at = 0
    assert not bench.shelf.is_certain("a@3")
    bench.catch_up()
    bench.settle()
    assert bench.store.get("a@3").state == b"%d" % (saves - 1)  # type: ignore[union-attr]
    assert_in_hand(bench, first)


def test_the_next_owner_is_given_it_with_what_was_saved_last() -> None:
    bench = Bench()
    first = bench.save(CALLS[1], "1", of=-1)
    bench.settle()
    last = bench.save(first, "2")
    heir = bench.successor(warm=False)
    assert heir.start.lanes == (b"k",)
    assert set(heir.start.sources) == {3}
    assert list(heir.lane().rows) == [last]
    assert not heir.store.due(Kind.FREE, NOW, 9)


def test_what_was_said_once_more_and_twice_does_not_come_back_after_the_end() -> None:
    bench = Bench()
    bench.written(free("a"))
    (given,) = bench.due()
    known = bench.save(given, "1")
    bench.shelf.refused(known)
    bench.unacked.clear()
    bench.read()
    bench.save(given, "2")
    bench.acknowledge()
    bench.read()
    # What it owes is written, and again because nobody said that it was there.
    (wish,) = bench.shelf.wishes
    bench.append(wish)
    (again,) = bench.append(wish)
    bench.shelf.wishes.clear()
    bench.read(1)
    bench.order(End(id="a", of=given.offset))
    bench.acknowledge()
    bench.shelf.acknowledged([again], wished=True)
    bench.settle()
    assert not bench.due(NOW + 9)
    assert bench.store.count == 0
