"""What may be asked of a scheduler, besides what it says by itself."""

from __future__ import annotations

from collections.abc import Iterable

from .buffer import Buffer
from .commits import Commits
from .deferral import Deferral
from .events import Place
from .orphans import Orphans
from .partition import Partition
from .timers import Timers


class Outlook:
    """The side of a scheduler that only tells; how it goes on is in the class that extends this one.

    Attributes:
        partitions: those that are assigned.
    """

    partitions: dict[Place, Partition]
    _buffer: Buffer
    _commits: Commits
    _deferral: Deferral
    _lease: float
    _orphans: Orphans
    _timers: Timers

    @property
    def held(self) -> int:
        """Unfinished calls in memory."""
        return sum(p.count + len(p.stored.rows) for p in self.partitions.values())

    @property
    def room(self) -> int:
        """How many records may be fetched now."""
        return self._buffer.room(self.partitions.values())

    def busy(self, places: Iterable[Place] | None = None) -> bool:
        """Whether calls of these partitions run, or are being written somewhere.

        None: of all, those whose partitions were taken away meanwhile included.
        """
        if places is None:
            return bool(self._orphans) or any(p.busy for p in self.partitions.values())
        return any(self.partitions[place].busy for place in places if place in self.partitions)

    @property
    def uncommitted(self) -> bool:
        """Whether the group does not know yet of everything that is finished."""
        return any(p.dirty or self._commits.awaits(p.place) for p in self.partitions.values())

    @property
    def following(self) -> bool:
        """Whether calls wait for the outcome of another one of their key."""
        out = sum(p.out + p.burying + len(p.stored.stash) for p in self.partitions.values())
        return self.held > out + len(self._timers) or bool(self._deferral.asked)

    def leased(self, now: float) -> bool:
        """Whether the group was heard from of late, so that calls may begin."""
        return now < self._lease

    def oldest(self) -> int | None:
        """When the oldest unfinished call in memory was enqueued (ms since the epoch)."""
        firsts = (partition.first() for partition in self.partitions.values())
        return min((first.record.timestamp()[1] for first in firsts if first is not None), default=None)

    def next_due(self) -> float | None:
        """When the next waiting call is due (epoch seconds)."""
        return self._timers.next_due()
