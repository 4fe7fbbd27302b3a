"""Where files are, who waits for whom, and what is around them that may fail."""

from __future__ import annotations

import dataclasses
import errno
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kjobs.config import load
from kjobs.deferred.files import Files, state_directory
from kjobs.deferred.sqlite import SqliteStore
from kjobs.errors import ConfigError
from tests.deferred.test_files_at_risk import STATE, fill, filled


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(load({"state_dir": str(tmp_path / "state")}, environ={}, directory=tmp_path))
    made.check()
    return made


# --- where they are ------------------------------------------------------------------------------


def test_the_directory_is_the_one_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    monkeypatch.setenv("HOME", "/home/me")
    assert state_directory("/here") == Path("/here")
    assert state_directory("~/mine") == Path("/home/me/mine")


def test_without_one_it_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/states")
    assert state_directory(None) == Path("/states/kjobs")
    for nothing in ("", "relative/path"):
        monkeypatch.setenv("XDG_STATE_HOME", nothing)
        assert state_directory(None) == Path("/home/me/.local/state/kjobs")


def test_a_user_without_a_home_has_it_among_the_temporary_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert state_directory(None) == Path(tempfile.gettempdir()) / "kjobs"


def test_the_directory_that_cannot_be_made_is_told_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    where = tmp_path / "file" / "kjobs" / "kjobs"
    said = (
        f"the worker keeps an index of delayed calls in {where}, which it cannot write to: Not a directory."
    )
    with pytest.raises(ConfigError) as raised:
        Files(load({}, environ={}, directory=tmp_path)).check()
    assert str(raised.value) == f"{said} Set state_dir to a directory that the worker may write to."
    with pytest.raises(ConfigError) as raised:
        Files(load({"state_dir": str(where.parent)}, environ={}, directory=tmp_path)).check()
    assert str(raised.value) == said


def test_it_is_told_where_they_are(files: Files, tmp_path: Path) -> None:
    assert files.describe() == str(tmp_path / "state" / "kjobs")


@pytest.mark.parametrize("topic", ["..", ".", "x" * 249, "a/b", "ä"], ids=ascii)
def test_a_topic_of_any_name_has_a_file_below(files: Files, topic: str) -> None:
    store = files.open(dataclasses.replace(STATE, place=(topic, 0)))
    assert store.path.parent.parent == Path(files.describe())
    fill(store, 1)
    store.close()


def test_topics_with_names_alike_have_files_of_their_own(files: Files) -> None:
    topics = ["a/b", "a_b", "a\\b", "x" * 249, "x" * 248 + "y"]
    stores = [files.open(dataclasses.replace(STATE, place=(topic, 0))) for topic in topics]
    assert len({store.path for store in stores}) == len(topics)
    for store in stores:
        store.close()


# --- waiting -------------------------------------------------------------------------------------


class Time:
    """A clock that goes on when somebody waits, and only then.

    Args:
        doing: what happens meanwhile; it is told how often somebody has waited.
    """

    def __init__(self, doing: Callable[[int], object] = lambda count: None) -> None:
        self.now = 1_000.0
        self.waits = 0
        self._doing = doing

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits += 1
        self._doing(self.waits)


def test_a_file_that_is_being_given_back_is_waited_for(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    first = files.open(STATE)
    fill(first)
    time = Time(lambda count: first.close() if count == 3 else None)
    monkeypatch.setattr("kjobs.deferred.files.time", time)
    second = files.open(STATE)
    assert (second.path, second.count) == (first.path, 10)
    assert time.waits == 3
    second.close()


def test_a_reader_that_is_done_soon_is_waited_for(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filled(files)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM call").fetchone()
    time = Time(lambda count: reader.close() if count == 2 else None)
    monkeypatch.setattr("kjobs.deferred.files.time", time)
    store = files.open(STATE)
    assert (store.path, store.count) == (path, 10)
    assert time.waits == 2
    store.close()


def test_who_keeps_one_file_is_not_waited_for_at_each(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was frozen may have hundreds."""
    time = Time()
    monkeypatch.setattr("kjobs.deferred.files.time", time)
    places = [dataclasses.replace(STATE, place=("kjobs.mail", number)) for number in range(5)]
    kept = [files.open(state) for state in places]
    mine = [files.open(places[0])]
    assert time.now >= 1_005
    waited = time.waits
    mine += [files.open(state) for state in places[1:]]
    assert time.waits == waited
    assert not {store.path for store in mine} & {store.path for store in kept}
    time.now += 5
    mine.append(files.open(places[0]))
    assert time.waits > waited, "after a while it may be giving one back"
    for store in (*kept, *mine):
        store.close()


# --- around them ---------------------------------------------------------------------------------


def test_a_file_system_without_locks_will_do(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("kjobs.deferred.files.fcntl.flock", refuse)
    filled(files)
    store = files.open(STATE)
    assert store.count == 10
    store.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN])
@pytest.mark.parametrize("method", ["__init__", "healthy"])
def test_a_file_is_kept_when_it_is_not_what_is_wrong(
    files: Files, monkeypatch: pytest.MonkeyPatch, method: str, code: int
) -> None:
    path = filled(files)
    trouble = sqlite3.OperationalError("database or disk is full")
    trouble.sqlite_errorcode = code | 3 << 8  # with more about it

    def fail(*args: Any) -> Any:
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(SqliteStore, method, fail)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            files.open(STATE)
    store = files.open(STATE)
    assert (store.path, store.count) == (path, 10), "it is lost, or locked"
    store.close()


def test_an_index_that_cannot_be_made_anew_now_can_be_later(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(files)

    def fail(*args: Any, **noted: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(SqliteStore, "note", fail)
        with pytest.raises(sqlite3.OperationalError):
            files.renew(STATE)
    store = files.renew(STATE)
    assert (store.path, store.count) == (path, 0), "the lock was kept"
    store.close()
