"""Which calls of a partition's deferred store the scheduler has.

The scheduler knows a call by the offset of its record when it was given out. The log may have it at a later
one by now: it was written once more because something there said otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..core.deferred import Kind, Row


class Hands:
    """The calls that were given out and did not come back, by the offsets they have in the store now."""

    def __init__(self) -> None:
        self._kinds: dict[int, Kind] = {}
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._counts: Counter[Kind] = Counter()
        #: Where a call is now by the offset it was given out with, and the other way, if they differ.
        self._now: dict[int, int] = {}
        self._given: dict[int, int] = {}

    def __contains__(self, now: int) -> bool:
        return now in self._kinds

    def __iter__(self) -> Iterator[int]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def count(self, kind: Kind) -> int:
        """How many calls of a kind."""
        return self._counts[kind]

    def give(self, rows: Iterable[Row]) -> None:
        """These are given out."""
        for row in rows:
            self._kinds[row.offset] = row.kind
            self._counts[row.kind] += 1
            self._ids[row.id] = row.offset
            self._names[row.offset] = row.id

    def find(self, call_id: str) -> int | None:
        """The offset that a call has in the store, if it was given out."""
        return self._ids.get(call_id)

    def given(self, now: int) -> int:
        """The offset by which the scheduler knows a call."""
        return self._given.get(now, now)

    def now(self, given: int) -> int:
        """The offset that a call has in the store."""
        return self._now.get(given, given)

    def knows(self, offset: int | None) -> bool:
        """Whether a call was given out that has, or had then, this offset."""
        return offset is not None and (offset in self._kinds or offset in self._now)

    def move(self, old: int, new: int) -> None:
        """A call has another offset from now on."""
        given = self._given.pop(old, old)
        self._kinds[new] = self._kinds.pop(old)
        self._names[new] = self._names.pop(old)
        self._ids[self._names[new]] = new
        self._given[new] = given
        self._now[given] = new

    def back(self, offset: int) -> int:
        """A call comes back, if it was given out.

        Args:
            offset: either of the two.

        Returns:
            The one that it has in the store.
        """
        given = self._given.get(offset, offset)
        now = self._now.pop(given, given)
        self._given.pop(now, None)
        kind = self._kinds.pop(now, None)
        if kind is not None:
            self._counts[kind] -= 1
            name = self._names.pop(now)
            if self._ids.get(name) == now:
                del self._ids[name]
        return now
