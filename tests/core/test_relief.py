"""Lanes that are stuck and too many waits move to the deferred store, so that other keys go on."""

from __future__ import annotations

from kjobs.core.buffer import Bounds
from kjobs.core.commands import Defer, Pause, Resume
from kjobs.core.events import Deferred
from kjobs.core.policy import Backoff, Policy
from kjobs.core.relief import EVERY
from tests.core.shell import Shell, failure

#: Long enough to be stuck, and short enough to wait in memory.
_SLOW = Policy(retries=3, backoff=Backoff(base=20, jitter="none"))


def stuck(*, length: int = 80, room: int = 100) -> Shell:
    """A worker with a lane so long that its partition is full, of which the head runs."""
    shell = Shell(bounds=Bounds(records=room, patience=0.2), chain=1)
    shell.assign()
    shell.fetch(["hot"] * length + [f"k{n}" for n in range(room - length)])
    for offset in range(length, room):
        shell.finish(offset)
    shell.fetch(["hot"] * (room - length))
    return shell


def deferred(shell: Shell) -> list[int]:
    """Let the store take what it was given; the offsets."""
    entries = [command.entry for command in shell.take(Defer)]
    shell.tell(*map(Deferred, entries))
    return [entry.offset for entry in entries]


def test_what_is_behind_a_head_that_does_not_get_on_is_parked_in_its_order() -> None:
    shell = stuck()
    assert not deferred(shell)
    shell.wait(EVERY)
    assert not shell.take(Defer), "it was looked at once only"
    shell.wait(EVERY)
    assert deferred(shell) == [*range(1, 80), *range(100, 120)]
    assert shell.running == [0]


def test_the_partition_is_read_again_and_other_keys_go_on() -> None:
    shell = stuck()
    shell.live(1.0)
    assert shell.take(Pause)
    shell.live(2 * EVERY)
    deferred(shell)
    shell.live(1.0)
    assert shell.take(Resume)
    shell.fetch(["hot", "cold"])
    assert shell.running == [0, 121]
    assert deferred(shell) == [120], "what comes later is parked, too"


def test_a_lane_that_gets_on_stays_in_memory() -> None:
    shell = stuck()
    for done in range(4):
        shell.wait(EVERY)
        shell.finish(done)
        shell.fetch(["hot"])
    assert not shell.take(Defer)


def test_a_short_lane_stays_in_memory() -> None:
    shell = Shell(bounds=Bounds(records=100, patience=0.2), chain=1)
    shell.assign()
    shell.fetch([f"k{n}" for n in range(50)] * 2)
    shell.wait(EVERY)
    shell.wait(EVERY)
    assert not shell.take(Defer)


def test_what_a_slot_may_go_on_with_by_itself_is_left_to_it() -> None:
    shell = Shell(bounds=Bounds(records=100, patience=0.2), chain=4)
    shell.assign()
    shell.fetch(["hot"] * 100)
    shell.wait(EVERY)
    shell.wait(EVERY)
    assert deferred(shell) == list(range(4, 100))
    for offset in range(4):
        shell.finish(offset)
    assert not shell.running


def test_waits_that_fill_the_metadata_go_to_the_store_with_their_failures_and_their_lanes() -> None:
    shell = Shell(metadata=60)
    shell.assign()
    shell.fetch([f"k{n}" for n in range(20)] * 2)
    for offset in range(20):
        shell.finish(offset, outcome=failure(_SLOW))
    shell.live(2.0)  # a commit tells how full it is
    entries = [command.entry for command in shell.take(Defer)]
    assert sorted(entry.offset for entry in entries) == list(range(40))
    for entry in entries:
        row = entry.deferral
        assert row is not None
        assert row.failures == (1 if entry.offset < 20 else 0)
        assert (row.due_ms > shell.now * 1000) == (entry.offset < 20)
    shell.tell(*map(Deferred, entries))
    assert shell.scheduler.held == 0
    assert shell.scheduler.next_due() is None
    assert shell.commit()[0] == 40


def test_few_waits_stay_in_memory() -> None:
    shell = Shell()
    shell.assign()
    shell.fetch(["a", "b"])
    for offset in range(2):
        shell.finish(offset, outcome=failure(_SLOW))
    shell.live(5.0)
    assert not shell.take(Defer)
