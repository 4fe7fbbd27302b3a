"""Indexes in local files: one for each partition and group, in the directory ``state_dir``."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import sqlite3
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..config import Settings
from ..errors import ConfigError
from .doubt import doubt, noted_of
from .opener import LogState
from .sqlite import SCHEMA, SqliteStore

log = logging.getLogger("kjobs.worker")

#: Seconds for which a file is waited for that another process of this host has open: it may be giving the
#: partition back.
_LOCKED = 5.0
#: Seconds between two tries to have it.
_PAUSE = 0.05


#: Errors that are not the file's fault: it is kept, and tried again.
_AROUND = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


class _InUse(Exception):
    """Somebody reads a file, and does not stop."""


class Files:
    """The files of one worker's group.

    Args:
        settings: name the directory and the group.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings.state_dir
        self._directory = state_directory(settings.state_dir) / _safe(settings.group)
        self._waited_at = float("-inf")

    def check(self) -> None:
        """Make the directory.

        Raises:
            ConfigError: that is not possible.
        """
        try:
            _make(self._directory)
            with tempfile.TemporaryFile(dir=self._directory):
                pass
        except OSError as error:
            hint = "" if self._given else " Set state_dir to a directory that the worker may write to."
            raise ConfigError(
                f"the worker keeps an index of delayed calls in {self._directory}, which it cannot write to: "
                f"{error.strerror or error}.{hint}"
            ) from None

    def describe(self) -> str:
        """Where they are."""
        return str(self._directory)

    def open(self, state: LogState) -> SqliteStore:
        """The store of a partition, empty if there is no file, or one that cannot be trusted."""
        path = self._path(state)
        lock = self._lock(path)
        if lock is None:
            return self._beside(path, state)
        try:
            store = self._found(path, state)
            return _ready(store, lock, state) if store else self._new(path, lock, state)
        except _InUse:
            lock.close()
            return self._beside(path, state)
        except BaseException:
            lock.close()
            raise

    def renew(self, state: LogState) -> SqliteStore:
        """An empty store in place of what is there."""
        path = self._path(state)
        lock = self._lock(path)
        if lock is None:
            return self._beside(path, state)
        try:
            return self._new(path, lock, state)
        except BaseException:
            lock.close()
            raise

    def _lock(self, path: Path) -> IO[bytes] | None:
        """What keeps other processes from a file; None if one of them has it, and keeps it."""
        # One that does not give one file back does not give back the others: they are not waited for as well.
        waited = time.monotonic() - self._waited_at < _LOCKED
        lock = _locked(path, 0.0 if waited else _LOCKED)
        if lock is None:
            self._waited_at = time.monotonic()
        return lock

    def _found(self, path: Path, state: LogState) -> SqliteStore | None:
        """What is in a file, if it is there and can be trusted."""
        if not path.exists():
            return None
        store: SqliteStore | None = None
        try:
            store = _opened(path)
            noted = {name: store.state(name) for name in ("schema", *noted_of(state))}
            why = doubt(noted, store.position, state, schema=SCHEMA)
            if why is None and not store.healthy():
                why = "it is damaged"
        except sqlite3.DatabaseError as error:
            if _errorcode(error) in _AROUND:
                if store is not None:
                    store.close()
                raise
            # Something that is no database, a torn one, or one that another version has made.
            why = str(error)
        if why is None:
            return store
        if store is not None:
            store.close()
        log.warning("the index %s is made anew: %s", path, why, extra={"event": "store.renewed", "why": why})
        return None

    def _new(self, path: Path, lock: IO[bytes], state: LogState) -> SqliteStore:
        _remove(path)
        return _ready(SqliteStore(path), lock, state, new=True)

    def _beside(self, path: Path, state: LogState) -> SqliteStore:
        """A file of this process's own: another one holds the partition's, and may be frozen."""
        log.warning(
            "the index %s is open in another process; this worker makes one for itself",
            path,
            extra={"event": "store.locked"},
        )
        handle, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".own.sqlite", dir=path.parent)
        os.close(handle)
        try:
            store = SqliteStore(Path(name))
        finally:
            # Nobody will look for it: its name goes now, and the space when it is closed.
            _remove(Path(name))
        return _ready(store, None, state, new=True)

    def _path(self, state: LogState) -> Path:
        topic, number = state.place
        folder = self._directory / _safe(topic)
        _make(folder)
        return folder / f"{number}.sqlite"


def state_directory(given: str | None) -> Path:
    """The directory for local state: the one that is set, or the user's own for such things."""
    if given is not None:
        return Path(given).expanduser()
    base = os.environ.get("XDG_STATE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "kjobs"
    try:
        return Path.home() / ".local" / "state" / "kjobs"
    except RuntimeError:  # no home: a container's user without an entry
        return Path(tempfile.gettempdir()) / "kjobs"


def _locked(path: Path, patience: float) -> IO[bytes] | None:
    """What keeps other processes from a file until it is closed; None if one keeps it from us for so long.

    SQLite's own lock does the same, but is lost with a file that is made anew.
    """
    lock = open(path.with_suffix(".lock"), "ab", opener=_privately)  # noqa: SIM115 - for as long as the store
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                lock.close()
                return None
            time.sleep(_PAUSE)
        except OSError as error:  # a file system that has no locks
            log.debug("%s: %s", lock.name, error)
            return lock
        else:
            return lock


def _opened(path: Path) -> SqliteStore:
    """What is in a file; somebody may be reading it for a moment, with a tool.

    Raises:
        _InUse: it is not only for a moment.
        sqlite3.DatabaseError: as of the store.
    """
    until = time.monotonic() + _LOCKED
    while True:
        try:
            return SqliteStore(path)
        except sqlite3.OperationalError as error:
            if _errorcode(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() >= until:
                raise _InUse from None
            time.sleep(_PAUSE)


def _errorcode(error: sqlite3.DatabaseError) -> int:
    """SQLite's primary code of an error; 0 if it is not SQLite's."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _ready(store: SqliteStore, lock: IO[bytes] | None, state: LogState, *, new: bool = False) -> SqliteStore:
    """A store as it is given out, with what it is to know of itself."""
    try:
        if new:
            store.note(**noted_of(state))
        elif store.position >= state.high:
            store.note(seen_ms=state.now_ms)
    except BaseException:
        store.close()
        raise
    store.lock = lock
    store.whole_from = state.high
    return store


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(directory: Path) -> None:
    """Make a directory, and those above it, for this user only."""
    for one in (*reversed(directory.parents), directory):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def _safe(name: str) -> str:
    """A name as a directory's name; what had to be changed is told apart by a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    if plain == name and plain not in (".", "..") and len(plain) <= 200:
        return plain
    return f"{plain[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
