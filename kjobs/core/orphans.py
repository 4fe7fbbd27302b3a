"""Calls that still run here though their partition was taken away.

If the partition comes back, nobody may begin a call of their key, or the same call, before they end.
"""

from __future__ import annotations

from collections import Counter

from .events import Place
from .partition import Entry, Partition, Token


class Orphans:
    """How many there are of each token."""

    def __init__(self) -> None:
        self._running: Counter[tuple[Place, Token]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._running)

    def take_in(self, partition: Partition) -> int:
        """A partition is gone; how many calls of it run."""
        running = partition.handed_out
        self._running.update((partition.place, entry.token) for entry in running)
        return len(running)

    def ended(self, entry: Entry) -> bool:
        """A call of a partition that is gone runs no longer; whether it was the last one of its token."""
        what = entry.partition.place, entry.token
        self._running[what] -= 1
        if self._running[what] > 0:
            return False
        del self._running[what]
        return True

    def locks(self, place: Place) -> dict[Token, list[Entry]]:
        """Tokens that are not free in a new assignment of a partition, each with nobody who waits for it."""
        return {token: [] for at, token in self._running if at == place}
