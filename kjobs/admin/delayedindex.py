"""What the log of the deferred store says by now, for somebody from outside the group.

A compacted log has many records about one call, and its end may tell that a call at its beginning is no
more. So it is read to its end first, into SQLite files, as a worker does; but these have no names, and are
gone with the process.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from heapq import merge
from pathlib import Path

from msgspec.structs import replace

from ..core.deferred import Answered, End, Move, Row
from ..deferred import wire
from ..deferred.sqlite import SqliteStore
from ..kafka.log import Log, LoggedRecord
from .delayedcall import call_id

#: Records that are put into the files together, and the bytes of their values after which they are enough.
_TOGETHER = 2000
_BYTES = 4 * 1024 * 1024
#: Calls taken from all files at a time.
_HANDFUL = 1000

#: Told how much of the log is read, and how much there is, in offsets.
Progress = Callable[[int, int], object]


class DelayedIndex:
    """The calls that wait, by partition, as far as the log was read. Close it.

    Args:
        names: only these: ids of calls or of their records, or places in the log; empty for all.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset(names)
        #: Calls that were named by a place, by partition and the key of their records.
        self._placed: set[tuple[int, str]] = set()
        self._stores: dict[int, SqliteStore] = {}
        #: One past the last offset that was read, by partition.
        self.ends: dict[int, int] = {}

    def close(self) -> None:
        """Let go of the files."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        self.ends.clear()

    # --- reading -----------------------------------------------------------------------------------

    def read(self, log: Log, partitions: Iterable[int], progress: Progress | None = None) -> None:
        """Read on from where the last reading ended, up to the present end.

        Raises:
            BrokerError: the log cannot be read.
        """
        spans = log.spans(partitions)
        for number, span in spans.items():
            position = self.ends.setdefault(number, span.first)
            if not span.first <= position <= span.end:
                # Not the log that was read before, or not on from there.
                self._forget(number)
                position = self.ends[number] = span.first
            spans[number] = span.clipped(first=position)
        total = sum(span.end - span.first for span in spans.values())
        behind = {number: span.end - span.first for number, span in spans.items()}
        pending: defaultdict[int, list[Row | End]] = defaultdict(list)
        count = size = 0
        for record in log.read(spans):
            number = record.partition()
            behind[number] = spans[number].end - record.offset() - 1
            change = self._taken(record)
            if change is not None:
                pending[number].append(change)
            count += 1
            size += len(record)
            if count == _TOGETHER or size >= _BYTES:
                self._apply(pending)
                count = size = 0
                if progress is not None:
                    progress(total - sum(behind.values()), total)
        self._apply(pending)
        self.ends |= {number: span.end for number, span in spans.items()}
        for store in self._stores.values():
            store.index_by_due()
        if progress is not None and total:
            progress(total, total)

    def _taken(self, record: LoggedRecord) -> Row | End | None:
        """A record as a change, if it is about a call that is wanted."""
        change = wire.change(record.key(), record.value(), record.headers() or (), record.offset())
        if isinstance(change, Move | Answered) or not self._wanted(record.partition(), change):
            return None
        if isinstance(change, End) and not change.owner[1]:
            # Whoever cancels takes out what is there, whichever record that is.
            return replace(change, of=None)
        return change

    def _wanted(self, number: int, change: Row | End) -> bool:
        if not self._names or change.id in self._names:
            return True
        if isinstance(change, Row) and f"{number}@{change.offset}" in self._names:
            self._placed.add((number, change.id))
        return (number, change.id) in self._placed or self._is_call(change)

    def _is_call(self, change: Row | End) -> bool:
        """Whether it is about a call that came from the queue and is wanted by its own id."""
        name, _, offset = change.id.rpartition("@")
        if name not in self._names or not offset.isdigit():
            return False
        # Ids that users choose may end like that, too.
        return isinstance(change, End) or call_id(change) == name

    def _apply(self, pending: dict[int, list[Row | End]]) -> None:
        for number, changes in pending.items():
            if changes:
                if number not in self._stores:
                    self._stores[number] = _nameless()
                self._stores[number].apply(changes, None)
        pending.clear()

    def _forget(self, number: int) -> None:
        store = self._stores.pop(number, None)
        if store is not None:
            store.close()

    # --- looking -----------------------------------------------------------------------------------

    def rows(self, before: Mapping[int, int] | None = None) -> Iterator[tuple[int, Row]]:
        """The calls with their partitions: by their time, and then those that have none, in their order.

        Args:
            before: only those whose records are below these offsets, by partition.
        """
        for timed in (True, False):
            rows = [self._some(number, timed=timed) for number in sorted(self._stores)]
            for number, row in merge(*rows, key=lambda found: (found[1].due_ms, found[0])):
                if before is None or row.offset < before.get(number, 0):
                    yield number, row

    def _some(self, number: int, *, timed: bool) -> Iterator[tuple[int, Row]]:
        """The calls of a partition that have a time, or that have none."""
        store = self._stores[number]
        limit = max(1, _HANDFUL // len(self._stores))
        after = (0, 1 << 62) if timed else (-(1 << 62), -1)
        while rows := store.rows(after, limit):
            for row in rows:
                if not timed and row.due_ms > 0:
                    return
                yield number, row
            after = (rows[-1].due_ms, rows[-1].offset)


def _nameless() -> SqliteStore:
    """An empty store in a file that nobody else can find, and that is gone when it is closed."""
    folder = Path(tempfile.mkdtemp(prefix="kjobs-delayed-"))
    path = folder / "index.sqlite"
    try:
        return SqliteStore(path)
    finally:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")  # noqa: PTH108 - a suffix of a whole name
        folder.rmdir()
