"""The disks of simulated hosts: indexes of the deferred store that outlive the worker that kept them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kjobs.core.deferred import End, Row
from kjobs.core.events import Place
from kjobs.core.ports import Applied
from kjobs.core.topics import TOMBSTONES_MS
from kjobs.deferred.doubt import doubt
from kjobs.deferred.memory import MemoryStore
from kjobs.deferred.opener import LogState
from kjobs.deferred.sqlite import SCHEMA

if TYPE_CHECKING:
    from .world import World

CLUSTER, LOG_ID, QUEUE_ID = "cluster", "log-id", "queue-id"


class DiskTrouble(OSError):
    """An index cannot be read or written."""


State = tuple[Sequence[Row], int, int]


@dataclass(slots=True, eq=False)
class Disk:
    """What one host keeps of one partition.

    Attributes:
        states: the last states that it was in, the latest one last: rows, position, and when that was.
        log_id: Kafka's id of the log that it is an index of.
        user: the store that has it open.
        end: tells the end of the log.
    """

    end: Callable[[], int]

    states: deque[State] = field(default_factory=lambda: deque(maxlen=4))
    log_id: str = LOG_ID
    user: DiskStore | None = None


class DiskStore(MemoryStore):
    """The real store in memory, written to a simulated disk whenever it changes.

    Args:
        disk: None to keep nothing.
    """

    def __init__(self, world: World, disk: Disk | None, rows: Sequence[Row] = (), position: int = 0) -> None:
        super().__init__(rows, position)
        self._world = world
        self._disk = disk

    def apply(self, changes: Sequence[Row | End], position: int | None) -> Applied:
        world = self._world
        if world.chance(world.plan.disk_fails):
            raise DiskTrouble("simulated")
        applied = super().apply(changes, position)
        if self._disk is not None:
            states = self._disk.states
            # What a worker reads that was frozen may be old.
            fresh = position is not None and position >= self._disk.end()
            seen_ms = scaled(world) if fresh or not states else states[-1][2]
            states.append((self.rows, self.position, seen_ms))
        # In an order that is the same each time.
        return Applied(applied.survivors, sorted(applied.lanes))

    def lanes(self) -> Mapping[bytes, int]:
        return dict(sorted(super().lanes().items()))

    def close(self) -> None:
        super().close()
        if self._disk is not None and self._disk.user is self:
            self._disk.user = None


class Host:
    """A machine that workers run on, one after the other or at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._disks: dict[Place, Disk] = {}

    def crashed(self, stores: Sequence[DiskStore]) -> None:
        """The process that had these open is gone."""
        for disk in self._disks.values():
            if disk.user in stores:
                disk.user = None
                if self._world.chance(self._world.plan.power_lost) and len(disk.states) > 1:
                    # It is as it was at an earlier moment: nothing waits for the disk.
                    for _ in range(self._world.rng.randrange(1, len(disk.states))):
                        disk.states.pop()
                    self._world.rare["a disk was behind what its worker had known"] += 1

    def open(self, place: Place, low: int, high: int, epoch: int) -> DiskStore:
        """The index of a partition, by the same rules as that in a file."""
        world = self._world
        disk = self._disks.get(place)
        if disk is not None and disk.user is not None:
            world.rare["a disk was in use by another worker"] += 1
            return DiskStore(world, None)
        if disk is not None:
            self._meddle(disk, place)
            rows, position, seen_ms = disk.states[-1] if disk.states else ((), 0, 0)
            noted = {
                "schema": SCHEMA,
                "cluster_id": CLUSTER,
                "log_id": disk.log_id,
                "queue_id": QUEUE_ID,
                "seen_ms": seen_ms,
            }
            state = LogState(place, CLUSTER, LOG_ID, QUEUE_ID, low, high, epoch, scaled(world))
            why = doubt(noted, position, state, schema=SCHEMA)
            if why is None and world.chance(world.plan.disk_corrupt):
                why = "it is damaged"
            if why is None:
                if position:
                    world.rare["a disk was trusted"] += 1
                disk.user = DiskStore(world, disk, rows, position)
                return disk.user
            if position:
                world.rare["a disk was not trusted: " + re.split(r" is | \d", why)[0][:24]] += 1
        return self.renew(place)

    def renew(self, place: Place) -> DiskStore:
        """An empty index in place of what is there."""
        log = self._world.changelogs[place]
        disk = self._disks[place] = Disk(lambda: log.end)
        disk.user = DiskStore(self._world, disk)
        return disk.user

    def _meddle(self, disk: Disk, place: Place) -> None:
        """Delete what is there, or put there what belongs to another topic."""
        world = self._world
        if world.chance(world.plan.disk_deleted):
            disk.states.clear()
        elif world.chance(world.plan.disk_foreign):
            disk.log_id = "another"
            rows, position, seen_ms = disk.states[-1] if disk.states else ((), 0, scaled(world))
            disk.states.append(([*rows, *world.changelogs[place].ended], position, seen_ms))


def scaled(world: World) -> int:
    """The time as the rule about the age of tombstones has it: the world's keep for a shorter time."""
    return int(world.now * 1000 * TOMBSTONES_MS / (world.plan.tombstones * 1000)) + 10 * TOMBSTONES_MS
