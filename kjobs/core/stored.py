"""What the scheduler knows of a partition's calls in the deferred store.

Of a key some of whose calls wait in the store, all later calls go there, too: they are *parked*. So a lane
is in memory or in the store, but for calls on their way. It is fetched back, a few calls at a time, when
nothing of it is in memory, nothing of it is on its way, and the queue has been read past its head: a worker
that crashed may have left calls in the queue that come before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .certainty import Pending
    from .partition import Entry
    from .ports import Record
    from .saving import Saving


class StoredLane(msgspec.Struct):
    """A lane that is in the store.

    Attributes:
        writes: calls of it that are being written or erased.
        asked: it is being fetched.
    """

    writes: int = 0
    asked: bool = False


class Stored:
    """What is known, from assignment to revocation.

    Attributes:
        caught_up: the store has told what it has; nothing is fed before that.
        stash: records that were fetched before that.
        lanes: the lanes that are in the store.
        sources: offsets of calls that were put into the store, but whose offset was not committed.
        unread: lanes whose turn it is as soon as the queue has been read up to a point: a heap.
        appointments: calls that take their place in the queue at an offset not read yet: a heap.
        rows: calls of the store that are in memory, by the offset of their record.
        saving: calls that run and of which a state is being saved.
        writes: calls that are being written or erased.
        pending: answers about calls that are not certain yet.
        last_turn: the last turn that was given.
    """

    def __init__(self) -> None:
        self.caught_up = False
        self.stash: list[Record] = []
        self.lanes: dict[bytes, StoredLane] = {}
        self.sources: set[int] = set()
        self.unread: list[tuple[int, bytes]] = []
        self.appointments: list[tuple[int, int, Entry]] = []
        self.rows: dict[int, Entry] = {}
        self.saving: dict[Entry, Saving] = {}
        self.writes = 0
        self.pending: list[Pending] = []
        self.last_turn = 0

    @property
    def matters(self) -> bool:
        """Whether records of the queue must be looked at one by one."""
        return bool(self.lanes or self.sources or self.appointments) or not self.caught_up
