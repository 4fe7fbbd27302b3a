"""The index of one partition's deferred calls, in Redis.

Every operation is one script, which first sees whether the index is still this owner's and as it left it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kjobs.core.deferred import End, Kind, Row
from kjobs.core.ports import Applied, LaneHead

from .packing import lane_prefix, name_bytes, name_text, number, number_bytes, packed, unpacked
from .scripts import Scripts

#: Lanes, or places in the queue, that are asked for at a time.
_PART = 1000
#: Seconds between two notes that the index is in use.
_SEEN_EVERY = 20.0


class RedisStore:
    """A store whose keys were claimed before.

    Args:
        scripts: run what is to be done.
        keys: of the partition.
        token: of this owner.
        version: of the index, which is raised by every change.
        position: how far of the log it knows.
        count: calls in it.
        whole_from: the end of the log when it was claimed: from there on it is as new as it can be.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: list[str],
        *,
        token: str,
        version: int,
        position: int,
        count: int,
        whole_from: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._token = token
        self._version = version
        self._position = position
        self._count = count
        self._whole_from = whole_from
        self._seen_at = time.monotonic()

    def _run(self, name: str, *arguments: bytes | str | int) -> Any:
        return self._scripts.run(name, self._keys, self._token, self._version, *arguments)

    def _change(self, name: str, *arguments: bytes | str | int) -> list[Any]:
        """Run a script that may change something; returns the rest of its answer."""
        version, count, *rest = list(self._run(name, *arguments))
        self._version = int(version)
        self._count = int(count)
        return rest

    # --- the log ---------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """One past the last offset of the log that is applied."""
        return self._position

    @property
    def count(self) -> int:
        """Calls in the store."""
        return self._count

    def apply(self, changes: Sequence[Row | End], position: int | None) -> Applied:
        """Take in what the log says, in one script."""
        whole = position is not None and position >= self._whole_from
        arguments: list[bytes | str | int] = ["" if position is None else position, int(whole)]
        for change in changes:
            of = "" if change.of is None else change.of
            data = packed(change) if isinstance(change, Row) else b""
            arguments += (change.offset, of, name_bytes(change.id), data)
        survivors, lanes = self._change("apply", *arguments)
        if position is not None:
            self._position = position
        return Applied([name_text(name) for name in survivors], set(lanes))

    # --- looking ---------------------------------------------------------------------------------

    def get(self, call_id: str) -> Row | None:
        """The call of this id."""
        found = self._run("ask", "call", name_bytes(call_id))
        return unpacked(found[0]) if found else None

    def taken(self, call_id: str) -> bool:
        """Whether the call of this id is in somebody's hands."""
        found = self._run("ask", "call", name_bytes(call_id))
        return bool(found and found[1])

    def sources(self, low: int) -> Collection[int]:
        """Offsets in the queue of calls that are in the store."""
        found: set[int] = set()
        start = b"[" + number_bytes(low)
        while part := self._run("ask", "sources", start, _PART):
            found.update(map(number, part))
            start = b"(" + part[-1]
        return found

    def last_turn(self) -> int:
        """The highest turn in a rank."""
        found = self._run("ask", "turn")
        return max(0, number(found[0])) if found else 0

    def lowest(self) -> int | None:
        """The lowest offset of a call's record."""
        found = self._run("ask", "lowest")
        return int(found[0]) if found else None

    # --- what is due -----------------------------------------------------------------------------

    def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Row]:
        """Up to ``limit`` calls of a kind whose time has come."""
        (found,) = self._change("due", int(kind), now_ms, limit)
        return [unpacked(data) for data in found]

    def next_due(self, kind: Kind) -> int | None:
        """When there will be something to tell."""
        self._note_seen()
        found = self._run("ask", "next", int(kind))
        return int(found[0]) if found else None

    def _note_seen(self) -> None:
        """Note, while nothing happens, that the index is in use and as new as it can be."""
        now = time.monotonic()
        if now - self._seen_at > _SEEN_EVERY and self._position >= self._whole_from:
            self._seen_at = now
            self._change("seen")

    def lane(self, key: bytes, read: int, now_ms: int, limit: int) -> tuple[Sequence[Row], LaneHead | None]:
        """Take the first calls of a lane."""
        found, needs, due_ms = self._change("lane", lane_prefix(key), read, now_ms, limit)
        head = LaneHead(int(needs), int(due_ms)) if needs else None
        return [unpacked(data) for data in found], head

    def lanes(self) -> Mapping[bytes, int]:
        """Every lane, with what its head needs to have been read."""
        firsts: dict[bytes, int] = {}
        start: bytes | str = "-"
        while start:
            start, found = self._change("lanes", start, _PART)
            firsts.update(zip(found[::2], map(int, found[1::2]), strict=True))
        return firsts

    def hold(self, offsets: Collection[int]) -> None:
        """Take calls that are in somebody's hands."""
        if offsets:
            self._change("hold", *offsets)

    def release(self, offsets: Collection[int]) -> None:
        """Give back calls that were taken."""
        if offsets:
            self._change("release", *offsets)

    def close(self) -> None:
        """Nothing: what was taken is released by whoever claims the keys next.

        A partition that is given back must not wait for a Redis that does not answer.
        """
        self._token = ""
