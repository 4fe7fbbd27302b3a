"""Entries that come back at a time."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from itertools import count

from .partition import Entry


class Timers:
    """Entries by when they come back, those of the same moment in the order they were put in."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Entry]] = []
        self._ticket = count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, due: float, entry: Entry) -> None:
        """Let an entry come back then (epoch seconds)."""
        heapq.heappush(self._heap, (due, next(self._ticket), entry))

    def next_due(self) -> float | None:
        """When the next entry comes back (epoch seconds)."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Entry]:
        """Take the entries whose time has come; while they are taken, more may be put in."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]

    def forget(self, entries: Collection[Entry]) -> None:
        """These do not come back."""
        self._heap = [timer for timer in self._heap if timer[2] not in entries]
        heapq.heapify(self._heap)
