"""The simulated broker: logs of queues, dead letters, committed offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kjobs.core.events import Place

from .plan import Script


class SimRecord:
    """A record as the scheduler sees it, with the script of its call."""

    __slots__ = ("_at", "_key", "_offset", "call", "script")

    def __init__(self, offset: int, key: bytes | None, at: float, call: str | None, script: Script) -> None:
        self._offset = offset
        self._key = key
        self._at = at
        self.call = call
        self.script = script

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes:
        return (self.call or "?").encode()

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, int(self._at * 1000)

    def __len__(self) -> int:
        return 50


@dataclass(slots=True)
class Log:
    """A partition of a queue topic. Offsets may have gaps, as transactions and compaction leave them."""

    place: Place
    records: list[SimRecord]
    low: int = 0
    end: int = 0

    def append(self, key: bytes | None, at: float, call: str | None, script: Script) -> SimRecord:
        """Add a record at the end."""
        record = SimRecord(self.end, key, at, call, script)
        self.records.append(record)
        self.end += 1
        return record

    def skip(self) -> None:
        """Use an offset for something that no consumer is given."""
        self.end += 1

    def read(self, offset: int, most: int) -> tuple[Sequence[SimRecord], int]:
        """Records from an offset on, and the offset to go on at."""
        found: list[SimRecord] = []
        for record in self.records:
            if record.offset() >= max(offset, self.low):
                found.append(record)
                if len(found) == most:
                    return found, record.offset() + 1
        return found, max(offset, self.end)

    def delete_to(self, offset: int) -> list[SimRecord]:
        """Retention: forget what is below an offset; returns what was forgotten by it."""
        gone = [record for record in self.records if self.low <= record.offset() < offset]
        self.low = max(self.low, offset)
        return gone
