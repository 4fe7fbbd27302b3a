"""The keys whose calls pile up, as the scheduler's state shows them."""

from __future__ import annotations

import pytest

from kjobs.core.buffer import Bounds
from kjobs.core.commands import Defer
from kjobs.core.deferred import Row
from kjobs.core.events import Deferred
from kjobs.core.hotkeys import FEW, MOST, HotKey, hot_keys
from kjobs.core.partition import Entry, Partition
from kjobs.core.relief import EVERY
from tests.core.record import FakeRecord
from tests.core.shell import HERE, THERE, Shell, failure


def hot(shell: Shell) -> list[HotKey]:
    return hot_keys(shell.scheduler.partitions.values())


def shell_with(*keys: str, room: int = 100_000) -> Shell:
    shell = Shell(bounds=Bounds(records=room, patience=0.2), chain=1)
    shell.assign()
    shell.fetch(list(keys))
    return shell


def test_a_key_with_many_calls_is_told_with_its_head() -> None:
    shell = shell_with(*["cold", "hot"] * 40)
    shell.finish(0)
    (cold, warm) = sorted(hot(shell), key=lambda one: one.key)
    assert (cold.key, cold.waiting, cold.place) == (b"cold", 39, HERE)
    assert (warm.key, warm.waiting, warm.running, warm.parked) == (b"hot", 40, True, False)
    assert warm.since_ms == shell.out[1].record.timestamp()[1]


@pytest.mark.parametrize(("calls", "told"), [(FEW - 1, 0), (FEW, 1)])
def test_few_calls_are_not_worth_a_word(calls: int, told: int) -> None:
    assert len(hot(shell_with(*["k"] * calls))) == told


def test_the_hottest_come_first_and_only_some_are_told() -> None:
    keys = [f"k{n}" for n in range(MOST + 3) for _ in range(FEW + n)]
    shell = shell_with(*keys)
    found = hot(shell)
    assert [one.key for one in found] == [b"k%d" % n for n in range(MOST + 2, 2, -1)]
    assert [one.waiting for one in found] == sorted((one.waiting for one in found), reverse=True)


def test_calls_without_a_key_are_nobodys() -> None:
    shell = Shell()
    shell.assign()
    shell.fetch([None] * 500)
    assert hot(shell) == []


def test_a_key_whose_head_waits_for_its_next_attempt_does_not_run() -> None:
    shell = shell_with(*["k"] * 50)
    shell.finish(0, outcome=failure())
    (one,) = hot(shell)
    assert not one.running
    assert one.waiting == 50


def test_a_key_is_of_its_partition() -> None:
    shell = Shell()
    for place, offset in ((HERE, 0), (THERE, 1000)):
        shell.assign(place, offset)
        shell.fetch(["k"] * 40, place)
    assert sorted(one.place for one in hot(shell)) == [HERE, THERE]


def test_where_there_are_as_many_keys_as_calls_nothing_is_walked_through() -> None:
    shell = shell_with(*[f"k{n}" for n in range(2000)])
    partition = shell.scheduler.partitions[HERE]

    class Untouched:
        def __iter__(self) -> None:
            raise AssertionError("it was walked through")

    partition.order = Untouched()  # type: ignore[assignment]
    assert hot_keys([partition]) == []


def test_a_key_of_which_more_is_in_the_store_is_told_so() -> None:
    shell = shell_with(*["hot"] * 80, *[f"k{n}" for n in range(20)], room=100)
    shell.wait(EVERY)
    shell.wait(EVERY)
    entries = [command.entry for command in shell.take(Defer)]
    assert entries
    (one,) = hot(shell)
    assert one.parked, "it is on its way there"
    shell.tell(*map(Deferred, entries))
    assert hot(shell) == []


def test_calls_that_came_from_the_store_count_too() -> None:
    partition = Partition(HERE, 0, None, "")
    for n in range(40):
        row = Row(id=f"c{n}", value=b"", key=b"k", due_ms=0, offset=n)
        partition.stored.rows[n] = Entry(partition, n, b"k", FakeRecord(n), 1, row=row)
    assert [one.waiting for one in hot_keys([partition])] == [40]
