"""The simulated broker's queues: logs of calls."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import methodcaller

from kjobs.core.events import Place

_offset = methodcaller("offset")


class SimRecord:
    """A record as the scheduler sees it."""

    __slots__ = ("_at", "_key", "_offset", "_value")

    def __init__(self, offset: int, key: bytes | None, at: float, value: bytes) -> None:
        self._offset = offset
        self._key = key
        self._at = at
        self._value = value

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes:
        return self._value

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, int(self._at * 1000)

    def __len__(self) -> int:
        return 50


class Log:
    """A partition of a queue topic. Offsets may have gaps, as transactions and compaction leave them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.records: list[SimRecord] = []
        self.low = 0
        self.end = 0

    def append(self, key: bytes | None, at: float, value: bytes) -> SimRecord:
        """Add a record at the end."""
        record = SimRecord(self.end, key, at, value)
        self.records.append(record)
        self.end += 1
        return record

    def skip(self) -> None:
        """Use an offset for something that no consumer is given."""
        self.end += 1

    def read(self, offset: int, most: int) -> tuple[Sequence[SimRecord], int]:
        """Records from an offset on, and the offset to go on at."""
        first = bisect_left(self.records, max(offset, self.low), key=_offset)
        found = self.records[first : first + most]
        if len(found) == most:
            return found, found[-1].offset() + 1
        return found, max(offset, self.end)

    def delete_to(self, offset: int) -> None:
        """Retention: forget what is below an offset."""
        self.low = max(self.low, offset)
