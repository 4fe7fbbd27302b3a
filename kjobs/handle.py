"""What ``.delay()`` returns: which call it was, and where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


class Handle:
    """An enqueued call.

    Attributes:
        id: the call's id.
        job: its job's name.
        queue: its queue.
        key: its ordering key as text, or None.
        partition: the partition it is in; None while it is not known to be anywhere.
        offset: its offset there; None while it is not known.
    """

    __slots__ = ("_due_ms", "_key", "id", "job", "offset", "partition", "queue")

    def __init__(self, id: str, job: str, queue: str, key: Any, due_ms: int | None) -> None:  # noqa: A002
        self.id = id
        self.job = job
        self.queue = queue
        self._key = key
        self._due_ms = due_ms
        self.partition: int | None = None
        self.offset: int | None = None

    @property
    def key(self) -> str | None:
        """The ordering key as text, or None."""
        return None if self._key is None else str(self._key)

    @property
    def due(self) -> datetime | None:
        """When a delayed call is due."""
        return None if self._due_ms is None else datetime.fromtimestamp(self._due_ms / 1000, UTC)

    def __repr__(self) -> str:
        where = "" if self.offset is None else f" at {self.queue}[{self.partition}]@{self.offset}"
        return f"<Handle {self.job} {self.id}{where}>"
