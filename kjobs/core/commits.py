"""When to commit which partitions, and what their acknowledgement means.

Commits are asynchronous and at most one is under way. The acknowledgement of one shows three things:
the offsets are stored, the group still counts this worker as a member, and, the first time, that the
assignment is real: a partition starts no call before that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .events import Place
from .partition import Partition


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often to commit; all in seconds.

    Attributes:
        steady: the longest a finished call stays uncommitted.
        urgent: the same after a failure, which must survive a crash to be counted.
        idle: how often unchanged offsets are committed, to hear from the group.
        patience: after how long an unanswered commit is taken for lost.
        lease: how long after a commit was sent its acknowledgement lets calls begin.
    """

    steady: float = 0.25
    urgent: float = 0.05
    idle: float = 1.0
    patience: float = 5.0
    lease: float = 8.0


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A partition in a commit that is not answered.

    Attributes:
        sent: when it was sent (epoch seconds).
        snapshot: the number of the partition's snapshot.
        whole: ``Partition.whole`` of it.
    """

    partition: Partition
    sent: float
    snapshot: int
    whole: int


class Commits:
    """The commit under way, and the time of the next.

    Attributes:
        urgent: something happened that must survive a crash to be counted.
        at_once: something waits for the commit to be acknowledged.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self.rhythm = rhythm
        self.urgent = False
        self.at_once = False
        self._sent_at = float("-inf")
        self._under_way: dict[Place, UnderWay] = {}

    def due(self, partitions: Collection[Partition], now: float) -> list[tuple[Place, int, str]]:
        """The offsets to commit now, if it is time to."""
        since = now - self._sent_at
        if self._under_way and since < self.rhythm.patience:
            return []
        if since >= self.rhythm.idle:
            chosen = list(partitions)
        elif self.at_once or since >= (self.rhythm.urgent if self.urgent else self.rhythm.steady):
            chosen = [partition for partition in partitions if partition.dirty]
        else:
            return []
        if not chosen:
            return []
        self.urgent = self.at_once = False
        self._sent_at = now
        offsets: list[tuple[Place, int, str]] = []
        for partition in chosen:
            place = partition.place
            offsets.append((place, *partition.snapshot()))
            # An answer may be to an earlier commit that was taken for lost: it proves no more than that
            # the group heard from us when that one was sent.
            if place not in self._under_way:
                self._under_way[place] = UnderWay(partition, now, partition.snapshots, partition.whole)
        return offsets

    def answered(self, place: Place) -> UnderWay | None:
        """What an answer is about; None if nobody waits for one about this partition any more."""
        return self._under_way.pop(place, None)

    def leased(self, answered: UnderWay) -> float:
        """Until when calls may begin if the answer is a good one (epoch seconds)."""
        return answered.sent + self.rhythm.lease

    def awaits(self, place: Place) -> bool:
        """Whether the answer to a commit of the partition is still to come."""
        return place in self._under_way

    def forget(self, place: Place) -> None:
        """The partition was taken away; what is still answered about it means nothing."""
        self._under_way.pop(place, None)
