"""The store in a file and the one in memory say the same, whatever is done to them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kjobs.core.deferred import QUEUED, End, Kind, Row
from kjobs.deferred.memory import MemoryStore
from kjobs.deferred.sqlite import SqliteStore
from tests.deferred.calls import OWNER

_names = st.sampled_from(["a", "b", "c", "d", "e"])
_keys = st.sampled_from([None, b"x", b"y"])
_times = st.integers(-1, 6)
_ranks = st.none() | st.tuples(st.integers(-2, 4), st.sampled_from([1, 2, QUEUED]))
#: Which record a change goes on from: none, or so many before the last one.
_back = st.none() | st.integers(0, 6)
_kinds = st.sampled_from(list(Kind))


class Stores(RuleBasedStateMachine):
    """Everything that a keeper may do, done to both."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.file = SqliteStore(Path(self.folder.name) / "0.sqlite")
        self.memory = MemoryStore()
        self.end = 0
        self.ranks: set[tuple[bytes | None, int, int]] = set()
        self.log: list[Row | End] = []

    def teardown(self) -> None:
        self.file.close()
        self.folder.cleanup()

    def both(self, method: str, *args: Any) -> Any:
        """Call a method of both; gives what they return, which is the same."""
        ours, theirs = (getattr(store, method)(*args) for store in (self.file, self.memory))
        assert _plain(ours) == _plain(theirs), method
        return ours

    def apply(self, changes: list[Row | End], position: int | None) -> None:
        ours, theirs = (store.apply(changes, position) for store in (self.file, self.memory))
        assert list(ours.survivors) == list(theirs.survivors)
        assert set(ours.lanes) == set(theirs.lanes)

    @rule(
        puts=st.lists(
            st.tuples(_names, _times, _keys, st.booleans(), _ranks, _back) | st.tuples(_names, _back),
            min_size=1,
            max_size=6,
        ),
        skip=st.integers(0, 2),
        moves=st.booleans(),
    )
    def write(self, puts: list[tuple[Any, ...]], skip: int, moves: bool) -> None:
        changes: list[Row | End] = []
        for put in puts:
            self.end += skip
            changes.append(self._change(put))
            self.end += 1
        self.log += changes
        self.apply(changes, self.end if moves else None)

    def _change(self, put: tuple[Any, ...]) -> Row | End:
        back = put[-1]
        of = None if back is None else max(0, self.end - 1 - back)
        if len(put) == 2:
            return End(id=put[0], of=of, owner=OWNER, offset=self.end)
        name, due_ms, key, relaxed, rank, _ = put
        if rank is not None:
            # No two calls have the same place and turn, and only those of the queue have theirs without key.
            while (key, *rank) in self.ranks:
                rank = (rank[0] + 1, rank[1])
            self.ranks.add((key, *rank))
        return Row(
            id=name,
            value=name.encode(),
            due_ms=due_ms,
            key=key,
            relaxed=relaxed and key is not None,
            rank=rank,
            of=-1 if of is None else of,
            offset=self.end,
        )

    @rule(first=st.integers(0, 20), count=st.integers(1, 8))
    def read_again(self, first: int, count: int) -> None:
        self.apply(self.log[first : first + count], None)

    @rule(kind=_kinds, now_ms=_times, limit=st.integers(1, 3))
    def due(self, kind: Kind, now_ms: int, limit: int) -> None:
        self.both("due", kind, now_ms, limit)

    @rule(
        key=st.sampled_from([b"x", b"y", b"z"]),
        read=st.integers(-2, 6),
        now_ms=_times,
        limit=st.integers(1, 3),
    )
    def lane(self, key: bytes, read: int, now_ms: int, limit: int) -> None:
        self.both("lane", key, read, now_ms, limit)

    @rule()
    def lanes(self) -> None:
        self.both("lanes")

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        self.both("hold", data.draw(st.lists(st.integers(max(0, self.end - 6), self.end + 1), max_size=4)))

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.both("release", data.draw(st.lists(st.integers(max(0, self.end - 6), self.end + 1), max_size=4)))

    @rule(position=st.integers(0, 50))
    def move(self, position: int) -> None:
        self.apply([], position)

    @rule()
    def reopen(self) -> None:
        path = self.file.path
        self.file.close()
        self.file = SqliteStore(path)
        self.memory.close()
        # Which lanes are told of is not kept for sure: who opens a store asks for all of them.
        self.lanes()

    @invariant()
    def they_agree(self) -> None:
        assert self.file.position == self.memory.position
        assert self.file.count == self.memory.count
        for name in "abcde":
            self.both("get", name)
            self.both("taken", name)
        for kind in Kind:
            self.both("next_due", kind)
        self.both("sources", 0)
        self.both("last_turn")
        self.both("lowest")


def _plain(found: Any) -> Any:
    """What was returned, whichever kind of sequence or collection it is."""
    if isinstance(found, set | frozenset | dict):
        return found
    if isinstance(found, tuple) and len(found) == 2 and not isinstance(found[0], Row):
        return list(found[0]), found[1]
    return list(found) if isinstance(found, list | tuple) else found


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
