"""Files that others use, that others made, and that something has happened to."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import stat
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from kjobs.config import load
from kjobs.core.deferred import Kind, Row
from kjobs.core.topics import TOMBSTONES_MS
from kjobs.deferred.files import Files
from kjobs.deferred.opener import LogState
from kjobs.deferred.sqlite import SqliteStore
from tests.deferred.calls import ended, free, names

NOW = int(time.time() * 1000)
DAY = 24 * 60 * 60 * 1000

STATE = LogState(
    place=("kjobs.mail", 3),
    cluster_id="cluster",
    log_id="log",
    queue_id="queue",
    low=0,
    high=10,
    epoch=1,
    now_ms=NOW,
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr("kjobs.deferred.files._LOCKED", 0.0)
    made = Files(load({"state_dir": str(tmp_path / "state")}, environ={}, directory=tmp_path))
    made.check()
    return made


def fill(store: SqliteStore, count: int = 10) -> list[Row]:
    rows = [replace(free(f"c{n}"), value=b"x" * 500, offset=n) for n in range(count)]
    store.apply(rows, count)
    return rows


def filled(files: Files, count: int = 10) -> Path:
    """A file with calls, closed; gives where it is."""
    store = files.open(STATE)
    fill(store, count)
    store.close()
    return store.path


# --- others use it -------------------------------------------------------------------------------


_WORKER = """
    import sys
    from pathlib import Path
    from kjobs.config import load
    from kjobs.deferred.files import Files
    from tests.deferred.test_files_at_risk import STATE
    store = Files(load({"state_dir": sys.argv[1]}, environ={}, directory=Path("."))).open(STATE)
    print(store.path, flush=True)
    sys.stdin.read()
    print(store.count, flush=True)
"""


@contextmanager
def another_worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the partition's file open; afterwards it is told to end."""
    command = [sys.executable, "-c", textwrap.dedent(_WORKER), str(folder / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().endswith("3.sqlite\n")
        yield worker
        worker.kill()


def test_an_index_that_is_made_anew_is_not_taken_from_the_process_that_has_it(
    files: Files, tmp_path: Path
) -> None:
    path = filled(files)
    with another_worker(tmp_path) as other:
        inode = path.stat().st_ino
        store = files.open(STATE)
        fill(store, 5)
        store.close()
        again = files.renew(STATE)
        assert (again.count, again.position) == (0, 0)
        again.close()
        assert path.stat().st_ino == inode, "the file of another process was removed"
        assert other.communicate("")[0] == "10\n"
    mine = files.open(STATE)
    assert mine.path == path
    assert mine.count == 10
    mine.close()


def test_an_index_beside_another_ones_is_as_good(files: Files, tmp_path: Path) -> None:
    filled(files)
    with another_worker(tmp_path):
        store = files.open(STATE)
        fill(store, 2_000)
        assert len(store.due(Kind.FREE, NOW * 2, 5_000)) == 2_000
        store.apply([replace(ended(f"c{n}"), offset=3_000 + n) for n in range(2_000)], 5_000)
        assert (store.count, store.position) == (0, 5_000)
        assert store.healthy()
        store.close()


def test_a_file_is_free_when_the_process_that_had_it_was_killed(files: Files, tmp_path: Path) -> None:
    path = filled(files)
    with another_worker(tmp_path):
        pass
    store = files.open(STATE)
    assert (store.path, store.count) == (path, 10)
    store.close()


def test_a_file_is_free_when_it_is_closed(files: Files) -> None:
    path = filled(files)
    for _ in range(3):
        store = files.open(STATE)
        assert store.path == path
        store.close()


def test_a_tool_that_reads_a_file_does_not_cost_it(files: Files) -> None:
    path = filled(files)
    with sqlite3.connect(path, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM call").fetchone()
        store = files.open(STATE)
        assert store.path != path
        assert store.count == 0
        store.close()
    reader.close()
    again = files.open(STATE)
    assert (again.path, again.count) == (path, 10)
    again.close()


# --- others made it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE state SET value = 0 WHERE name = 'schema'",
        "DELETE FROM state WHERE name = 'schema'",
        "UPDATE state SET value = 'far' WHERE name = 'position'",
        "UPDATE state SET value = 'long ago' WHERE name = 'seen_ms'",
        "ALTER TABLE call RENAME COLUMN wake TO woken",
        "DROP TABLE call",
        "DROP TABLE state",
    ],
)
def test_a_file_of_another_version_is_made_anew(
    files: Files, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    path = filled(files)
    with sqlite3.connect(path) as other:
        other.execute(statement)
    other.close()
    store = files.open(STATE)
    assert (store.path, store.count, store.position) == (path, 0, 0)
    assert f"the index {path} is made anew: " in caplog.text
    fill(store)
    assert store.count == 10
    store.close()


def test_a_file_that_others_could_read_is_closed_to_them(files: Files) -> None:
    path = filled(files)
    path.chmod(0o644)
    store = files.open(STATE)
    fill(store, 3)
    assert {stat.S_IMODE(Path(f"{path}{end}").stat().st_mode) for end in ("", "-wal")} == {0o600}
    store.close()


def test_every_directory_that_is_made_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = Files(load({"state_dir": str(tmp_path / "a" / "b")}, environ={}, directory=tmp_path))
        made.check()
        made.open(STATE).close()
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "a").rglob("*") if path.is_dir()]
    assert len(folders) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "a", *folders]} == {0o700}


# --- something has happened to it ----------------------------------------------------------------


def flip(path: Path, found: bytes) -> None:
    """Turn one bit somewhere in a file where these bytes are."""
    content = bytearray(path.read_bytes())
    at = content.index(found)
    content[at + len(found) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_call_of_which_a_bit_has_turned_is_not_given_out(files: Files) -> None:
    path = filled(files)
    flip(path, b"x" * 500)
    store = files.open(STATE)
    with pytest.raises(sqlite3.DatabaseError, match=r"the call at offset . is damaged"):
        store.due(Kind.FREE, NOW * 2, 10)
    store.close()


@pytest.mark.parametrize("column", ["due", "place", "turn", "id", "more", "offset"])
def test_nothing_about_a_call_may_have_changed(files: Files, column: str) -> None:
    path = filled(files, 1)
    value = {"id": "x'00'", "more": "zeroblob(9)"}.get(column, "77")
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE call SET {column} = {value}")
    other.close()
    store = SqliteStore(path)
    with pytest.raises(sqlite3.DatabaseError, match="is damaged"):
        store.due(Kind.FREE, NOW * 2, 10)
    store.close()


def test_a_file_that_was_cut_is_made_anew(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    path = filled(files, 500)
    os.truncate(path, path.stat().st_size // 2)
    store = files.open(STATE)
    assert (store.count, store.position) == (0, 0)
    assert "is made anew" in caplog.text
    store.close()


def test_a_file_that_is_gone_is_made_anew(files: Files) -> None:
    path = filled(files)
    path.unlink()
    store = files.open(STATE)
    assert (store.path, store.count, store.position) == (path, 0, 0)
    store.close()


def test_what_a_change_breaks_off_in_is_as_before(files: Files) -> None:
    store = files.open(STATE)
    rows = fill(store, 3)
    too_large = free("too large", offset=50, rank=(1 << 70, 1))
    with pytest.raises(struct.error):
        store.apply([replace(ended("c0"), offset=40), free("d", offset=41), too_large], 60)
    assert (store.count, store.position) == (3, 3)
    assert store.get("c0") == rows[0]
    assert store.get("d") is None
    assert names(store.due(Kind.FREE, NOW * 2, 10)) == ["c0", "c1", "c2"]
    store.close()


# --- how old it is -------------------------------------------------------------------------------


def test_an_index_is_as_old_as_what_it_knows_and_not_as_its_last_opening(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """Who opens one and is gone before everything is read has not made it younger."""
    path = filled(files)
    old = NOW - TOMBSTONES_MS // 2 + DAY
    with sqlite3.connect(path) as other:
        other.execute("UPDATE state SET value = ? WHERE name = 'seen_ms'", (old,))
    other.close()
    later = dataclasses.replace(STATE, high=5_000)
    store = files.open(later)
    assert store.count == 10
    store.apply([replace(free("d"), offset=20)], 21)  # and there is more
    store.close()
    again = files.open(dataclasses.replace(later, now_ms=NOW + 2 * DAY))
    assert (again.count, again.position) == (0, 0)
    assert "it was last used 4.5 days ago" in caplog.text
    again.close()


def test_an_index_that_has_caught_up_is_new(files: Files) -> None:
    path = filled(files)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE state SET value = ? WHERE name = 'seen_ms'", (NOW - 3 * DAY,))
    other.close()
    store = files.open(dataclasses.replace(STATE, high=12))
    store.apply([replace(free("d"), offset=11)], 12)
    assert store.state("seen_ms") > NOW - DAY
    store.close()


def test_an_index_of_a_log_in_which_nothing_happens_is_new_when_it_is_closed(files: Files) -> None:
    store = files.open(STATE)
    fill(store)
    store.note(seen_ms=NOW - 3 * DAY)
    store.close()
    again = files.open(dataclasses.replace(STATE, now_ms=NOW + DAY))
    assert again.count == 10
    assert again.state("seen_ms") == NOW + DAY
    again.close()
