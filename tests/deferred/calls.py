"""The calls that tests of deferred stores put into a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kjobs.core.deferred import QUEUED, End, Row
from kjobs.core.ports import Applied, DeferredStore

#: Milliseconds since the epoch that tests count from.
NOW = 1_800_000_000_000

#: How far the queue has been read where that is not what a test is about.
FAR = 1 << 40

#: The assignment that an owner's records are of.
OWNER = (1, "w")


class Log(Protocol):
    """A store behind the log of its partition.

    Attributes:
        store: what is tested.
    """

    store: DeferredStore

    def write(self, *changes: Row | End) -> Sequence[Any]:
        """Put changes into the log and let the store take them in; returns them with their offsets."""
        ...

    def applied(self) -> Applied:
        """What the store said of the last changes."""
        ...

    def reopen(self) -> None:
        """Close the store, and open it again as the next owner would."""
        ...


def free(name: str, due: int = 0, **more: Any) -> Row:
    """A call without a key, due so many ms from the start."""
    return Row(**{"id": name, "value": b'{"job":"j"}', "due_ms": NOW + due, **more})


def dated(name: str, due: int = 0, key: bytes = b"k", **more: Any) -> Row:
    """A delayed call with a key."""
    return Row(id=name, value=b'{"job":"j"}', due_ms=NOW + due, key=key, **more)


def parked(name: str, place: int, key: bytes = b"k", due_ms: int = 0, turn: int = QUEUED, **more: Any) -> Row:
    """A call in the order of its key; with a due time, one that failed."""
    return Row(id=name, value=b'{"job":"j"}', due_ms=due_ms, key=key, rank=(place, turn), **more)


def ended(name: str, of: int | None = None) -> End:
    """An owner's word that a call has ended."""
    return End(id=name, of=of, owner=OWNER)


def names(rows: Sequence[Row]) -> list[str]:
    """The ids of calls."""
    return [row.id for row in rows]
