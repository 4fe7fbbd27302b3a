"""Indexes in local files: whose they are, when they are believed, and what becomes of those that are not."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from kjobs.config import load
from kjobs.core.deferred import Row
from kjobs.core.topics import TOMBSTONES_MS
from kjobs.deferred.files import Files
from kjobs.deferred.opener import LogState
from kjobs.deferred.sqlite import SqliteStore
from kjobs.errors import ConfigError
from tests.deferred.conformance import free

#: When the tests take place (ms since the epoch): files note the real time, too.
NOW = int(time.time() * 1000)

STATE = LogState(
    place=("kjobs.mail", 3),
    cluster_id="cluster",
    log_id="log",
    queue_id="queue",
    low=0,
    high=1000,
    epoch=1,
    now_ms=NOW,
)


def files(folder: Path, group: str = "g") -> Files:
    made = Files(load({"state_dir": str(folder), "group": group}, environ={}, directory=folder.parent))
    made.check()
    return made


def fill(store: SqliteStore, position: int = 10) -> None:
    store.apply([_row(n) for n in range(position)], position)


def _row(offset: int) -> Row:
    row = free(f"c{offset}")
    return Row(**{**{name: getattr(row, name) for name in row.__struct_fields__}, "offset": offset})


def test_a_file_is_for_its_owners_eyes_only(tmp_path: Path) -> None:
    store = files(tmp_path / "state").open(STATE)
    fill(store)
    found = list((tmp_path / "state").rglob("*"))
    assert {path.name for path in found} >= {"3.sqlite", "3.sqlite-wal"}
    for path in found:
        wanted = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path
    store.close()


def test_groups_and_topics_have_files_of_their_own(tmp_path: Path) -> None:
    other = dataclasses.replace(STATE, place=("kjobs.other", 3))
    stores = [
        files(tmp_path).open(STATE),
        files(tmp_path, "g/../h").open(STATE),
        files(tmp_path).open(other),
    ]
    fill(stores[0])
    assert [store.count for store in stores] == [10, 0, 0]
    assert all(tmp_path in store.path.parents for store in stores)
    for store in stores:
        store.close()


def test_what_was_there_is_there_again(tmp_path: Path) -> None:
    store = files(tmp_path).open(STATE)
    fill(store)
    store.close()
    again = files(tmp_path).open(STATE)
    assert (again.count, again.position) == (10, 10)
    again.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cluster_id": "another"}, "its cluster is 'cluster' and should be 'another'"),
        ({"log_id": "another"}, "the id of its log's topic is 'log' and should be 'another'"),
        ({"queue_id": "another"}, "the id of its queue's topic is 'queue' and should be 'another'"),
        ({"high": 9}, "knows the log up to offset 10, and the log ends at 9"),
        ({"low": 11}, "knows the log up to offset 10, and the log begins at 11"),
        ({"now_ms": NOW + TOMBSTONES_MS // 2 + 120_000}, "it was last used 3.5 days ago"),
        ({"now_ms": NOW - TOMBSTONES_MS}, "it was last used in the future"),
    ],
)
def test_an_index_that_may_be_wrong_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], reason: str
) -> None:
    store = files(tmp_path).open(STATE)
    fill(store)
    store.close()
    with caplog.at_level(logging.WARNING):
        again = files(tmp_path).open(dataclasses.replace(STATE, **change))
    assert (again.count, again.position) == (0, 0)
    assert reason in caplog.text
    again.close()


def test_an_index_is_believed_up_to_half_of_the_time_that_tombstones_are_kept(tmp_path: Path) -> None:
    store = files(tmp_path).open(STATE)
    fill(store)
    store.close()
    again = files(tmp_path).open(dataclasses.replace(STATE, now_ms=NOW + TOMBSTONES_MS // 2 - 60_000))
    assert again.count == 10
    again.close()


def test_a_torn_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = files(tmp_path).open(STATE)
    fill(store, 500)
    path = store.path
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        again = files(tmp_path).open(STATE)
    assert (again.count, again.position) == (0, 0)
    assert "is made anew" in caplog.text
    again.close()


def test_a_file_that_is_something_else_is_made_anew(tmp_path: Path) -> None:
    store = files(tmp_path).open(STATE)
    path = store.path
    store.close()
    path.write_bytes(b"this is no database" * 1000)
    again = files(tmp_path).open(STATE)
    fill(again)
    assert again.count == 10
    again.close()


def test_an_empty_index_is_renewed_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        files(tmp_path).open(STATE).close()
    assert not caplog.text


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"delayed calls in .*file/g, which it cannot write to: "):
        files(tmp_path / "file")


_HOLDER = """
    import sys
    from pathlib import Path
    from kjobs.deferred.sqlite import SqliteStore
    store = SqliteStore(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_another_process_has_is_left_to_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kjobs.deferred.files._LOCKED", 0.0)
    mine = files(tmp_path)
    first = mine.open(STATE)
    fill(first)
    path = first.path
    first.close()
    command = [sys.executable, "-c", textwrap.dedent(_HOLDER), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SqliteStore(path)
        with caplog.at_level(logging.WARNING):
            store = mine.open(STATE)
        assert "is open in another process; this worker makes one for itself" in caplog.text
        assert (store.count, store.position) == (0, 0)
        fill(store)
        assert store.count == 10
        store.close()
        assert not list(path.parent.glob("*.own.*")), "the one of its own stayed behind"
        holder.communicate("")
    again = mine.open(STATE)
    assert again.count == 10
    again.close()


_WRITER = """
    import sys
    from pathlib import Path
    from kjobs.core.deferred import Row
    from kjobs.deferred.sqlite import SqliteStore
    store = SqliteStore(Path(sys.argv[1]))
    at = 0
    while True:
        rows = [Row(id=f"c{n}", value=b"{}", due_ms=n, offset=n) for n in range(at, at + 7)]
        at += 7
        store.apply(rows, at)
        print(at, flush=True)
"""


def test_a_killed_process_leaves_calls_and_position_of_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "0.sqlite"
    command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [int(writer.stdout.readline()) for _ in range(200)][-1]
        writer.send_signal(signal.SIGKILL)
    store = SqliteStore(path)
    assert store.healthy()
    assert store.position >= last
    assert store.count == store.position
    store.close()


_LIMITED = """
    import resource, sys
    from pathlib import Path
    from kjobs.core.deferred import Row
    from kjobs.deferred.sqlite import SqliteStore
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    store = SqliteStore(Path(sys.argv[1]))
    at = 0
    try:
        while True:
            rows = [Row(id=f"c{n}", value=b"x" * 1000, due_ms=n, offset=n) for n in range(at, at + 50)]
            store.apply(rows, at + 50)
            at += 50
    except Exception as error:
        assert store.position == at, (store.position, at)
        print(type(error).__name__, at)
"""


def test_a_full_disk_is_an_error_and_takes_in_nothing_by_halves(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_LIMITED), str(tmp_path / "0.sqlite")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    name, at = told.split()
    assert name in ("OperationalError", "DatabaseError")
    assert int(at) >= 50
