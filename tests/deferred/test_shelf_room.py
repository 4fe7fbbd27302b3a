"""How many calls a shelf gives out, and that none of them is forgotten, whatever happens to it."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from kjobs.core.deferred import QUEUED, End, Kind, Row, Verdict
from kjobs.core.events import CancelAsked, Due, LaneFetched, MoveAsked
from kjobs.deferred.memory import MemoryStore
from tests.deferred.bench import Bench, cancel, move
from tests.deferred.calls import NOW, dated, free, names, parked


def test_no_more_calls_of_a_kind_are_in_hand_than_there_is_room_for() -> None:
    bench = Bench(room=2)
    bench.written(*(free(f"f{n}") for n in range(3)), *(dated(f"d{n}") for n in range(3)))
    assert names(bench.due()) == ["f0", "f1", "d0", "d1"]
    assert not bench.due()
    assert bench.shelf.next_due() is None, "there is nothing to look for while there is no room"


def test_what_comes_back_makes_room() -> None:
    bench = Bench(room=2)
    bench.written(*(free(f"{n}") for n in range(6)))
    a, b = bench.due()
    bench.finish(a)
    assert bench.shelf.next_due() == NOW
    (c,) = bench.due()
    bench.shelf.release([b.offset])
    assert bench.due() == [b]
    bench.defer(c, 50)
    assert not bench.due()
    bench.acknowledge()
    assert names(bench.due()) == ["3"]
    bench.written(cancel("3", "r"))
    assert names(bench.due()) == ["4"]
    bench.written(move("4", 50, "s"))
    bench.shelf.answer("s", Verdict.MOVED)
    assert names(bench.due()) == ["5"]


def test_lanes_are_told_as_long_as_there_is_room_for_their_calls() -> None:
    bench = Bench(room=2, batch=2)
    bench.written(*(parked(f"{n}@{n}", n, b"%d" % n, due_ms=NOW) for n in range(4)))
    bench.due()
    assert bench.lanes_told == [b"0", b"1"]
    for key in list(bench.lanes_told):
        bench.lane(key)
    bench.due()
    assert bench.lanes_told == [b"0", b"1"], "two calls are in hand"
    bench.shelf.release([0])
    bench.due()
    assert bench.lanes_told == [b"0", b"1", b"2"]


def test_a_lane_comes_in_batches() -> None:
    bench = Bench(batch=3)
    bench.written(*(parked(f"{n}@{n}", n) for n in range(5)))
    assert names(bench.lane().rows) == ["0@0", "1@1", "2@2"]
    assert names(bench.lane().rows) == ["3@3", "4@4"]
    assert not bench.lane().rows


_ids = st.sampled_from(["a", "b", "c"])
_dues = st.integers(-2, 3)
_few = st.integers(1, 3)


class Walk(RuleBasedStateMachine):
    """Anything may happen, at any time; a scheduler plays its part."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.count = 0
        self.bench = Bench(room=3, batch=2)
        #: What the scheduler has, by the offset it was given with, and what of that runs.
        self.hands: dict[int, Row] = {}
        self.runs: set[int] = set()
        #: What the scheduler ordered of calls, and is not acknowledged.
        self.ordered: dict[int, int] = {}

    # --- enqueuers -------------------------------------------------------------------------------

    @rule(name=_ids, due=_dues, kind=st.sampled_from(["free", "dated", "relaxed"]))
    def put(self, name: str, due: int, kind: str) -> None:
        make = free if kind == "free" else dated
        more: dict[str, Any] = {"relaxed": True} if kind == "relaxed" else {}
        self.count += 1
        call = make(name, self.now - NOW + due, **more)
        self.bench.append(replace(call, value=b"%d" % self.count))

    @rule(name=_ids, asks=st.booleans())
    def cancel(self, name: str, asks: bool) -> None:
        self.bench.append(cancel(name, self._request() if asks else ""))

    @rule(name=_ids, due=_dues)
    def move(self, name: str, due: int) -> None:
        self.bench.append(move(name, self.now - NOW + due, self._request()))

    def _request(self) -> str:
        self.count += 1
        return f"r{self.count}"

    # --- an earlier owner ------------------------------------------------------------------------

    @rule(data=st.data(), ends=st.booleans())
    def write_late(self, data: st.DataObject, ends: bool) -> None:
        rows = [change for change in self.bench.log if isinstance(change, Row)]
        if not rows:
            return
        row = data.draw(st.sampled_from(rows[-6:]))
        before = (4, "before")
        self.bench.append(
            End(id=row.id, of=row.offset, owner=before)
            if ends
            else replace(row, of=row.offset, owner=before, failures=row.failures + 1)
        )

    # --- the keeper ------------------------------------------------------------------------------

    @rule(count=_few)
    def read(self, count: int) -> None:
        self._hear(self.bench.read(count))

    @rule()
    def grant(self) -> None:
        self.bench.grant()

    @rule(count=_few)
    def acknowledge(self, count: int) -> None:
        done = [change for change, wished in self.bench.unacked[:count] if not wished]
        self._hear(self.bench.acknowledge(count))
        for change in done:
            self._drop(self.ordered.pop(change.offset))

    @rule(steps=st.integers(0, 3))
    def look(self, steps: int) -> None:
        self.now += steps
        self._hear(self.bench.shelf.look(self.now, lambda: 100))

    @rule()
    def fetch(self) -> None:
        self._hear([self.bench.lane(now_ms=self.now)])

    @rule(seen=st.integers(0, 5))
    def lose(self, seen: int) -> None:
        self.bench.store = MemoryStore()
        self.bench.shelf.begin_anew(self.bench.store)
        self.bench.at = 0
        self._hear(self.bench.read(seen))
        self._hear(self.bench.catch_up())

    # --- the scheduler ---------------------------------------------------------------------------

    def _hear(self, events: list[Any]) -> None:
        for event in events:
            match event:
                case Due(rows=rows) | LaneFetched(rows=rows):
                    for row in rows:
                        assert row.offset not in self.hands
                        assert row.due_ms <= self.now
                        self.hands[row.offset] = row
                        if row.kind is Kind.FREE:
                            self.runs.add(row.offset)
                case CancelAsked(offset=offset, request=request):
                    verdict = Verdict.STARTED if offset in self.runs else Verdict.CANCELLED
                    if offset not in self.runs and offset not in self.ordered.values():
                        self._drop(offset)
                    if request:
                        self.bench.shelf.answer(request, verdict)
                case MoveAsked(offset=offset, request=request):
                    begun = offset in self.runs or offset in self.ordered.values()
                    verdict = Verdict.STARTED if begun else Verdict.MOVED
                    if verdict:
                        self._drop(offset)
                    self.bench.shelf.answer(request, verdict)

    def _drop(self, offset: int) -> None:
        self.hands.pop(offset, None)
        self.runs.discard(offset)

    def _free_to_order(self) -> list[int]:
        return sorted(self.hands.keys() - set(self.ordered.values()))

    @precondition(lambda self: self._free_to_order())
    @rule(data=st.data(), how=st.sampled_from(["ends", "fails", "takes its place"]), due=_dues)
    def order(self, data: st.DataObject, how: str, due: int) -> None:
        given = data.draw(st.sampled_from(self._free_to_order()))
        row = self.hands[given]
        change: Row | End = End(id=row.id, of=given)
        if how != "ends":
            self.count += 1
            place = row.rank or (None if row.lane is None else (self.count, self.count))
            change = replace(row, due_ms=self.now + due, rank=place, of=given, failures=row.failures + 1)
        if self.bench.shelf.may_write(change):
            self.ordered[self.bench.order(change).offset] = given

    @precondition(lambda self: self._free_to_order())
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        given = data.draw(st.sampled_from(self._free_to_order()))
        if given not in self.runs:
            self.bench.shelf.release([given])
            self._drop(given)

    # --- what must be so -------------------------------------------------------------------------

    @invariant()
    def no_call_is_in_hand_twice(self) -> None:
        values = [row.value for row in self.hands.values()]
        assert len(values) == len(set(values)), "a call was given out while it was in hand"

    def teardown(self) -> None:
        bench = getattr(self, "bench", None)
        if bench is None:
            return
        for _ in range(30):
            self._settle()
            for given in self._free_to_order():
                change = End(id=self.hands[given].id, of=given)
                if bench.shelf.may_write(change):
                    self.ordered[bench.order(change).offset] = given
            self.now += 10
            self.look(0)
            self.fetch()
            if not self.hands and not bench.store.count:
                break
        self._settle()
        assert not self.hands, "a call in hand could not be ended"
        bench.assert_the_log_says_so()
        assert not bench.store.count, "a call was never given out"
        assert bench.store.position == bench.end, "something holds the position back"
        answered = {request for request in self._requests() if bench.verdict(request) is not None}
        assert answered == self._requests()
        # And there is as much room as in the beginning.
        bench.written(*(free(f"new {n}", -9) for n in range(3)), *(dated(f"other {n}", -9) for n in range(3)))
        assert len(bench.due(self.now)) == 6

    def _settle(self) -> None:
        for _ in range(30):
            self.acknowledge(1 << 20)
            self.read(1 << 20)
            if not self.bench.shelf.wishes and not self.bench.unacked:
                self.bench.read()
                return
            self.bench.grant()
        raise AssertionError("there is no end to it")

    def _requests(self) -> set[str]:
        return {change.request for change in self.bench.log if getattr(change, "request", "")}


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)


def test_a_turn_of_the_queue_is_higher_than_all_others() -> None:
    """Or a call of the queue would come before those that took their place before it."""
    assert replace(parked("a@1", 1), rank=(1, QUEUED)).source == 1
