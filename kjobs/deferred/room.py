"""Keeps the log of the deferred store small where the broker cannot compact it: on the embedded one.

That drops what is old and not needed any more, up to the oldest call that waits. So a call that waits for
long would keep everything after it, most of which may be about calls that have ended: it is written once
more, and its old record is needed no longer.
"""

from __future__ import annotations

from collections import deque

from ..core.deferred import Change, End, Row
from ..core.ports import Headers
from ..kafka.embedded.accounts import OVERHEAD
from ..kafka.embedded.guard import weight

#: Bytes of a log below which it is left alone.
_SMALL = 2 * 1024 * 1024
#: Bytes of calls that are written once more at a time.
_TOGETHER = 256 * 1024


class Room:
    """What one partition's log holds, as it is read from its beginning, and what of that is of use."""

    def __init__(self) -> None:
        self._records: deque[tuple[int, int]] = deque()
        self._held = 0
        #: The offset and the bytes of each call's last record, the oldest first.
        self._calls: dict[str, tuple[int, int]] = {}
        self._of_use = 0

    def take(self, change: Change, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Take in the next record of the log, and the change that it is."""
        size = OVERHEAD + weight(value, key, headers)
        self._records.append((change.offset, size))
        self._held += size
        if not isinstance(change, Row | End):
            return
        offset, freed = self._calls.get(change.id, (-1, 0))
        if change.of is not None and 0 <= change.of < offset:
            return
        self._calls.pop(change.id, None)
        self._of_use -= freed
        if isinstance(change, Row):
            self._calls[change.id] = (change.offset, size)
            self._of_use += size

    def forget(self, below: int) -> None:
        """Records below an offset may be dropped."""
        while self._records and self._records[0][0] < below:
            self._held -= self._records.popleft()[1]

    @property
    def crowded(self) -> bool:
        """Whether the log is large, and a good part of it of no use."""
        return self._held > _SMALL and 3 * self._of_use < 2 * self._held

    def oldest(self) -> list[str]:
        """The ids of the calls at the beginning of the log, a handful of them."""
        found: list[str] = []
        total = 0
        for name, (_, size) in self._calls.items():
            if total and total + size > _TOGETHER:
                break
            found.append(name)
            total += size
        return found
