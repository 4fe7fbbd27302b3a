"""What ``.delay()`` returns: which call it was, and where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


class Handle(msgspec.Struct, gc=False, eq=False):
    """An enqueued call.

    Attributes:
        id: the call's id.
        job: its job's name.
        queue: its queue.
        partition: the partition it is in; None while it is not known to be anywhere.
        offset: its offset there; None while it is not known.
    """

    id: str
    job: str
    queue: str
    given_key: Any = None
    due_ms: int | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def key(self) -> str | None:
        """The ordering key as text, or None."""
        return None if self.given_key is None else str(self.given_key)

    @property
    def due(self) -> datetime | None:
        """When a delayed call is due."""
        return None if self.due_ms is None else datetime.fromtimestamp(self.due_ms / 1000, UTC)

    def __repr__(self) -> str:
        where = "" if self.offset is None else f" at {self.queue}[{self.partition}]@{self.offset}"
        return f"<Handle {self.job} {self.id}{where}>"
