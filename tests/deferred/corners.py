"""Cases of the conformance suite in which more than one thing happens, or something odd."""

from __future__ import annotations

import pytest

from kjobs.core.deferred import QUEUED, Kind
from kjobs.core.ports import LaneHead

from .calls import FAR, NOW, OWNER, Log, dated, ended, free, names, parked


def _sized(value: bytes | None) -> str:
    return "null" if value is None else f"{len(value)} bytes"


class Corners:
    """More of the suite."""

    # --- records ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("value", [None, b"", b"\0\xff"], ids=_sized)
    def test_a_value_may_be_nothing_or_no_text(self, log: Log, value: bytes | None) -> None:
        (call,) = log.write(free("a", value=value))
        assert log.store.get("a") == call
        assert call.value == value

    @pytest.mark.parametrize(
        "name", ["", "a@7", "später", "\udcff\udcfe", "nul\0nul", "x" * 2_000], ids=ascii
    )
    def test_an_id_may_be_anything(self, log: Log, name: str) -> None:
        call, other = log.write(free(name), free("other"))
        assert log.store.get(name) == call
        assert names(log.store.due(Kind.FREE, NOW, 1)) == [name]
        assert log.store.taken(name)
        log.write(ended(name, of=call.offset))
        assert log.store.get(name) is None
        assert log.store.get("other") == other

    def test_ids_that_look_alike_are_not_the_same(self, log: Log) -> None:
        calls = log.write(*(free(name) for name in ("a", "A", "a ", "a\0", "aa", "", "ä", "a\u0308")))
        assert log.store.count == len(calls)
        assert [log.store.get(call.id) for call in calls] == list(calls)

    def test_a_log_that_is_read_again_changes_nothing(self, log: Log) -> None:
        changes = log.write(free("a"), free("b"), ended("a"), parked("c@3", 3), free("d", 1), free("d", 2))
        taken = log.store.due(Kind.FREE, NOW, 9)
        log.store.apply(changes, None)
        assert names(taken) == ["b"]
        assert log.store.taken("b")
        assert log.store.count == 3
        assert [log.store.get(name) for name in ("b", "c@3", "d")] == [changes[1], changes[3], changes[5]]
        assert not log.store.due(Kind.FREE, NOW, 9)

    def test_an_older_end_does_not_end_a_later_call(self, log: Log) -> None:
        _, end, again = log.write(free("a"), ended("a"), free("a", 1))
        log.store.apply([end], None)
        assert log.store.get("a") == again

    def test_an_end_that_knows_of_later_records_ends_an_earlier_one(self, log: Log) -> None:
        call, last = log.write(free("a"), free("b"))
        log.write(ended("a", of=last.offset))
        assert log.store.get("a") is None
        assert call.offset < last.offset

    def test_an_end_of_no_record_in_particular_ends_whatever_is_there(self, log: Log) -> None:
        log.write(free("a"), free("a", 1))
        log.write(ended("a"))
        assert log.store.get("a") is None
        assert not log.applied().survivors

    def test_a_survivor_stays_in_the_hands_it_is_in(self, log: Log) -> None:
        old, new = log.write(free("a"), free("a"))
        log.store.due(Kind.FREE, NOW, 1)
        log.write(ended("a", of=old.offset))
        assert log.store.taken("a")
        log.store.release([new.offset])
        assert list(log.store.due(Kind.FREE, NOW, 1)) == [new]

    def test_what_goes_on_from_a_call_that_has_ended_is_put_in(self, log: Log) -> None:
        call, _ = log.write(free("a"), ended("a"))
        (retry,) = log.write(free("a", of=call.offset, owner=OWNER))
        assert log.store.get("a") == retry

    def test_a_call_put_in_anew_counts_more_than_what_goes_on_from_before(self, log: Log) -> None:
        """An owner's record may be taken in before an enqueuer's that is in front of it in the log."""
        (call,) = log.write(free("a"))
        store, first = log.store, call.offset
        anew = free("a", 2, offset=first + 1)
        retry = free("a", 1, of=first, owner=OWNER, offset=first + 2)
        store.apply([retry], None)
        store.due(Kind.FREE, NOW + 1, 9)
        assert list(store.apply([anew], None).survivors) == ["a"]
        assert store.get("a") == anew
        assert (store.count, store.next_due(Kind.FREE)) == (1, NOW + 2)
        assert not store.taken("a")
        # And when the log comes to the other one, all is as it would have been in its order.
        assert list(store.apply([retry], None).survivors) == ["a"]
        assert store.get("a") == anew

    def test_what_an_owner_wrote_in_the_knowledge_of_a_call_counts_more(self, log: Log) -> None:
        (call,) = log.write(free("a"))
        store, first = log.store, call.offset
        retry = free("a", 1, of=first + 1, owner=OWNER, offset=first + 2)
        store.apply([retry], None)
        assert not store.apply([free("a", 2, offset=first + 1)], None).survivors
        assert store.get("a") == retry

    def test_the_changes_of_a_batch_are_taken_in_in_their_order(self, log: Log) -> None:
        log.write(free("a"), free("a", 1), free("b"), ended("b"), free("c"), ended("a"))
        assert [log.store.get(name) is None for name in "abc"] == [True, True, False]
        *_, last = log.write(free("d"), ended("c"), free("c", 3))
        assert log.store.get("c") == last
        assert log.store.count == 2

    def test_new_calls_among_known_ones_are_all_taken_in(self, log: Log) -> None:
        log.write(free("b"))
        calls = log.write(free("a"), free("b"), free("c"), free("a", 1))
        assert log.store.count == 3
        assert [log.store.get(name) for name in "abc"] == [calls[3], calls[1], calls[2]]

    def test_the_position_may_change_without_calls_forward_and_back(self, log: Log) -> None:
        (call,) = log.write(free("a"))
        for position in (call.offset + 10, call.offset, 1 << 40):
            log.store.apply([], position)
            assert log.store.position == position
        assert log.store.count == 1

    # --- in hands --------------------------------------------------------------------------------

    def test_giving_back_a_record_that_was_replaced_does_not_give_back_the_other(self, log: Log) -> None:
        (old,) = log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 1)
        (new,) = log.write(free("a"))
        log.store.due(Kind.FREE, NOW, 1)
        log.store.release([old.offset])
        assert log.store.taken("a")
        assert not log.store.due(Kind.FREE, NOW, 1)
        log.store.release([new.offset])
        assert list(log.store.due(Kind.FREE, NOW, 1)) == [new]

    def test_what_is_given_back_comes_in_its_place(self, log: Log) -> None:
        a, b = log.write(free("a"), free("b", 1))
        log.store.due(Kind.FREE, NOW, 1)
        assert log.store.next_due(Kind.FREE) == NOW + 1
        log.store.release([a.offset])
        assert log.store.next_due(Kind.FREE) == NOW
        assert list(log.store.due(Kind.FREE, NOW + 1, 9)) == [a, b]

    def test_what_is_held_before_it_is_there_is_not_held(self, log: Log) -> None:
        (a,) = log.write(free("a"))
        log.store.hold([a.offset + 1, a.offset + 2])
        (b,) = log.write(free("b"))
        assert b.offset == a.offset + 1
        assert not log.store.taken("b")
        assert list(log.store.due(Kind.FREE, NOW, 9)) == [a, b]

    def test_what_is_held_is_left_out_of_its_lane(self, log: Log) -> None:
        a, b = log.write(parked("a@1", 1), parked("b@2", 2))
        log.store.hold([a.offset])
        assert dict(log.store.lanes()) == {b"k": 3}
        assert list(log.store.lane(b"k", FAR, NOW, 9)[0]) == [b]

    def test_a_call_that_takes_its_place_is_no_longer_told_by_its_time_alone(self, log: Log) -> None:
        (call,) = log.write(dated("a"))
        log.write(parked("a", 9, due_ms=NOW, turn=1, of=call.offset, owner=OWNER))
        assert not log.store.due(Kind.DATED, NOW, 9)
        assert names(log.store.lane(b"k", 9, NOW, 9)[0]) == ["a"]

    def test_an_empty_key_is_a_key(self, log: Log) -> None:
        waiting, ranked = log.write(dated("a", key=b""), parked("b", 4, key=b"", turn=1))
        assert not log.store.due(Kind.FREE, NOW, 9)
        assert list(log.store.due(Kind.DATED, NOW, 9)) == [waiting]
        assert list(log.store.lane(b"", 4, NOW, 9)[0]) == [ranked]

    # --- lanes -----------------------------------------------------------------------------------

    def test_a_head_is_told_with_what_it_needs_and_when_it_is_due(self, log: Log) -> None:
        log.write(parked("a", 4, due_ms=NOW + 5, turn=1), parked("b@4", 4), parked("c@9", 9, key=b"x"))
        assert log.store.lane(b"k", 3, NOW, 9)[1] == LaneHead(4, NOW + 5)
        assert log.store.lane(b"k", FAR, NOW + 4, 9)[1] == LaneHead(4, NOW + 5)
        assert names(log.store.lane(b"k", 4, NOW + 5, 9)[0]) == ["a"]
        assert log.store.lane(b"k", 4, NOW + 5, 9)[1] == LaneHead(5, 0)
        assert log.store.lane(b"nobody", FAR, NOW, 9)[1] is None

    def test_a_lane_whose_head_waits_for_the_queue_only_is_not_told_as_due(self, log: Log) -> None:
        log.write(parked("a@4", 4))
        assert log.store.lane(b"k", 4, NOW, 9)[1] == LaneHead(5, 0)
        assert log.store.next_due(Kind.RANKED) is None
        assert not log.store.due(Kind.RANKED, NOW, 9)

    def test_a_head_that_was_told_and_asked_for_too_early_is_told_again(self, log: Log) -> None:
        (head,) = log.write(parked("a@1", 1, due_ms=NOW))
        assert list(log.store.due(Kind.RANKED, NOW, 9)) == [head]
        log.store.lane(b"k", FAR, NOW - 1, 9)  # by a clock that was set back
        assert log.store.next_due(Kind.RANKED) == NOW
        assert list(log.store.due(Kind.RANKED, NOW, 9)) == [head]

    def test_what_stops_a_lane_is_told_once_the_lane_was_asked_for(self, log: Log) -> None:
        a, b, c = log.write(parked("a@1", 1), parked("b@2", 2, due_ms=NOW + 5), parked("c@3", 3))
        assert list(log.store.lane(b"k", FAR, NOW, 9)[0]) == [a]
        assert log.store.lane(b"k", FAR, NOW, 9)[1] == LaneHead(3, NOW + 5)
        assert list(log.store.due(Kind.RANKED, NOW + 5, 9)) == [b]
        assert list(log.store.lane(b"k", FAR, NOW + 5, 9)[0]) == [b, c]

    def test_a_call_of_a_lane_that_was_given_back_waits_for_its_lane(self, log: Log) -> None:
        (call,) = log.write(parked("a@1", 1, due_ms=NOW))
        log.store.lane(b"k", FAR, NOW, 1)
        log.store.release([call.offset])
        assert not log.store.due(Kind.RANKED, NOW, 9)
        assert list(log.store.lane(b"k", FAR, NOW, 1)[0]) == [call]

    def test_lanes_that_are_due_are_told_as_many_as_wanted(self, log: Log) -> None:
        calls = log.write(*(parked(f"{n}@{n}", n, key=b"%d" % n, due_ms=NOW + n) for n in range(3)))
        assert list(log.store.due(Kind.RANKED, NOW + 9, 2)) == list(calls[:2])
        assert list(log.store.due(Kind.RANKED, NOW + 9, 2)) == list(calls[2:])
        assert not log.store.due(Kind.RANKED, NOW + 9, 2)
        assert not any(log.store.taken(call.id) for call in calls)

    def test_lanes_of_which_everything_is_taken_are_not_told(self, log: Log) -> None:
        log.write(parked("a@1", 1, key=b"x"), parked("b@2", 2, key=b"y"), parked("c@3", 3, key=b"y"))
        log.store.lane(b"x", FAR, NOW, 9)
        log.store.lane(b"y", FAR, NOW, 1)
        assert dict(log.store.lanes()) == {b"y": 4}

    def test_when_all_lanes_are_told_the_time_of_each_is_told_too(self, log: Log) -> None:
        x, y = log.write(parked("x@1", 1, key=b"x"), parked("y@2", 2, key=b"y", due_ms=NOW + 5))
        assert log.store.next_due(Kind.RANKED) == NOW + 5  # what is parked waits for its lane
        log.store.lanes()
        assert log.store.next_due(Kind.RANKED) == 0
        assert list(log.store.due(Kind.RANKED, NOW, 9)) == [x]
        assert list(log.store.due(Kind.RANKED, NOW + 5, 9)) == [y]
        assert log.store.next_due(Kind.RANKED) is None

    def test_the_next_call_is_the_head_when_the_first_has_ended(self, log: Log) -> None:
        a, b = log.write(parked("a@1", 1, due_ms=NOW + 50), parked("b@2", 2))
        log.write(ended("a@1", of=a.offset))
        assert dict(log.store.lanes()) == {b"k": 3}
        assert list(log.store.lane(b"k", FAR, NOW, 9)[0]) == [b]

    def test_a_retry_keeps_its_place(self, log: Log) -> None:
        a, b = log.write(parked("a@1", 1), parked("b@2", 2))
        log.store.lane(b"k", FAR, NOW, 1)
        (retry,) = log.write(parked("a@1", 1, due_ms=NOW + 3, failures=1, of=a.offset, owner=OWNER))
        assert log.store.lane(b"k", FAR, NOW, 9)[1] == LaneHead(2, NOW + 3)
        assert list(log.store.lane(b"k", FAR, NOW + 3, 9)[0]) == [retry, b]

    @pytest.mark.parametrize("key", [b"", b"\0", b"\xff" * 40, b"k" * 3_000], ids=ascii)
    def test_keys_that_look_alike_have_lanes_of_their_own(self, log: Log, key: bytes) -> None:
        alike = [key + b"\0", b"\1" + key, key + b"x"]
        log.write(parked("a@1", 1, key=key), *(parked(f"{n}@{n}", n, key=k) for n, k in enumerate(alike, 2)))
        assert dict(log.store.lanes()) == {key: 2, **{other: n + 1 for n, other in enumerate(alike, 2)}}
        assert names(log.store.lane(key, FAR, NOW, 9)[0]) == ["a@1"]
        assert not log.store.lane(key, FAR, NOW, 9)[0]

    def test_what_is_taken_is_among_the_offsets_and_turns_that_are_told(self, log: Log) -> None:
        log.write(parked("a@3", 3), parked("b@-4", -4), parked("c", 9, key=b"x", turn=6))
        log.write(free("d@12", rank=(12, QUEUED)))
        log.store.lane(b"k", FAR, NOW, 9)
        log.store.lane(b"x", FAR, NOW, 9)
        log.store.due(Kind.FREE, NOW, 9)
        assert set(log.store.sources(0)) == {3, 12}
        assert log.store.last_turn() == 6
        log.write(ended("c"))
        assert log.store.last_turn() == 0

    # --- the next owner --------------------------------------------------------------------------

    def test_what_was_held_is_there_for_the_next_owner(self, log: Log) -> None:
        (call,) = log.write(free("a"))
        log.store.hold([call.offset])
        log.reopen()
        assert log.store.next_due(Kind.FREE) == NOW
        assert list(log.store.due(Kind.FREE, NOW, 9)) == [call]

    def test_lanes_are_whole_for_the_next_owner(self, log: Log) -> None:
        a, b = log.write(parked("a@1", 1, due_ms=NOW), parked("b@2", 2))
        log.store.due(Kind.RANKED, NOW, 9)
        log.store.lane(b"k", FAR, NOW, 9)
        log.reopen()
        assert dict(log.store.lanes()) == {b"k": 2}
        assert list(log.store.due(Kind.RANKED, NOW, 9)) == [a]
        assert list(log.store.lane(b"k", FAR, NOW, 9)[0]) == [a, b]

    def test_a_call_in_hands_that_is_written_again_and_held_is_not_given_out(self, log: Log) -> None:
        log.write(free("a", state=b"1"), parked("b@2", 2, state=b"1"), parked("c@3", 3))
        log.store.due(Kind.FREE, NOW, 9)
        log.store.lane(b"k", FAR, NOW, 1)
        a, b = log.write(free("a", state=b"2"), parked("b@2", 2, due_ms=NOW, state=b"2"))
        log.store.hold([a.offset, b.offset])
        assert [list(log.store.due(kind, NOW, 9)) for kind in Kind] == [[], [], []]
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["c@3"]
        log.reopen()
        assert list(log.store.due(Kind.FREE, NOW, 9)) == [a], "with what it saved last"
        assert dict(log.store.lanes()) == {b"k": 3}
        assert names(log.store.lane(b"k", FAR, NOW, 9)[0]) == ["b@2", "c@3"]
        assert log.store.get("b@2") == b

    def test_what_is_in_hands_since_before_can_be_held_by_the_next_owner(self, log: Log) -> None:
        a, b, c = log.write(free("a"), free("b"), parked("c@1", 1))
        log.store.due(Kind.FREE, NOW, 1)
        log.reopen()
        log.store.hold([a.offset, c.offset])
        assert not log.store.lanes()
        assert list(log.store.due(Kind.FREE, NOW, 9)) == [b]
        log.store.release([c.offset])
        assert list(log.store.lane(b"k", FAR, NOW, 9)[0]) == [c]

    def test_the_next_owner_goes_on_from_there(self, log: Log) -> None:
        first = log.write(free("a"), free("b", 1))
        log.reopen()
        later = log.write(free("a", 2), ended("b"), free("c", 3))
        log.store.apply([*first, *later], None)
        log.reopen()
        assert log.store.count == 2
        assert list(log.store.due(Kind.FREE, NOW + 9, 9)) == [later[0], later[2]]
        assert log.store.position == later[-1].offset + 1

    def test_an_empty_store_can_be_opened_again(self, log: Log) -> None:
        log.reopen()
        assert (log.store.position, log.store.count) == (0, 0)
        log.write(free("a"))
        (last,) = log.write(ended("a"))
        log.reopen()
        assert (log.store.position, log.store.count) == (last.offset + 1, 0)
