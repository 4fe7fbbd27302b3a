"""Back-pressure: how many records may be held, and which partitions to pause.

Pausing a partition makes the client throw away what it has prefetched of it, so a buffer that is full
for a moment is only not read from; partitions are paused when it stays full.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .partition import Partition


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be held.

    Attributes:
        records: records held before fetching stops.
        size: bytes of their values before fetching stops.
        patience: seconds the buffer must be full before partitions are paused, and seconds a pause
            lasts at least.
    """

    records: int = 5_000
    size: int = 64 * 1024 * 1024
    patience: float = 0.2


#: Share of a commit's metadata above which a partition is paused.
NEARLY_FULL = 0.75


class Buffer:
    """Decides which partitions to pause and resume; changes ``Partition.paused`` accordingly.

    Every partition has an equal share of the bounds. When the buffer stays full, the partitions that
    hold their share or more are paused; the others go on up to theirs. So at most twice the bounds
    are held, and a partition whose calls are stuck does not keep the others from being read.

    A partition whose commits are nearly full is paused, too: if more calls finished above those that
    are stuck, what is finished could no longer be told in a commit, and would run again.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._full_since: float | None = None
        self._paused_at = 0.0
        self._pausing = False

    def room(self, partitions: Collection[Partition]) -> int:
        """How many records may be fetched now."""
        reading = [partition for partition in partitions if not partition.paused]
        held = sum(partition.count for partition in partitions)
        if len(reading) == len(partitions):
            most, size = self.bounds.records - held, self.bounds.size
        else:
            # Whose share is free and who fills it may be two: what is held in all is bounded, too.
            share = self.share(partitions)
            free = sum(max(0, share - partition.count) for partition in reading)
            most, size = min(free, 2 * self.bounds.records - held), 2 * self.bounds.size
            if sum(partition.size for partition in reading) >= self.bounds.size:
                return 0
        return 0 if sum(partition.size for partition in partitions) >= size else max(0, most)

    def pause(self, partitions: Collection[Partition], now: float) -> Sequence[Partition]:
        """The partitions to pause now."""
        paused = [p for p in partitions if not p.paused and p.count and p.fullness > NEARLY_FULL]
        if self.room(partitions):
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        elif now - self._full_since >= self.bounds.patience:
            share, weight = self.share(partitions), self._weight(partitions)
            paused += [
                p
                for p in partitions
                if not p.paused and p not in paused and (p.count >= share or p.size >= weight)
            ]
        for partition in paused:
            partition.paused = self._pausing = True
            self._paused_at = now
        return paused

    def resume(self, partitions: Collection[Partition], now: float) -> Sequence[Partition]:
        """The paused partitions that are down to half their share, to be read again."""
        if not self._pausing or now - self._paused_at < self.bounds.patience:
            return ()
        share, weight = self.share(partitions), self._weight(partitions)
        relieved = [
            p
            for p in partitions
            if p.paused
            and p.count <= share / 2
            and p.size <= weight / 2
            and (p.fullness <= NEARLY_FULL / 2 or not p.count)
        ]
        for partition in relieved:
            partition.paused = False
        self._pausing = any(partition.paused for partition in partitions)
        return relieved

    def share(self, partitions: Collection[Partition]) -> int:
        """Records of which each partition has room for so many."""
        return max(1, self.bounds.records // max(1, len(partitions)))

    def _weight(self, partitions: Collection[Partition]) -> int:
        return max(1, self.bounds.size // max(1, len(partitions)))
