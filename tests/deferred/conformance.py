"""What every deferred store must do, whatever keeps it: one suite, run on each of them.

A test module subclasses :class:`Conformance` and gives a fixture ``log``: a :class:`Log`, through which calls
are put into a fresh store as the log of a partition would bring them.

    class TestMemory(Conformance):
        @pytest.fixture
        def log(self) -> Log: ...

:mod:`.logs` has logs: one is made up, which any store can be put behind, and one is a topic of a real Kafka.
What must hold in the corners of what is told here is in :mod:`.corners`; it is part of the suite.
"""

from __future__ import annotations

import pytest

from kjobs.core.deferred import QUEUED, End, Kind, Row

from .calls import FAR, NOW, Log, dated, free, names, parked
from .corners import Corners


class Conformance(Corners):
    """The suite."""

    # --- putting in, replacing, ending -----------------------------------------------------------

    def test_an_empty_store_has_nothing(self, log: Log) -> None:
        store = log.store
        assert (store.count, store.position, store.lowest(), store.last_turn()) == (0, 0, None, 0)
        assert [store.next_due(kind) for kind in Kind] == [None, None, None]
        assert [list(store.due(kind, NOW, 10)) for kind in Kind] == [[], [], []]
        assert store.lane(b"k", FAR, NOW, 10) == ((), None) or store.lane(b"k", FAR, NOW, 10) == ([], None)
        assert not store.lanes()
        assert not store.sources(0)
        assert store.get("x") is None
        assert not store.taken("x")

    def test_a_call_is_found_by_its_id(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        assert log.store.get("a") == row
        assert log.store.count == 1

    def test_everything_of_a_call_comes_back(self, log: Log) -> None:
        (row,) = log.write(
            Row(
                id="a@7",
                value=b'{"job":"j","args":[1]}',
                due_ms=NOW + 5,
                key=b"k\x00\xff",
                failures=3,
                crashes=2,
                since_ms=NOW - 9,
                rank=(7, QUEUED),
                topic_id="id-of-topic",
                owner=(12, "abcd"),
                expires_ms=NOW + 99,
                headers=[("h", b"1"), ("h", b"\xff"), ("empty", b""), ("null", None)],
                state=b'{"page":7}',
                of=-1,
            )
        )
        found = log.store.get("a@7")
        assert found is not None
        assert list(found.headers or ()) == list(row.headers)
        changed = {name: getattr(found, name) for name in found.__struct_fields__ if name != "headers"}
        assert changed == {name: getattr(row, name) for name in row.__struct_fields__ if name != "headers"}

    def test_a_relaxed_call_is_one_without_a_lane(self, log: Log) -> None:
        log.write(dated("a", relaxed=True), parked("b@3", 3, relaxed=True))
        assert names(log.store.due(Kind.FREE, NOW, 10)) == ["b@3", "a"]
        assert not log.store.lanes()

    def test_a_later_record_replaces_an_earlier_one(self, log: Log) -> None:
        log.write(free("a", 5))
        (later,) = log.write(free("a", 9))
        assert log.store.get("a") == later
        assert log.store.count == 1
        assert log.store.next_due(Kind.FREE) == NOW + 9

    def test_replacing_in_one_go_leaves_the_last(self, log: Log) -> None:
        *_, last = log.write(free("a", 5), free("b"), free("a", 9))
        assert log.store.get("a") == last
        assert log.store.count == 2

    def test_an_end_takes_a_call_out(self, log: Log) -> None:
        log.write(free("a"), free("b"))
        log.write(End(id="a"))
        assert log.store.get("a") is None
        assert log.store.count == 1
        assert names(log.store.due(Kind.FREE, NOW, 10)) == ["b"]

    def test_an_end_of_nothing_is_nothing(self, log: Log) -> None:
        log.write(End(id="a"), End(id="b", of=3, owner=(1, "w")))
        assert log.store.count == 0

    def test_a_call_may_come_again_after_its_end(self, log: Log) -> None:
        log.write(free("a"), End(id="a"), free("a", 3))
        assert log.store.count == 1
        assert log.store.next_due(Kind.FREE) == NOW + 3

    def test_an_end_of_an_earlier_record_leaves_a_later_one(self, log: Log) -> None:
        (old,) = log.write(free("a"))
        (new,) = log.write(free("a", 9))
        log.write(End(id="a", of=old.offset, owner=(1, "w")))
        assert log.store.get("a") == new
        assert list(log.applied().survivors) == ["a"]

    def test_an_end_of_the_present_record_ends_it(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        log.write(End(id="a", of=row.offset, owner=(1, "w")))
        assert log.store.get("a") is None
        assert not log.applied().survivors

    def test_going_on_from_an_earlier_record_does_not_replace_a_later_one(self, log: Log) -> None:
        (old,) = log.write(free("a"))
        (new,) = log.write(free("a", 9))
        log.write(free("a", 77, of=old.offset, failures=1, owner=(1, "w")))
        assert log.store.get("a") == new
        assert list(log.applied().survivors) == ["a"]

    def test_going_on_from_the_present_record_replaces_it(self, log: Log) -> None:
        (old,) = log.write(free("a"))
        (later,) = log.write(free("a", 77, of=old.offset, failures=1, owner=(1, "w")))
        assert log.store.get("a") == later

    def test_what_leaves_a_lane_is_told(self, log: Log) -> None:
        log.write(parked("a@1", 1), parked("b@2", 2, key=b"other"), dated("c"))
        log.write(End(id="a@1"), End(id="c"))
        assert set(log.applied().lanes) == {b"k"}

    def test_what_is_replaced_in_a_lane_is_told(self, log: Log) -> None:
        log.write(parked("a@1", 1))
        log.write(dated("a@1", 5))
        assert set(log.applied().lanes) == {b"k"}
        assert log.store.lane(b"k", FAR, NOW, 5)[0] in ((), [])
        assert log.store.next_due(Kind.DATED) == NOW + 5

    def test_new_calls_leave_no_lane(self, log: Log) -> None:
        log.write(parked("a@1", 1), free("b"))
        assert not log.applied().lanes

    # --- the position ----------------------------------------------------------------------------

    def test_the_position_follows_the_log(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        assert log.store.position == row.offset + 1
        (end,) = log.write(End(id="a"))
        assert log.store.position == end.offset + 1

    def test_calls_and_position_outlive_the_owner(self, log: Log) -> None:
        rows = log.write(free("a"), dated("b", 5), parked("c@4", 4))
        log.reopen()
        assert log.store.position == rows[-1].offset + 1
        assert log.store.count == 3
        assert [log.store.get(row.id) for row in rows] == list(rows)

    def test_what_was_taken_is_there_again_for_the_next_owner(self, log: Log) -> None:
        log.write(free("a"), dated("b"), parked("c@4", 4))
        log.store.due(Kind.FREE, NOW, 9)
        log.store.due(Kind.DATED, NOW, 9)
        log.store.lane(b"k", FAR, NOW, 9)
        log.reopen()
        assert not any(log.store.taken(name) for name in ("a", "b", "c@4"))
        assert names(log.store.due(Kind.FREE, NOW, 9)) == ["a"]
        assert names(log.store.due(Kind.DATED, NOW, 9)) == ["b"]
        assert set(log.store.lanes()) == {b"k"}

    def test_the_position_can_be_left_where_it_is(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        position = log.store.position
        later = free("b", offset=row.offset + 5)
        log.store.apply([later], None)
        assert log.store.position == position
        assert log.store.get("b") == later

    def test_a_record_that_was_taken_in_already_changes_nothing(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 1)
        log.store.apply([row], row.offset + 1)
        assert log.store.count == 1
        assert log.store.taken("a")

    def test_an_earlier_record_does_not_replace_a_later_one(self, log: Log) -> None:
        rows = log.write(free("a", 1), free("a", 9))
        log.store.apply([rows[0], End(id="a", offset=rows[0].offset)], None)
        assert log.store.get("a") == rows[1]

    # --- by time ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", [Kind.FREE, Kind.DATED])
    def test_what_is_due_comes_by_time(self, log: Log, kind: Kind) -> None:
        make = free if kind is Kind.FREE else dated
        log.write(make("late", 3), make("soon", 1), make("middle", 2), make("future", 50))
        assert names(log.store.due(kind, NOW + 10, 9)) == ["soon", "middle", "late"]
        assert log.store.next_due(kind) == NOW + 50

    def test_what_is_due_at_the_same_time_comes_as_it_was_put_in(self, log: Log) -> None:
        log.write(*(free(f"c{n}") for n in range(20)))
        assert names(log.store.due(Kind.FREE, NOW, 99)) == [f"c{n}" for n in range(20)]

    def test_nothing_is_due_before_its_millisecond(self, log: Log) -> None:
        log.write(free("a", 5), dated("b", 5))
        assert not log.store.due(Kind.FREE, NOW + 4, 9)
        assert not log.store.due(Kind.DATED, NOW + 4, 9)
        assert names(log.store.due(Kind.FREE, NOW + 5, 9)) == ["a"]
        assert names(log.store.due(Kind.DATED, NOW + 5, 9)) == ["b"]

    def test_no_more_are_given_than_wanted(self, log: Log) -> None:
        log.write(*(free(f"c{n}", n) for n in range(5)))
        assert names(log.store.due(Kind.FREE, NOW + 9, 2)) == ["c0", "c1"]
        assert names(log.store.due(Kind.FREE, NOW + 9, 2)) == ["c2", "c3"]
        assert names(log.store.due(Kind.FREE, NOW + 9, 2)) == ["c4"]
        assert not log.store.due(Kind.FREE, NOW + 9, 2)

    def test_what_is_taken_is_told_once_and_counted_still(self, log: Log) -> None:
        log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 9)
        assert log.store.taken("a")
        assert log.store.next_due(Kind.FREE) is None
        assert log.store.count == 1

    def test_the_kinds_do_not_mix(self, log: Log) -> None:
        log.write(free("a"), dated("b"), parked("c@1", 1, key=b"c", due_ms=NOW))
        assert names(log.store.due(Kind.DATED, NOW, 9)) == ["b"]
        assert names(log.store.due(Kind.RANKED, NOW, 9)) == ["c@1"]
        assert names(log.store.due(Kind.FREE, NOW, 9)) == ["a"]

    def test_what_is_released_is_due_again(self, log: Log) -> None:
        rows = log.write(free("a"), dated("b"))
        log.store.due(Kind.FREE, NOW, 9)
        log.store.due(Kind.DATED, NOW, 9)
        log.store.release([row.offset for row in rows])
        assert not log.store.taken("a")
        assert names(log.store.due(Kind.FREE, NOW, 9)) == ["a"]
        assert names(log.store.due(Kind.DATED, NOW, 9)) == ["b"]

    def test_what_is_held_is_given_to_nobody(self, log: Log) -> None:
        rows = log.write(free("a"), dated("b"), parked("c@1", 1))
        log.store.hold([row.offset for row in rows])
        assert [list(log.store.due(kind, NOW, 9)) for kind in (Kind.FREE, Kind.DATED)] == [[], []]
        assert not log.store.lane(b"k", FAR, NOW, 9)[0]
        assert all(log.store.taken(row.id) for row in rows)

    def test_releasing_or_holding_what_is_not_there_is_nothing(self, log: Log) -> None:
        log.write(free("a"))
        log.store.release([5_000])
        log.store.hold([5_001])
        assert names(log.store.due(Kind.FREE, NOW, 9)) == ["a"]

    def test_a_replaced_call_is_in_nobodys_hands(self, log: Log) -> None:
        log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 9)
        (new,) = log.write(free("a"))
        assert not log.store.taken("a")
        assert list(log.store.due(Kind.FREE, NOW, 9)) == [new]

    def test_a_call_that_ends_in_somebodys_hands_is_gone(self, log: Log) -> None:
        (row,) = log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 9)
        log.write(End(id="a", of=row.offset, owner=(1, "w")))
        log.store.release([row.offset])
        assert log.store.count == 0
        assert log.store.next_due(Kind.FREE) is None

    def test_times_from_the_beginning_to_the_year_9999(self, log: Log) -> None:
        last = 253_402_300_799_999
        log.write(free("last", last - NOW), free("first", -NOW))
        assert log.store.next_due(Kind.FREE) == 0
        assert names(log.store.due(Kind.FREE, NOW, 9)) == ["first"]
        assert log.store.next_due(Kind.FREE) == last

    # --- lanes -----------------------------------------------------------------------------------

    def test_a_lane_comes_by_place(self, log: Log) -> None:
        log.write(parked("c@9", 9), parked("a@2", 2), parked("b@5", 5), parked("x@1", 1, key=b"other"))
        rows, head = log.store.lane(b"k", FAR, NOW, 9)
        assert names(rows) == ["a@2", "b@5", "c@9"]
        assert head is None

    def test_a_delayed_call_is_before_the_one_of_the_queue_at_its_place(self, log: Log) -> None:
        log.write(parked("q@5", 5), parked("second", 5, turn=2), parked("first", 5, turn=1))
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["first", "second", "q@5"]

    def test_places_of_a_topic_that_is_no_more_come_first(self, log: Log) -> None:
        log.write(parked("new@0", 0), parked("old@1", -(1 << 52) + 1), parked("old@0", -(1 << 52)))
        assert names(log.store.lane(b"k", 1, NOW, 9)[0]) == ["old@0", "old@1", "new@0"]

    def test_what_the_queue_was_not_read_up_to_is_not_given(self, log: Log) -> None:
        log.write(parked("a@2", 2), parked("b@5", 5))
        rows, head = log.store.lane(b"k", 2, NOW, 9)
        assert not rows
        assert head is not None
        assert head.needs == 3
        assert names(log.store.lane(b"k", 3, NOW, 9)[0]) == ["a@2"]
        assert names(log.store.lane(b"k", 6, NOW, 9)[0]) == ["b@5"]

    def test_a_delayed_call_needs_only_what_is_before_it(self, log: Log) -> None:
        log.write(parked("d", 4, turn=1))
        assert names(log.store.lane(b"k", 4, NOW, 9)[0]) == ["d"]

    def test_a_head_that_is_not_due_holds_the_lane_and_is_told_when_it_is(self, log: Log) -> None:
        log.write(parked("a@1", 1, due_ms=NOW + 50), parked("b@2", 2))
        rows, head = log.store.lane(b"k", FAR, NOW, 9)
        assert not rows
        assert head is not None
        assert head.due_ms == NOW + 50
        assert log.store.next_due(Kind.RANKED) == NOW + 50
        assert names(log.store.due(Kind.RANKED, NOW + 50, 9)) == ["a@1"]
        assert names(log.store.lane(b"k", FAR, NOW + 50, 9)[0]) == ["a@1", "b@2"]

    def test_a_waiting_call_stops_what_is_behind_it(self, log: Log) -> None:
        log.write(parked("a@1", 1), parked("b@2", 2, due_ms=NOW + 50), parked("c@3", 3))
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["a@1"]

    def test_a_lane_that_is_due_is_told_once(self, log: Log) -> None:
        log.write(parked("a@1", 1, due_ms=NOW))
        assert names(log.store.due(Kind.RANKED, NOW, 9)) == ["a@1"]
        assert not log.store.due(Kind.RANKED, NOW, 9)
        assert not log.store.taken("a@1")
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["a@1"]

    def test_parked_calls_are_told_of_by_nobody(self, log: Log) -> None:
        log.write(parked("a@1", 1))
        assert log.store.next_due(Kind.RANKED) is None

    def test_no_more_of_a_lane_is_given_than_wanted(self, log: Log) -> None:
        log.write(*(parked(f"c@{n}", n) for n in range(1, 6)))
        assert names(log.store.lane(b"k", FAR, NOW, 2)[0]) == ["c@1", "c@2"]
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["c@3", "c@4", "c@5"]
        rows, head = log.store.lane(b"k", FAR, NOW, 9)
        assert not rows
        assert head is None

    def test_what_is_released_of_a_lane_comes_back_in_its_order(self, log: Log) -> None:
        rows = log.write(*(parked(f"c@{n}", n) for n in range(1, 4)))
        log.store.lane(b"k", FAR, NOW, 9)
        log.store.release([row.offset for row in rows[1:]])
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["c@2", "c@3"]

    def test_all_lanes_are_told_with_what_their_heads_need(self, log: Log) -> None:
        log.write(
            parked("a@9", 9, key=b"a"),
            parked("a@4", 4, key=b"a"),
            parked("b", 7, key=b"b", turn=3),
            dated("c", key=b"c"),
            free("d"),
        )
        assert dict(log.store.lanes()) == {b"a": 5, b"b": 7}

    def test_every_lane_is_told_of_after_all_were_asked_for(self, log: Log) -> None:
        log.write(parked("a@4", 4, key=b"a"), parked("a@5", 5, key=b"a"), parked("b@6", 6, key=b"b"))
        log.store.lanes()
        assert sorted(names(log.store.due(Kind.RANKED, NOW, 9))) == ["a@4", "b@6"]

    def test_keys_are_bytes_of_any_kind(self, log: Log) -> None:
        keys = [b"", b"\x00", b"\xff\xfe", "é".encode(), b"a" * 1000]
        log.write(*(parked(f"c@{n}", n, key=key) for n, key in enumerate(keys)))
        assert set(log.store.lanes()) == set(keys)
        for n, key in enumerate(keys):
            assert names(log.store.lane(key, FAR, NOW, 9)[0]) == [f"c@{n}"]

    # --- for who takes over ----------------------------------------------------------------------

    def test_the_offsets_of_calls_that_came_from_the_queue(self, log: Log) -> None:
        log.write(
            parked("a@3", 3),
            parked("b@8", 8, relaxed=True),
            Row(id="c@9", value=b"{}", due_ms=NOW, rank=(9, QUEUED)),
            parked("d", 9, turn=1),
            free("e"),
        )
        assert set(log.store.sources(0)) == {3, 8, 9}
        assert set(log.store.sources(4)) == {8, 9}
        assert not log.store.sources(10)

    def test_the_last_turn_that_was_given(self, log: Log) -> None:
        log.write(parked("a", 3, turn=17), parked("b", 9, turn=4), parked("c@5", 5))
        assert log.store.last_turn() == 17

    def test_the_lowest_offset_that_counts(self, log: Log) -> None:
        rows = log.write(free("a"), free("b"), free("c"))
        assert log.store.lowest() == rows[0].offset
        log.write(End(id="a"), free("b"))
        assert log.store.lowest() == rows[2].offset

    # --- many, and odd ---------------------------------------------------------------------------

    def test_thousands_at_once(self, log: Log) -> None:
        log.write(*(free(f"c{n}", n % 7) for n in range(3_000)))
        assert log.store.count == 3_000
        rows = log.store.due(Kind.FREE, NOW + 10, 5_000)
        assert len({row.id for row in rows}) == 3_000
        assert [row.due_ms for row in rows] == sorted(row.due_ms for row in rows)
        log.write(*(End(id=row.id, of=row.offset, owner=(1, "w")) for row in rows))
        assert log.store.count == 0

    def test_a_large_call_comes_back_whole(self, log: Log) -> None:
        value = bytes(range(256)) * 800
        log.write(Row(id="a", value=value, due_ms=NOW))
        (row,) = log.store.due(Kind.FREE, NOW, 1)
        assert row.value == value

    def test_ids_need_be_no_text(self, log: Log) -> None:
        odd = b"\xff\x00id".decode("utf-8", "surrogateescape")
        log.write(free(odd))
        assert names(log.store.due(Kind.FREE, NOW, 9)) == [odd]
        assert log.store.taken(odd)
        log.write(End(id=odd))
        assert log.store.count == 0
