"""A keeper whose index fails, or cannot be opened: it goes on, and nothing is lost or given out twice."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kjobs.core.commands import FetchLane, Release
from kjobs.core.deferred import End, Row
from kjobs.core.events import CaughtUp, Erased, Place
from kjobs.core.ports import Applied
from kjobs.deferred.opener import LogState
from kjobs.deferred.sqlite import SqliteStore
from kjobs.errors import BrokerError
from tests.deferred.bench import cancel, live
from tests.deferred.calls import dated, free, names, parked
from tests.deferred.keeping import Owner
from tests.patience import until

# --- an index that fails -------------------------------------------------------------------------


def failing(owner: Owner, monkeypatch: pytest.MonkeyPatch, method: str, times: int = 1) -> list[int]:
    """Let the present index fail so often; gives how often it has."""
    failed: list[int] = []
    real = getattr(type(owner.store), method)

    def fail(self: Any, *args: Any) -> Any:
        if len(failed) < times:
            failed.append(1)
            raise sqlite3.DatabaseError("database disk image is malformed")
        return real(self, *args)

    monkeypatch.setattr(type(owner.store), method, fail)
    return failed


@pytest.mark.parametrize("method", ["due", "next_due", "apply", "get", "lanes"])
def test_an_index_that_fails_is_made_anew_and_nothing_is_given_out_twice(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    owner.open()
    owner.write(free("in hand"), free("later", 50))
    owner.until_given(1)
    failed = failing(owner, monkeypatch, method)
    if method == "lanes":
        owner.order()  # only who begins asks for them
        owner.told.clear()
    owner.write(cancel("nobody"), free("due"), free("later", 60))
    owner.until(lambda: failed, "it fails")
    if method != "lanes":
        owner.until(lambda: len(owner.all(CaughtUp)) > 1, "its log is read again")
        assert "failed and is made anew from Kafka" in caplog.text
    owner.now_ms += 99
    owner.until_given(3)
    owner.until_read()
    assert sorted(names(owner.given())) == ["due", "in hand", "later"]
    assert owner.store.count == 3
    for row in owner.given():
        owner.erased(row)
    owner.until_read()
    assert owner.store.count == 0
    assert not live(owner.records())


@pytest.mark.parametrize("method", ["lane", "release"])
def test_an_index_that_fails_on_the_schedulers_word_is_made_anew(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    owner.open()
    owner.write(parked("a@1", 1), parked("b@2", 2))
    owner.until_read()
    (a, _) = owner.lane().rows
    failed = failing(owner, monkeypatch, method)
    if method == "lane":
        owner.keeper.perform(FetchLane((owner.queue, 0), b"k", 100))  # which will be asked again
    owner.keeper.perform(Release((owner.queue, 0), [a.offset]))
    owner.until(lambda: failed, "it fails")
    owner.until(lambda: len(owner.all(CaughtUp)) > 1, "its log is read again")
    assert names(owner.lane().rows) == ["a@1"], "the other one is in hand still"


def test_an_index_whose_file_is_damaged_is_made_anew(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.open()
    damaged: list[int] = []
    apply = SqliteStore.apply

    def damage(store: SqliteStore, changes: Sequence[Row | End], position: int | None) -> Applied:
        applied = apply(store, changes, position)
        if not damaged:  # in the keeper's own thread, so between two of its transactions
            found = store._db.execute("UPDATE call SET value = x'79' WHERE id = x'62'")
            damaged.extend([1] * found.rowcount)
        return applied

    monkeypatch.setattr(SqliteStore, "apply", damage)
    owner.write(free("a", value=b"x" * 500), free("b", 50))
    owner.until(lambda: damaged, "it is damaged")
    owner.until_given(1)
    owner.now_ms += 50
    owner.until(lambda: len(owner.all(CaughtUp)) > 1, "its log is read again")
    assert names(owner.until_given(2)) == ["a", "b"]
    assert owner.given()[1].value == free("b").value


def test_an_index_that_fails_all_the_time_is_tried_now_and_then(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its disk may be full."""
    owner.open()
    renewed: list[LogState] = []
    renew = owner.opener.renew
    monkeypatch.setattr(owner.opener, "renew", lambda state: (renewed.append(state), renew(state))[1])
    failed = failing(owner, monkeypatch, "apply", times=5)
    owner.write(free("a"))
    assert names(owner.until_given(1)) == ["a"]
    assert len(failed) == 5
    assert len(renewed) == 5
    said = [line for line in caplog.records if "failed and is made anew" in line.getMessage()]
    assert [line.levelno for line in said].count(logging.ERROR) == 1


def test_what_is_acknowledged_while_an_index_is_made_anew_counts(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.open()
    owner.write(free("a"), free("b", 50))
    (a,) = owner.until_given(1)
    failed = failing(owner, monkeypatch, "get")
    owner.erase(a)
    owner.write(cancel("nobody"))
    owner.until(lambda: failed and len(owner.all(CaughtUp)) > 1, "its log is read again")
    owner.until(lambda: owner.all(Erased), "it is erased")
    owner.until_read()
    assert owner.store.count == 1
    owner.now_ms += 99
    assert names(owner.until_given(2)) == ["a", "b"]


# --- opening that fails --------------------------------------------------------------------------


class Away:
    """A broker that is away so often."""

    def __init__(self, owner: Owner, times: int) -> None:
        self._ends = owner.admin.ends
        self.left = times
        owner.admin.ends = self.ends  # type: ignore[method-assign]

    def ends(self, places: Sequence[Place], *args: Any) -> dict[Place, tuple[int, int]]:
        if self.left:
            self.left -= 1
            raise BrokerError("the ends of partitions cannot be read: nobody there")
        return self._ends(places, *args)


def test_a_broker_that_is_away_is_asked_again(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    owner.write(free("a"))
    away = Away(owner, 3)
    owner.open()
    assert away.left == 0
    assert names(owner.until_given(1)) == ["a"]
    said = [line for line in caplog.records if "cannot be opened yet: the ends of" in line.getMessage()]
    assert [line.levelno for line in said].count(logging.ERROR) == 1


def test_a_broker_that_is_away_when_calls_are_due_is_asked_again(owner: Owner) -> None:
    owner.open()
    away = Away(owner, 3)
    owner.write(dated("a"), free("b"))
    assert sorted(names(owner.until_given(2))) == ["a", "b"]
    assert away.left == 0


def test_a_store_that_cannot_be_opened_is_tried_again_and_told_of_now_and_then(
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("kjobs.deferred.rack.PAUSE", 0.01)
    owner = Owner(kafka, topic_prefix, tmp_path, partitions=2)
    tried = {0: 0, 1: 0}
    real = owner.opener.open

    def open_at_last(state: LogState) -> Any:
        tried[state.place[1]] += 1
        if tried[state.place[1]] < 6:
            raise PermissionError("not for you")
        return real(state)

    monkeypatch.setattr(owner.opener, "open", open_at_last)
    with caplog.at_level(logging.DEBUG, "kjobs"):
        owner.order(0)
        owner.order(1)
        until(lambda: len(owner.all(CaughtUp)) == 2, "both are open")
    said = [line for line in caplog.records if "cannot be opened, and no call" in line.getMessage()]
    loud = [line.getMessage() for line in said if line.levelno >= logging.ERROR]
    assert len(said) == 10
    assert sorted(line.split("]")[0][-1] for line in loud) == ["0", "1"]
    assert all(line.endswith("] cannot be opened, and no call of it begins: not for you") for line in loud)
    owner.close()


def test_a_partition_that_is_closed_before_it_could_be_opened_stays_closed(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[LogState] = []

    def refuse(state: LogState) -> Any:
        tried.append(state)
        raise PermissionError

    monkeypatch.setattr(owner.opener, "open", refuse)
    owner.order()
    owner.until(lambda: tried, "it is tried")
    owner.leave()
    owner.until(lambda: not owner.keeper._rack.waiting, "it is not tried any more")
    assert not owner.all(CaughtUp)


def test_a_keeper_is_settled_when_nothing_is_to_be_expected_of_it(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.open()
    owner.until(lambda: not owner.keeper.collect() and owner.keeper.settled, "nothing is to be expected")
    owner.leave()
    tried: list[LogState] = []
    real = owner.opener.open

    def refuse(state: LogState) -> Any:
        tried.append(state)
        assert not owner.keeper.settled
        if len(tried) < 4:
            raise PermissionError
        return real(state)

    monkeypatch.setattr(owner.opener, "open", refuse)
    owner.open()
    assert len(tried) == 4
    owner.until(
        lambda: not owner.keeper.collect() and owner.keeper.settled, "nothing is to be expected again"
    )
