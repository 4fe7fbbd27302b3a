"""A deferred store in a local SQLite file: an index of one partition of the log.

The log is the truth, so nothing here is ever waited for to reach the disk; but rows and the position in
the log change together, so that the file says what was so at one moment. Any doubt about it ends with a new
file, read from the log.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from ..core.deferred import QUEUED, End, Kind, Row, unaware
from ..core.ports import Applied, LaneHead
from .wire import name_bytes, name_text

#: Raised with every change of the tables; a file of another schema is made anew.
SCHEMA = 2

_TABLES = (
    """CREATE TABLE call(
        offset INTEGER PRIMARY KEY,  -- of its record in the log
        id BLOB NOT NULL UNIQUE,
        kind INTEGER NOT NULL,
        due INTEGER NOT NULL,        -- ms since the epoch
        wake INTEGER,                -- when to tell of it. NULL: it is told, or taken, or behind another
        taken INTEGER NOT NULL,
        lane BLOB,                   -- the ordering key, of a call with a rank
        place INTEGER,
        turn INTEGER,
        value BLOB,
        more BLOB NOT NULL,          -- what is only needed to run it
        seal INTEGER NOT NULL        -- a checksum of all that makes up the call
    )""",
    "CREATE INDEX by_wake ON call(kind, wake) WHERE wake IS NOT NULL",
    "CREATE INDEX by_lane ON call(lane, place, turn) WHERE lane IS NOT NULL",
    "CREATE INDEX by_place ON call(place) WHERE place IS NOT NULL",
    "CREATE INDEX by_taken ON call(offset) WHERE taken",
    "CREATE TABLE state(name TEXT PRIMARY KEY, value)",
)

_INSERT = "INSERT INTO call VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "offset, id, due, lane, place, turn, value, more, seal"
_numbers = struct.Struct("<qqqq").pack


class _More(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: bytes | None
    relaxed: bool
    failures: int
    since_ms: int
    topic_id: str
    owner: tuple[int, str]
    expires_ms: int | None
    headers: list[tuple[str, bytes | None]] | None
    of: int
    crashes: int
    state: bytes | None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_More).decode


class SqliteStore:
    """A store in a file of its own, which no other process can open meanwhile.

    Args:
        path: the file; its directory exists.

    Raises:
        sqlite3.Error: it cannot be opened, is locked, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Closed when the store is.
        self.lock: IO[bytes] | None = None
        #: The end of the log when the file was opened: from there on it is as new as it can be.
        self.whole_from = 0
        # Only its owner may read what calls carry; the files that SQLite puts beside it have the same mode.
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            with suppress(PermissionError):  # another user's, who lets this one write to it
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._begin()
        except BaseException:
            self._db.close()
            raise

    def _begin(self) -> None:
        run = self._db.execute
        # Exclusive before WAL: the lock is held until the end, and no shared memory file is made.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = OFF")
        run("PRAGMA cache_size = -1024")
        run("PRAGMA wal_autocheckpoint = 4000")
        run("PRAGMA temp_store = MEMORY")
        run("BEGIN EXCLUSIVE")
        if not run("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES:
                run(statement)
            self._set_state("schema", SCHEMA)
            self._set_state("position", 0)
        schema, position = self.state("schema"), self.state("position")
        if schema != SCHEMA or not isinstance(position, int):
            raise sqlite3.DatabaseError(
                f"the version of its format is {schema!r} and should be {SCHEMA!r}, its position {position!r}"
            )
        run("UPDATE call SET taken = 0, wake = due WHERE taken AND kind != ?", (Kind.RANKED,))
        run("UPDATE call SET taken = 0 WHERE taken")
        run("COMMIT")
        self._position = position
        self._count = int(run("SELECT count(*) FROM call").fetchone()[0])

    # --- the file --------------------------------------------------------------------------------

    def healthy(self) -> bool:
        """Whether SQLite finds nothing wrong with the file."""
        try:
            return bool(self._db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False

    def state(self, name: str) -> Any:
        """What was noted under a name; None if nothing was."""
        found = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def note(self, **state: Any) -> None:
        """Note things about the file."""
        with self._changing():
            for name, value in state.items():
                self._set_state(name, value)

    def _set_state(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """All changes within, or none."""
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _note_seen(self) -> None:
        """Note that everything in the log is known by now."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES ('seen_ms', strftime('%s', 'now') * 1000)")

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            if self._position >= self.whole_from:
                self._note_seen()  # nothing has come since the last time
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self.lock is not None:
            self.lock.close()

    # --- the log ---------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """One past the last offset of the log that is applied."""
        return self._position

    @property
    def count(self) -> int:
        """Calls in the store."""
        return self._count

    def apply(self, changes: Sequence[Row | End], position: int | None) -> Applied:
        """Take in what the log says, in one transaction."""
        survivors: list[str] = []
        lanes: set[bytes] = set()
        count = self._count
        try:
            with self._changing():
                if not self._insert_all(changes):
                    for change in changes:
                        self._apply_one(change, survivors, lanes)
                if position is not None:
                    self._set_state("position", position)
                    if position >= self.whole_from:
                        self._note_seen()
        except BaseException:
            self._count = count
            raise
        if position is not None:
            self._position = position
        return Applied(survivors, lanes)

    def _insert_all(self, changes: Sequence[Row | End]) -> bool:
        """Put in calls that are all new; False, and nothing is done, if they are not."""
        if not all(isinstance(change, Row) for change in changes):
            return False
        self._db.execute("SAVEPOINT many")
        try:
            self._db.executemany(_INSERT, [_values(row) for row in changes if isinstance(row, Row)])
        except sqlite3.IntegrityError:
            self._db.execute("ROLLBACK TO many")
            self._db.execute("RELEASE many")
            return False
        self._db.execute("RELEASE many")
        self._count += len(changes)
        return True

    def _apply_one(self, change: Row | End, survivors: list[str], lanes: set[bytes]) -> None:
        run = self._db.execute
        name = name_bytes(change.id)
        found = run("SELECT offset, lane FROM call WHERE id = ?", (name,)).fetchone()
        if found is not None:
            offset, lane = found
            if offset >= change.offset:
                existing = self.get(change.id)
                if existing is None or not unaware(existing, change):
                    return
                survivors.append(change.id)
            elif change.of is not None and 0 <= change.of < offset:
                survivors.append(change.id)
                return
            run("DELETE FROM call WHERE offset = ?", (offset,))
            self._count -= 1
            if lane is not None:
                lanes.add(lane)
        if isinstance(change, Row):
            run(_INSERT, _values(change))
            self._count += 1

    # --- looking ---------------------------------------------------------------------------------

    def get(self, call_id: str) -> Row | None:
        """The call of this id."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM call WHERE id = ?", (name_bytes(call_id),))  # noqa: S608
        with closing(found):
            one = found.fetchone()
        return None if one is None else _row(one)

    def taken(self, call_id: str) -> bool:
        """Whether the call of this id is in somebody's hands."""
        found = self._db.execute("SELECT taken FROM call WHERE id = ?", (name_bytes(call_id),)).fetchone()
        return found is not None and bool(found[0])

    def sources(self, low: int) -> Collection[int]:
        """Offsets in the queue of calls that are in the store."""
        found = self._db.execute("SELECT place FROM call WHERE place >= ? AND turn = ?", (low, QUEUED))
        return {place for (place,) in found}

    def last_turn(self) -> int:
        """The highest turn in a rank."""
        found = self._db.execute(
            "SELECT max(turn) FROM call WHERE place IS NOT NULL AND turn != ?", (QUEUED,)
        ).fetchone()
        return found[0] or 0

    # --- all of it, for people -------------------------------------------------------------------

    def index_by_due(self) -> None:
        """Make :meth:`rows` fast. Not for the file of a worker, which would pay for it with every change."""
        # Sorting millions of rows is not for memory.
        self._db.execute("PRAGMA temp_store = FILE")
        self._db.execute("CREATE INDEX IF NOT EXISTS by_due ON call(due)")

    def rows(self, after: tuple[int, int], limit: int) -> Sequence[Row]:
        """Up to ``limit`` calls in the order of when they are due and of their offsets.

        Args:
            after: the due time (ms since the epoch) and the offset of the last one before them.
            limit: the most.
        """
        due, offset = after
        found: list[tuple[Any, ...]] = []
        # In two steps: there may be many with the same time, which one comparison of pairs would pass again.
        for which, least in (("due = ? AND offset > ?", (due, offset)), ("due > ?", (due,))):
            found += self._db.execute(
                f"SELECT {_COLUMNS} FROM call WHERE {which} ORDER BY due, offset LIMIT ?",  # noqa: S608
                (*least, limit - len(found)),
            )
        return [_row(one) for one in found]

    # --- what is due -----------------------------------------------------------------------------

    def due(self, kind: Kind, now_ms: int, limit: int) -> Sequence[Row]:
        """Up to ``limit`` calls of a kind whose time has come."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM call WHERE kind = ? AND wake <= ? AND wake IS NOT NULL "  # noqa: S608
            "ORDER BY wake, offset LIMIT ?",
            (kind, now_ms, limit),
        ).fetchall()
        taken = 0 if kind is Kind.RANKED else 1
        self._mark("UPDATE call SET wake = NULL, taken = ? WHERE offset = ?", [(taken, f[0]) for f in found])
        return [_row(one) for one in found]

    def next_due(self, kind: Kind) -> int | None:
        """When there will be something to tell."""
        found = self._db.execute(
            "SELECT wake FROM call WHERE kind = ? AND wake IS NOT NULL ORDER BY wake LIMIT 1", (kind,)
        ).fetchone()
        return None if found is None else found[0]

    def lane(self, key: bytes, read: int, now_ms: int, limit: int) -> tuple[Sequence[Row], LaneHead | None]:
        """Take the first calls of a lane."""
        rows = [
            _row(one)
            for one in self._db.execute(
                f"SELECT {_COLUMNS} FROM call WHERE lane = ? AND NOT taken "  # noqa: S608
                "ORDER BY place, turn LIMIT ?",
                (key, limit),
            )
        ]
        found: list[Row] = []
        for row in rows:
            if row.needs > read or row.due_ms > now_ms:
                break
            found.append(row)
        if found or not rows:
            self._mark(
                "UPDATE call SET wake = NULL, taken = 1 WHERE offset = ?", [(r.offset,) for r in found]
            )
            return found, None
        head = rows[0]
        if head.due_ms > now_ms:
            self._mark("UPDATE call SET wake = due WHERE offset = ?", [(head.offset,)])
        return (), LaneHead(head.needs, head.due_ms)

    def lanes(self) -> Mapping[bytes, int]:
        """Every lane, with what its head needs to have been read."""
        firsts: dict[bytes, int] = {}
        offsets: list[tuple[int]] = []
        for lane, offset, place, turn in self._db.execute(
            "SELECT lane, offset, place, turn FROM call WHERE lane IS NOT NULL AND NOT taken "
            "ORDER BY lane, place, turn"
        ):
            if lane not in firsts:
                firsts[lane] = place + 1 if turn == QUEUED else place
                offsets.append((offset,))
        self._mark("UPDATE call SET wake = due WHERE offset = ?", offsets)
        return firsts

    def lowest(self) -> int | None:
        """The lowest offset of a call's record."""
        found = self._db.execute("SELECT min(offset) FROM call").fetchone()
        return None if found is None else found[0]

    def hold(self, offsets: Collection[int]) -> None:
        """Take calls that are in somebody's hands."""
        self._mark("UPDATE call SET wake = NULL, taken = 1 WHERE offset = ?", [(o,) for o in offsets])

    def release(self, offsets: Collection[int]) -> None:
        """Give back calls that were taken."""
        self._mark(
            f"UPDATE call SET taken = 0, wake = CASE kind WHEN {Kind.RANKED:d} THEN wake ELSE due END "  # noqa: S608
            "WHERE offset = ? AND taken",
            [(offset,) for offset in offsets],
        )

    def _mark(self, statement: str, values: Sequence[tuple[int, ...]]) -> None:
        if values:
            with self._changing():
                self._db.executemany(statement, values)


def _values(row: Row) -> tuple[Any, ...]:
    place, turn = row.rank if row.rank is not None else (None, None)
    kind = row.kind
    ranked = kind is Kind.RANKED
    name = name_bytes(row.id)
    more = _pack(
        _More(
            row.key,
            row.relaxed,
            row.failures,
            row.since_ms,
            row.topic_id,
            row.owner,
            row.expires_ms,
            None if row.headers is None else list(row.headers),
            row.of,
            row.crashes,
            row.state,
        )
    )
    return (
        row.offset,
        name,
        kind,
        row.due_ms,
        # What is parked behind another is asked for when its turn has come.
        None if ranked and row.due_ms <= 0 else row.due_ms,
        row.key if ranked else None,
        place,
        turn,
        row.value,
        more,
        _seal(row.offset, row.due_ms, place, turn, name, row.value, more),
    )


def _seal(
    offset: int, due: int, place: int | None, turn: int | None, name: bytes, value: bytes | None, more: bytes
) -> int:
    """A checksum: SQLite's own check finds what is wrong with a file's order, and not with what is in it."""
    numbers = _numbers(offset, due, place or 0, turn or 0)
    return zlib.crc32(value or b"", zlib.crc32(more, zlib.crc32(name, zlib.crc32(numbers))))


def _row(found: tuple[Any, ...]) -> Row:
    """A call as it was put in.

    Raises:
        sqlite3.DatabaseError: it is not as it was put in.
    """
    offset, name, due, _, place, turn, value, more, seal = found
    try:
        intact = _seal(offset, due, place, turn, name, value, more) == seal
    except (TypeError, struct.error):
        intact = False
    if not intact:
        raise sqlite3.DatabaseError(f"the call at offset {offset} is damaged")
    rest = _unpack(more)
    return Row(
        id=name_text(name),
        value=value,
        due_ms=due,
        key=rest.key,
        relaxed=rest.relaxed,
        failures=rest.failures,
        since_ms=rest.since_ms,
        rank=None if place is None else (place, turn),
        topic_id=rest.topic_id,
        owner=rest.owner,
        expires_ms=rest.expires_ms,
        headers=rest.headers,
        crashes=rest.crashes,
        state=rest.state,
        of=rest.of,
        offset=offset,
    )
