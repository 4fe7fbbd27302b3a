"""A deferred store in memory: for tests, and to look at a log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..core.deferred import QUEUED, End, Kind, Row, unaware
from ..core.ports import Applied, LaneHead


class MemoryStore:
    """Calls in a dictionary, looked through from the start each time. For thousands, not for millions.

    Args:
        rows: what is in it from the start.
        position: how far of the log that is.
    """

    def __init__(self, rows: Sequence[Row] = (), position: int = 0) -> None:
        self._rows = {row.id: row for row in rows}
        self._position = position
        self._taken: set[int] = set()
        #: Offsets of calls with a rank that :meth:`due` tells of.
        self._told: set[int] = set()

    @property
    def position(self) -> int:
        """One past the last offset of the log that is applied."""
        return self._position

    @property
    def count(self) -> int:
        """Calls in the store."""
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        """All calls, as they were put in."""
        return list(self._rows.values())

    def apply(self, changes: Sequence[Row | End], position: int | None) -> Applied:
        """Take in what the log says."""
        survivors: list[str] = []
        lanes: set[bytes] = set()
        for change in changes:
            existing = self._rows.get(change.id)
            if existing is not None:
                if existing.offset >= change.offset and not unaware(existing, change):
                    continue
                if change.of is not None and 0 <= change.of < existing.offset:
                    survivors.append(change.id)
                    continue
                if existing.offset > change.offset:
                    survivors.append(change.id)
                self._forget(existing)
                if existing.kind is Kind.RANKED and existing.lane is not None:
                    lanes.add(existing.lane)
            if isinstance(change, Row):
                self._rows[change.id] = change
                if change.kind is Kind.RANKED and change.due_ms > 0:
                    self._told.add(change.offset)
        if position is not None:
            self._position = position
        return Applied(survivors, lanes)

    def _forget(self, row: Row) -> None:
        del self._rows[row.id]
        self._taken.discard(row.offset)
        self._told.discard(row.offset)

    def get(self, call_id: str) -> Row | None:
        """The call of this id."""
        return self._rows.get(call_id)

    def taken(self, call_id: str) -> bool:
        """Whether the call of this id is in somebody's hands."""
        row = self._rows.get(call_id)
        return row is not None and row.offset in self._taken

    def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Row]:
        """Up to ``limit`` calls of a kind whose time has come."""
        found = [row for row in self._waiting(kind) if row.due_ms <= now_ms]
        found.sort(key=lambda row: (row.due_ms, row.offset))
        found = found[:limit]
        if kind is Kind.RANKED:
            self._told.difference_update(row.offset for row in found)
        else:
            self._taken.update(row.offset for row in found)
        return found

    def next_due(self, kind: Kind) -> int | None:
        """When there will be something to tell."""
        return min((row.due_ms for row in self._waiting(kind)), default=None)

    def _waiting(self, kind: Kind) -> list[Row]:
        return [
            row
            for row in self._rows.values()
            if row.kind is kind
            and row.offset not in self._taken
            and (kind is not Kind.RANKED or row.offset in self._told)
        ]

    def lane(self, key: bytes, read: int, now_ms: int, limit: int) -> tuple[Sequence[Row], LaneHead | None]:
        """Take the first calls of a lane."""
        rows = self._lane(key)
        found: list[Row] = []
        for row in rows[:limit]:
            if row.needs > read or row.due_ms > now_ms:
                break
            found.append(row)
        self._take(row.offset for row in found)
        if found or not rows:
            return found, None
        head = rows[0]
        if head.due_ms > now_ms:
            self._told.add(head.offset)
        return (), LaneHead(head.needs, head.due_ms)

    def _lane(self, key: bytes) -> list[Row]:
        rows = [
            row
            for row in self._rows.values()
            if row.lane == key and row.rank is not None and row.offset not in self._taken
        ]
        rows.sort(key=lambda row: row.rank or (0, 0))
        return rows

    def lanes(self) -> Mapping[bytes, int]:
        """Every lane, with what its head needs to have been read."""
        keys = {row.lane for row in self._rows.values() if row.lane is not None and row.rank is not None}
        found: dict[bytes, int] = {}
        for key in keys:
            if rows := self._lane(key):
                self._told.add(rows[0].offset)
                found[key] = rows[0].needs
        return found

    def sources(self, low: int) -> Collection[int]:
        """Offsets in the queue of calls that are in the store."""
        found = (row.source for row in self._rows.values())
        return {source for source in found if source is not None and source >= low}

    def last_turn(self) -> int:
        """The highest turn in a rank."""
        ranks = (row.rank for row in self._rows.values() if row.rank is not None)
        return max((turn for _, turn in ranks if turn != QUEUED), default=0)

    def lowest(self) -> int | None:
        """The lowest offset of a call's record."""
        return min((row.offset for row in self._rows.values()), default=None)

    def hold(self, offsets: Collection[int]) -> None:
        """Take calls that are in somebody's hands."""
        self._take({row.offset for row in self._rows.values()}.intersection(offsets))

    def _take(self, offsets: Iterable[int]) -> None:
        taken = set(offsets)
        self._taken |= taken
        self._told -= taken  # what is given back is told again when its lane is asked for

    def release(self, offsets: Collection[int]) -> None:
        """Give back calls that were taken."""
        self._taken.difference_update(offsets)

    def close(self) -> None:
        """What was taken is released."""
        self._taken.clear()
