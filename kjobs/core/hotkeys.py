"""The keys whose calls pile up: found when somebody asks, by a walk over what is in memory."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

from .partition import Entry, Partition

#: Calls from which on a key is hot.
FEW = 32
#: How many keys are told of.
MOST = 5


@dataclass(frozen=True, slots=True)
class HotKey:
    """A key with many calls that are not finished.

    Attributes:
        place: its partition.
        key: as the records have it.
        waiting: its unfinished calls in memory, with the one that runs or is to be tried again.
        since_ms: when the first of them was enqueued (ms since the epoch).
        running: the first of them has been handed out to run.
        parked: more of its calls are in the deferred store, or on their way there.
    """

    place: tuple[str, int]
    key: bytes
    waiting: int
    since_ms: int
    running: bool
    parked: bool


def hot_keys(partitions: Collection[Partition], *, few: int = FEW, most: int = MOST) -> list[HotKey]:
    """The keys with the most calls in memory, the hottest first.

    Where there are about as many keys as calls it costs nothing; otherwise a walk over what the partition
    holds, which the buffer bounds.

    Args:
        partitions: where to look.
        few: calls from which on a key is told of.
        most: keys that are told of.
    """
    found: list[HotKey] = []
    for partition in partitions:
        # Each lane has a call at least, so that one of them can have no more than what is left.
        if partition.count + len(partition.stored.rows) - len(partition.tails) + 1 >= few:
            found += _hot(partition, few)
    return heapq.nlargest(most, found, key=lambda hot: hot.waiting)


def _hot(partition: Partition, few: int) -> list[HotKey]:
    heads: dict[bytes, Entry] = {}
    counts: dict[bytes, int] = {}
    for entry in chain(partition.stored.rows.values(), partition.order):
        if entry.done or entry.key is None:
            continue
        if entry.key not in heads:
            heads[entry.key], counts[entry.key] = entry, 0
        counts[entry.key] += 1
    return [
        HotKey(
            place=partition.place,
            key=key,
            waiting=counts[key],
            since_ms=head.record.timestamp()[1],
            running=head.out,
            parked=key in partition.stored.lanes,
        )
        for key, head in heads.items()
        if counts[key] >= few
    ]
