"""What a keeper has of one partition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.commands import Defer, Erase, OpenStore, Save
from ..core.events import Place
from ..core.partition import Entry
from .opener import LogState
from .room import Room
from .shelf import Shelf

#: What the scheduler orders to be written of an entry.
Order = Defer | Erase | Save


class Work:
    """One partition's shelf, where its log is, and how far it is with it.

    Args:
        shelf: the shelf.
        order: what had it opened.
        log: the log's topic and partition.
        state: the log as it was when this worker took over, or when the index was made anew.
        begun: when that was (monotonic seconds).
    """

    def __init__(self, shelf: Shelf, order: OpenStore, log: Place, state: LogState, begun: float) -> None:
        self.shelf = shelf
        self.order = order
        self.log = log
        self.state = state
        self.begun = begun
        self.told_at = begun
        self.first = shelf.store.position
        self.write_at = 0.0
        self.asked_at = begun
        self.next_due: int | None = None
        #: What is wrong with the index, if something is, and when to try next.
        self.trouble: Exception | None = None
        self.try_at = 0.0
        #: On the embedded broker: what the log holds.
        self.room: Room | None = None
        #: What the scheduler ordered to be written, and may not be yet.
        self.postponed: list[Order] = []
        #: Calls that run, and of which a state is in the log: by id, until it is certain that it counts.
        self.saved: dict[str, Entry] = {}
        #: What is to be done with it when it is there again.
        self.owed: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
