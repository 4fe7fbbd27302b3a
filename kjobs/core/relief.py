"""Moves what is stuck out of memory into the deferred store, so that other keys go on.

Two things are scarce: room for records, which a lane behind a call that takes long can use up, and the
metadata of a commit, which many calls between two attempts can. Without relief the partition would be
paused until they get on.
"""

from __future__ import annotations

from collections.abc import Collection

from .buffer import NEARLY_FULL, Buffer
from .deferral import Deferral
from .partition import Entry, Partition

#: Seconds between two looks. A lane whose head is the same in two of them is stuck.
EVERY = 1.0
#: Share of a partition's room from which on one lane is too long.
_LONG = 0.25
#: Calls from which on a lane can be too long.
_FEW = 32


class Relief:
    """Looks now and then for what is stuck.

    Args:
        buffer: knows how much room there is.
        deferral: moves calls to the store.
    """

    def __init__(self, buffer: Buffer, deferral: Deferral) -> None:
        self._buffer = buffer
        self._deferral = deferral
        self._next = float("-inf")
        self._heads: dict[int, Entry] = {}

    def look(self, partitions: Collection[Partition], now: float) -> set[Entry]:
        """Move what is stuck; returns the waiting entries that were moved: their time is the store's now."""
        moved: set[Entry] = set()
        if now < self._next:
            return moved
        self._next = now + EVERY
        heads: dict[int, Entry] = {}
        share = self._buffer.share(partitions)
        for partition in partitions:
            if partition.leaving or not partition.stored.caught_up:
                continue
            if partition.fullness > NEARLY_FULL:
                moved.update(self._evict(partition, now))
            if partition.paused or partition.count >= share:
                self._shorten(partition, max(_FEW, share * _LONG), heads)
        self._heads = heads
        return moved

    def _evict(self, partition: Partition, now: float) -> list[Entry]:
        """Let the calls between two attempts wait in the store: commits need not tell of them any more."""
        lanes = _lanes(partition)
        waiting = [
            entry
            for entry in partition.trying.values()
            if entry.due > now
            and not entry.out
            and entry.burial is None
            and entry.deferral is None
            and (entry.key is None or entry.loose or lanes[entry.key][0] is entry)
        ]
        for entry in waiting:
            self._deferral.defer(entry, entry.due, now, holds_lane=not entry.loose)
        return waiting

    def _shorten(self, partition: Partition, most: float, heads: dict[int, Entry]) -> None:
        """Park what is behind the heads of long lanes that do not get on."""
        for key, (head, length) in _lanes(partition).items():
            if length < most or key in partition.stored.lanes:
                continue
            if self._heads.get(id(head)) is head:
                self._deferral.shorten(head)
            else:
                heads[id(head)] = head


def _lanes(partition: Partition) -> dict[bytes, tuple[Entry, int]]:
    """The lanes that are in memory: the head and the length of each."""
    found: dict[bytes, tuple[Entry, int]] = {}
    for entry in partition.order:
        if entry.key is None or entry.done or entry.loose or entry.deferral is not None:
            continue
        head, length = found.get(entry.key, (entry, 0))
        found[entry.key] = (head, length + 1)
    return found
