"""Indexes in local files: one for each partition and group, in the directory ``state_dir``."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import Settings
from ..core.topics import TOMBSTONES_MS
from ..errors import ConfigError
from .opener import LogState
from .sqlite import SCHEMA, SqliteStore

log = logging.getLogger("kjobs.worker")

#: Seconds for which a file is waited for that another process of this host has open: it may be giving the
#: partition back.
_LOCKED = 5.0


class Files:
    """The files of one worker's group.

    Args:
        settings: name the directory and the group.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = settings.state_dir
        self._directory = state_directory(settings.state_dir) / _safe(settings.group)

    def check(self) -> None:
        """Make the directory.

        Raises:
            ConfigError: that is not possible.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        store = self._opened(path, state)
        noted = {name: store.state(name) for name in ("schema", *_noted(state))}
        why = doubt(noted, store.position, state)
        if why is None and not store.healthy():
            why = "it is damaged"
        if why is None:
            store.note(seen_ms=state.now_ms)
            return store
        if store.count or store.position:
            log.warning(
                "the index %s is made anew: %s", path, why, extra={"event": "store.renewed", "why": why}
            )
        store.close()
        return self.renew(state)

    def renew(self, state: LogState) -> SqliteStore:
        """An empty store in place of what is there."""
        path = self._path(state)
        _remove(path)
        store = self._opened(path, state)
        store.note(**_noted(state))
        return store

    def _opened(self, path: Path, state: LogState) -> SqliteStore:
        until = time.monotonic() + _LOCKED
        while True:
            try:
                return SqliteStore(path)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                if time.monotonic() > until:
                    return self._beside(path)
                time.sleep(0.05)
            except sqlite3.DatabaseError as error:
                # Something that is no database, or a torn one.
                log.warning("the index %s is made anew: %s", path, error, extra={"event": "store.renewed"})
                _remove(path)

    def _beside(self, path: Path) -> SqliteStore:
        """A file of this process's own: another one holds the partition's, and may be frozen."""
        log.warning(
            "the index %s is open in another process; this worker makes one for itself",
            path,
            extra={"event": "store.locked"},
        )
        handle, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".own.sqlite", dir=path.parent)
        os.close(handle)
        store = SqliteStore(Path(name))
        # Nobody will look for it: its name goes now, and the space when it is closed.
        for suffix in ("", "-wal"):
            with suppress(OSError):
                Path(f"{name}{suffix}").unlink()
        return store

    def _path(self, state: LogState) -> Path:
        topic, number = state.place
        folder = self._directory / _safe(topic)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{number}.sqlite"


def doubt(noted: Mapping[str, Any], position: int, state: LogState) -> str | None:
    """Why an index cannot be trusted; None if it can.

    Args:
        noted: what the index says of itself.
        position: how far of the log it knows.
        state: the log as it is.
    """
    for name, what in (
        ("schema", "the version of its format"),
        ("cluster_id", "its cluster"),
        ("log_id", "the id of its log's topic"),
        ("queue_id", "the id of its queue's topic"),
    ):
        is_now = SCHEMA if name == "schema" else getattr(state, name)
        if noted.get(name) != is_now:
            return f"{what} is {noted.get(name)!r} and should be {is_now!r}"
    if position > state.high:
        return f"it knows the log up to offset {position}, and the log ends at {state.high}"
    if position < state.low:
        return f"it knows the log up to offset {position}, and the log begins at {state.low}"
    age_ms = state.now_ms - int(noted.get("seen_ms") or 0)
    if age_ms > TOMBSTONES_MS / 2:
        return (
            f"it was last used {age_ms / 86_400_000:.1f} days ago: the log may not tell any more which calls "
            "have ended since"
        )
    if age_ms < -TOMBSTONES_MS / 2:
        return "it was last used in the future"
    return None


def _noted(state: LogState) -> dict[str, Any]:
    return {
        "cluster_id": state.cluster_id,
        "log_id": state.log_id,
        "queue_id": state.queue_id,
        "seen_ms": state.now_ms,
    }


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
