"""The simulated log of the deferred store: one compacted partition of the ``.delayed`` topic."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from kjobs.core.deferred import Change, End, Move, Row, outdone
from kjobs.core.events import Place


class Changelog:
    """Records by offset, of which compaction leaves the last of each key.

    Attributes:
        end: one past the last offset.
        live: what a reader of everything would have, by name.
        ended: some that ended lately.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.end = 0
        self.live: dict[str, Row] = {}
        self.ended: deque[Row] = deque(maxlen=5)
        self._offsets: list[int] = []
        self._times: list[float] = []
        self._changes: list[Change] = []

    def append(self, change: Change, at: float) -> Change:
        """Add a record at the end; returns it with its offset."""
        stored = replace(change, offset=self.end)
        self.end += 1
        self._offsets.append(stored.offset)
        self._times.append(at)
        self._changes.append(stored)
        former = self.live.get(stored.id) if isinstance(stored, End) else None
        _fold(self.live, stored)
        if former is not None and former.id not in self.live:
            self.ended.append(former)
        return stored

    def skip(self) -> None:
        """Use an offset for something that no consumer is given."""
        self.end += 1

    def read(self, position: int, most: int) -> tuple[Sequence[Change], int]:
        """Records from a position on, and the position to go on at."""
        first = bisect_left(self._offsets, position)
        found = self._changes[first : first + most]
        if len(found) == most:
            return found, found[-1].offset + 1
        return found, max(position, self.end)

    def compact(self, before: float, dead_before: float) -> list[int]:
        """Forget what was written before a time and has a later record of the same key, and old tombstones.

        Returns:
            The offsets that were forgotten.
        """
        last = {key_of(change): change.offset for change in self._changes}
        gone: list[int] = []
        kept: list[tuple[int, float, Change]] = []
        for offset, at, change in zip(self._offsets, self._times, self._changes, strict=True):
            tombstone = not isinstance(change, Row | Move)
            outdated = at < before and last[key_of(change)] != offset
            if outdated or (tombstone and at < dead_before):
                gone.append(offset)
            else:
                kept.append((offset, at, change))
        if gone:
            self._offsets = [offset for offset, _, _ in kept]
            self._times = [at for _, at, _ in kept]
            self._changes = [change for _, _, change in kept]
        return gone

    def left(self) -> dict[str, Row]:
        """What a reader of what is left would have, by name."""
        live: dict[str, Row] = {}
        for change in self._changes:
            _fold(live, change)
        return live


def key_of(change: Change) -> str:
    """The key of a change's record."""
    return change.id if isinstance(change, Row | End) else change.request


def _fold(live: dict[str, Row], change: Change) -> None:
    if not isinstance(change, Row | End):
        return
    former = live.get(change.id)
    if former is not None and change.of is not None and 0 <= change.of < former.offset:
        return
    if former is not None and outdone(former, change):
        return
    if isinstance(change, Row):
        live[change.id] = change
    else:
        live.pop(change.id, None)
