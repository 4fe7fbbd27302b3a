"""A shelf and what its own worker writes: read before it is acknowledged, or after."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from kjobs.core.deferred import End, Kind, Row
from kjobs.core.events import Due
from kjobs.deferred.memory import MemoryStore
from tests.deferred.bench import Bench, cancel, live
from tests.deferred.calls import NOW, dated, free, names, parked


def test_what_the_scheduler_orders_is_signed() -> None:
    bench = Bench(epoch=7, name="n")
    bench.written(free("a"))
    (call,) = bench.due()
    record = bench.shelf.signed(End(id="a", of=call.offset))
    assert record.owner == (7, "n")
    assert record.of == call.offset
    deferred = bench.shelf.signed(parked("b@3", 3))
    assert deferred.owner == (7, "n")
    assert deferred.of == -1


def test_a_call_is_there_as_soon_as_it_is_acknowledged() -> None:
    """Its lane may be asked for at once."""
    bench = Bench()
    known = bench.order(parked("a@3", 3))
    bench.acknowledge()
    assert list(bench.lane(read=4).rows) == [known]


@pytest.mark.parametrize("first", ["read", "acknowledge"])
def test_a_deferred_call_is_given_out_once(first: str) -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    retry = bench.defer(call, 5, failures=1)
    assert not bench.due(NOW + 9), "it is in hand until that is written"
    told = []
    for step in (first, *({"read", "acknowledge"} - {first})):
        getattr(bench, step)()
        told += bench.due(NOW + 9)
    assert told == [retry]
    assert not bench.due(NOW + 9)
    assert bench.store.taken("a")
    assert not bench.shelf.wishes


@pytest.mark.parametrize("first", ["read", "acknowledge"])
def test_a_call_that_has_ended_is_gone(first: str) -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    bench.order(End(id="a", of=call.offset))
    for step in (first, *({"read", "acknowledge"} - {first})):
        getattr(bench, step)()
        assert not bench.due(NOW + 99)
    assert bench.store.get("a") is None
    assert not bench.shelf.wishes
    bench.read()
    assert bench.store.position == bench.end


def test_what_is_read_after_it_went_on_does_not_come_back() -> None:
    """It is acknowledged and given out before it is read, and must be read before it may end."""
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    retry = bench.defer(call, 0, failures=1)
    bench.acknowledge()
    assert bench.due() == [retry]
    assert not bench.shelf.may_write(End(id="a", of=retry.offset))
    bench.read()
    bench.order(End(id="a", of=retry.offset))
    bench.acknowledge()
    bench.read()
    assert not bench.due(NOW + 99)
    assert bench.store.count == 0


def test_one_record_of_a_call_is_on_its_way_at_a_time() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"))
    a, b = bench.due()
    bench.order(End(id="a", of=a.offset))
    assert not bench.shelf.may_write(End(id="a", of=a.offset))
    assert bench.shelf.may_write(End(id="b", of=b.offset))
    bench.acknowledge()
    assert bench.shelf.may_write(End(id="a", of=a.offset))


def test_what_was_refused_may_be_written_again() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    end = End(id="a", of=call.offset)
    bench.shelf.refused(bench.shelf.signed(end))
    assert bench.shelf.may_write(end)
    bench.order(end)
    bench.settle()
    assert bench.store.count == 0
    bench.assert_the_log_says_so()


def test_what_was_refused_may_be_in_the_log_all_the_same() -> None:
    bench = Bench()
    bench.written(free("a"))
    (call,) = bench.due()
    known = bench.order(replace(call, due_ms=NOW + 5, of=call.offset, failures=1))
    bench.shelf.refused(known)
    bench.unacked.clear()
    bench.read()
    bench.defer(call, 5, failures=1)
    bench.settle()
    assert len(bench.due(NOW + 9)) == 1
    bench.assert_the_log_says_so()


def test_a_wish_that_was_refused_is_wished_again() -> None:
    bench = Bench()
    bench.written(cancel("a", "r"))
    (wish,) = bench.shelf.wishes
    bench.shelf.wishes.clear()
    bench.shelf.refused(wish, wished=True)
    assert bench.shelf.wishes == [wish]


def test_a_delayed_call_takes_its_place_and_comes_out_in_it() -> None:
    bench = Bench()
    bench.written(dated("a"), parked("b@3", 3))
    (call,) = bench.due(end=3)
    (due,) = [event for event in bench.events if isinstance(event, Due)]
    assert due.end == 3
    bench.order(replace(call, rank=(3, 1), topic_id="queue", of=call.offset))
    bench.acknowledge()
    assert names(bench.lane(read=9).rows) == ["a", "b@3"]
    bench.read()
    assert not bench.lane(read=9).rows


def test_a_lane_is_told_once_and_again_when_something_of_it_is_taken_out() -> None:
    bench = Bench()
    a, _ = bench.written(parked("a@1", 1, due_ms=NOW), parked("b@2", 2))
    assert not bench.due()
    assert bench.lanes_told == [b"k"]
    bench.due()
    assert bench.lanes_told == [b"k"]
    bench.written(cancel("a@1"))
    assert bench.lanes_told == [b"k", b"k"]
    assert names(bench.lane().rows) == ["b@2"]
    assert a.offset == 0


def test_what_the_scheduler_ordered_itself_is_not_told_of_lanes() -> None:
    bench = Bench()
    bench.written(parked("a@1", 1), parked("b@2", 2))
    found = bench.lane()
    bench.order(End(id="a@1", of=found.rows[0].offset))
    bench.acknowledge()
    assert not bench.lanes_told


def test_what_is_given_back_is_given_out_again() -> None:
    bench = Bench()
    bench.written(free("a"), parked("b@2", 2))
    (free_one,) = bench.due()
    (lane_one,) = bench.lane().rows
    bench.shelf.release([free_one.offset, lane_one.offset])
    assert bench.due() == [free_one]
    assert list(bench.lane().rows) == [lane_one]


def test_it_is_known_when_to_look_again() -> None:
    bench = Bench()
    assert bench.shelf.next_due() is None
    bench.written(free("a", 5), dated("b", 3), parked("c@1", 1, due_ms=NOW + 4))
    assert bench.shelf.next_due() == NOW + 3
    for now in (3, 4, 5):
        assert bench.shelf.next_due() == NOW + now
        bench.due(NOW + now)
    assert bench.shelf.next_due() is None
    (call,) = [row for row in (bench.store.get("a"),) if row]
    bench.shelf.release([call.offset])
    assert bench.shelf.next_due() == NOW + 5
    bench.written(cancel("a"))
    assert bench.shelf.next_due() is None


def test_nobody_asks_for_the_end_of_the_queue_for_calls_that_take_no_place_in_it() -> None:
    bench = Bench()
    bench.written(free("a"), parked("b@1", 1, due_ms=NOW))

    def end() -> int:
        raise AssertionError("it was asked for")

    assert len(bench.shelf.look(NOW, end)) == 2


def test_nothing_is_taken_when_the_end_of_the_queue_is_not_known() -> None:
    bench = Bench()
    bench.written(free("a"), dated("b"))

    def end() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        bench.shelf.look(NOW, end)
    assert names(bench.due()) == ["a", "b"]


def test_what_is_written_once_more_to_make_room_stays_as_it_is() -> None:
    bench = Bench()
    bench.written(free("a"), free("b"), dated("c", 5), parked("d@1", 1))
    (taken, *_) = bench.due(NOW)
    bench.shelf.lift(["a", "c", "d@1", "gone"])
    bench.settle()
    assert bench.store.lowest() == 1
    bench.assert_the_log_says_so()
    assert bench.store.taken(taken.id)
    assert names(bench.due(NOW + 9)) == ["c"]
    assert names(bench.lane().rows) == ["d@1"]
    bench.finish(taken)
    assert "a" not in live(bench.log)
    assert bench.store.next_due(Kind.FREE) is None


class BreaksOff(MemoryStore):
    """Fails when it is asked for the last kind."""

    def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Row]:
        if kind is Kind.RANKED:
            raise OSError("the disk is gone")
        return super().due(kind, now_ms, limit)


def test_what_was_taken_when_the_store_failed_is_given_out_when_it_is_there_again() -> None:
    """Nobody has heard of it."""
    bench = Bench(store=BreaksOff(), room=1)
    bench.written(free("a"), dated("b"), parked("c@1", 1, due_ms=NOW))
    with pytest.raises(OSError, match="gone"):
        bench.due()
    bench.store = MemoryStore()
    bench.shelf.begin_anew(bench.store)
    bench.at = 0
    bench.catch_up()
    assert names(bench.due()) == ["a", "b"]


def test_the_end_of_the_queue_is_told_with_calls_that_take_their_place_only() -> None:
    bench = Bench()
    bench.written(free("a"), dated("b"))
    bench.due(end=77)
    assert [event.end for event in bench.events if isinstance(event, Due)] == [0, 77]


def test_lanes_that_are_told_and_not_fetched_are_so_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kjobs.deferred.outlet._LANES", 2)
    bench = Bench()
    bench.written(*(parked(f"{n}@{n}", n, b"%d" % n, due_ms=NOW) for n in range(3)))
    bench.due()
    bench.due()
    assert bench.lanes_told == [b"0", b"1"]
    assert bench.shelf.next_due() is None
    bench.lane(b"0")
    assert bench.shelf.next_due() == NOW
    bench.due()
    assert bench.lanes_told == [b"0", b"1", b"2"]
    # Who reads the log anew has told of none.
    bench.store = MemoryStore()
    bench.shelf.begin_anew(bench.store)
    bench.at = 0
    bench.events.clear()
    bench.catch_up()
    bench.due()
    assert len(bench.lanes_told) == 2
