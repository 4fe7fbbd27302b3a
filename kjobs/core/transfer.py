"""A call on its way between the queue and the deferred store: as the store has it, and as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from .deferred import QUEUED, Row
from .envelope import Malformed, decode

if TYPE_CHECKING:
    from .partition import Entry


def row_of(entry: Entry, due: float, *, relaxed: bool = False) -> Row:
    """An entry as the store is to have it; its headers are the shell's business."""
    partition = entry.partition
    due_ms = -int(-due * 1000 // 1)
    if entry.row is not None:
        return msgspec.structs.replace(
            entry.row,
            due_ms=due_ms,
            failures=entry.failures,
            crashes=entry.crashes,
            rank=entry.rank,
            topic_id=partition.topic_id,
            relaxed=relaxed or entry.row.relaxed,
            of=entry.row.offset,
        )
    record = entry.record
    return Row(
        id=f"{_id_of(entry)}@{entry.offset}",
        value=record.value(),
        due_ms=due_ms,
        key=entry.key,
        relaxed=relaxed,
        failures=entry.failures,
        crashes=entry.crashes,
        since_ms=record.timestamp()[1],
        rank=(entry.offset, QUEUED),
        topic_id=partition.topic_id,
    )


def _id_of(entry: Entry) -> str:
    try:
        call_id = decode(entry.record.value()).id
    except Malformed:
        call_id = ""
    topic, number = entry.partition.place
    return call_id or f"{topic}-{number}-{entry.offset}"


class StoredRecord:
    """A call of the store as a record of the queue."""

    __slots__ = ("_row",)

    def __init__(self, row: Row) -> None:
        self._row = row

    def offset(self) -> int:
        """Its offset in the topic it was enqueued in."""
        return self._row.offset if self._row.source is None else self._row.source

    def key(self) -> bytes | None:
        """The ordering key."""
        return self._row.key

    def value(self) -> bytes | None:
        """The envelope."""
        return self._row.value

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        """The headers it was enqueued with."""
        return self._row.headers

    def timestamp(self) -> tuple[int, int]:
        """When its deadline begins to count."""
        return 1, self._row.since_ms

    def __len__(self) -> int:
        return len(self._row.value or b"")
