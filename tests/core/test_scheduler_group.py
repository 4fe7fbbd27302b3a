"""Belonging to a group: partitions come and go, the lease, and calls that still run of what went."""

from __future__ import annotations

import pytest

from kjobs.core.checkpoint import decode
from kjobs.core.commands import Commit, Lease, Recall
from kjobs.core.events import Assigned, Committed, Lost, Revoked, Revoking, Stopping
from tests.core.shell import HERE, THERE, Shell, failure

LEASE = 8.0


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    return shell


# --- the first word of the group ----------------------------------------------------------------------


def test_no_call_begins_before_the_group_has_confirmed_the_assignment() -> None:
    shell = Shell()
    shell.assign(confirm=False)
    shell.fetch("ab-")
    assert [place for place, _, _ in shell.unanswered] == [HERE], "a commit asks it"
    assert shell.running == []
    assert shell.scheduler.held == 3
    shell.confirm()
    assert shell.running == [0, 1, 2]


def test_a_refused_first_commit_confirms_nothing() -> None:
    shell = Shell()
    shell.assign(confirm=False)
    shell.fetch("a")
    shell.unanswered.clear()
    shell.tell(Committed(HERE, 0, "not the owner", fenced=True))
    assert shell.running == []
    shell.wait(0.25)
    assert shell.unanswered, "it asks again"
    shell.confirm()
    assert shell.running == [0]


def test_the_word_about_one_partition_opens_no_other() -> None:
    shell = assigned()
    shell.assign(THERE, 100, confirm=False)
    shell.fetch("a")
    shell.fetch("a", THERE)
    assert shell.running == [0]


def test_an_answer_nobody_waits_for_proves_nothing() -> None:
    shell = Shell()
    shell.assign(confirm=False)
    shell.fetch("a")
    shell.tell(Committed(HERE, 0, "coordinator loading"))
    assert shell.tell(Committed(HERE, 0)) == []
    assert shell.running == []


# --- the lease ----------------------------------------------------------------------------------------


def test_without_a_word_of_the_group_nothing_begins_any_more() -> None:
    shell = assigned(chain=1)
    shell.fetch("aab")
    shell.wait(LEASE - 1)
    shell.finish(0)
    assert shell.running == [2, 1]
    shell.wait(1)
    assert any(command.places is None for command in shell.take(Recall)), "what no slot has begun comes back"
    shell.give_back(1)
    shell.finish(2)
    shell.fetch("c")
    assert shell.running == []


def test_a_new_word_of_the_group_lets_all_partitions_go_on() -> None:
    shell = assigned()
    shell.assign(THERE, 100)
    shell.wait(LEASE)
    shell.fetch("a")
    shell.fetch("a", THERE)
    assert shell.running == []
    shell.unanswered.clear()  # commits of a while ago are lost
    shell.wait(5)
    answered, shell.unanswered = shell.unanswered[:1], []
    shell.tell(Committed(answered[0][0], answered[0][1]))
    assert sorted(shell.running) == [0, 100]


def test_the_lease_counts_from_when_the_commit_was_sent() -> None:
    shell = assigned()
    shell.take(Lease)
    shell.wait(1.0)
    sent = shell.now
    assert shell.unanswered
    shell.now += 3
    shell.confirm()
    (told,) = shell.take(Lease)
    assert told.until == sent + LEASE


def test_a_late_answer_to_an_earlier_commit_is_worth_no_more_than_that_commit() -> None:
    shell = assigned()
    shell.wait(1.0)
    sent = shell.now
    shell.take(Lease)
    shell.wait(5.5)  # taken for lost, and sent again
    assert len(shell.unanswered) == 2
    shell.tell(Committed(HERE, 0))
    assert [told.until for told in shell.take(Lease)] == [sent + LEASE]


def test_a_worker_that_the_group_has_put_out_stops_at_once() -> None:
    shell = assigned(chain=1)
    shell.fetch("ab")
    shell.wait(1.0)
    assert shell.scheduler.leased(shell.now)
    shell.unanswered.clear()
    shell.take(Lease)
    shell.tell(Committed(HERE, 0, "fenced", fenced=True))
    assert not shell.scheduler.leased(shell.now)
    assert [told.until for told in shell.take(Lease)] == [0.0]
    assert any(command.places is None for command in shell.take(Recall))
    shell.finish(0)
    shell.fetch("a")
    assert shell.running == [1]


def test_a_commit_that_merely_failed_ends_no_lease() -> None:
    shell = assigned()
    shell.wait(1.0)
    shell.unanswered.clear()
    shell.tell(Committed(HERE, 0, "coordinator loading"))
    assert shell.scheduler.leased(shell.now)
    shell.fetch("a")
    assert shell.running == [0]


# --- taken away in order ------------------------------------------------------------------------------


def test_what_is_about_to_go_begins_nothing_more() -> None:
    shell = assigned(chain=4)
    shell.assign(THERE, 100)
    shell.fetch("aaab")
    shell.fetch("a", THERE)
    shell.finish(3)
    commands = shell.tell(Revoking([HERE]))
    assert Recall([HERE]) in commands
    assert not shell.scheduler.partitions[HERE].open
    shell.out[0].more = False  # what a slot does that sees the partition closed
    shell.finish(0)
    shell.fetch("c")
    shell.fetch("b", THERE)
    assert shell.running == [100, 101]
    assert not shell.scheduler.busy([HERE])


def test_an_answer_on_the_way_does_not_open_what_is_about_to_go() -> None:
    shell = assigned()
    shell.wait(1.0)
    shell.tell(Revoking([HERE]))
    shell.confirm()
    shell.fetch("a")
    assert not shell.scheduler.partitions[HERE].open
    assert shell.running == []


@pytest.mark.parametrize("running", [False, True])
def test_the_last_commit_tells_what_is_finished_and_whether_something_ran(running: bool) -> None:
    shell = assigned()
    shell.fetch("abc")
    shell.finish(0, 2)
    if not running:
        shell.finish(1, outcome=failure())
    shell.tell(Revoking([HERE]))
    commands = shell.tell(Revoked([HERE]))
    ((place, offset, metadata),) = next(c for c in commands if isinstance(c, Commit)).offsets
    found = decode(offset, metadata)
    assert (place, offset) == (HERE, 1)
    assert found is not None
    assert (found.high, found.unfinished, found.clean) == (3, ((1, 1),), True)
    assert HERE not in shell.scheduler.partitions


def test_what_was_lost_is_forgotten_without_a_commit() -> None:
    shell = assigned()
    shell.fetch("ab")
    shell.finish(0)
    shell.take(Commit)
    (handed,) = shell.out.values()
    commands = shell.tell(Lost([HERE]))
    assert Recall([HERE]) in commands
    assert not handed.partition.open, "a slot that has it and not begun it yet does not begin it"
    assert not [command for command in commands if isinstance(command, Commit)]
    shell.wait(2)
    assert shell.take(Commit) == []
    assert shell.scheduler.held == 0


def test_partitions_that_are_not_ours_can_go() -> None:
    shell = assigned()
    shell.tell(Revoking([THERE]), Revoked([THERE]), Lost([THERE]))
    shell.fetch("a")
    assert shell.running == [0]


def test_a_waiting_call_of_a_partition_that_went_never_wakes() -> None:
    shell = assigned()
    shell.fetch("a")
    shell.finish(0, outcome=failure())
    shell.tell(Lost([HERE]))
    shell.wait(10)
    assert shell.running == []


# --- stopping -----------------------------------------------------------------------------------------


def test_a_worker_that_stops_begins_nothing_and_finishes_what_runs() -> None:
    shell = assigned(chain=1)
    shell.fetch("aab")
    commands = shell.tell(Stopping())
    assert Recall(None) in commands
    shell.finish(0, 2)
    shell.fetch("c")
    shell.live(3)
    assert shell.running == []
    assert not shell.scheduler.busy()
    assert shell.commit()[0] == 1


def test_a_partition_that_comes_while_stopping_stays_closed() -> None:
    shell = assigned()
    shell.tell(Stopping())
    shell.tell(Assigned(THERE, 100))
    shell.live(2)
    assert not shell.scheduler.partitions[THERE].open


def test_recalled_calls_are_handed_out_again_if_they_may_run() -> None:
    shell = assigned()
    shell.fetch("ab")
    shell.give_back(1, 0)
    assert sorted(shell.running) == [0, 1]
    shell.run()
    assert shell.commit()[0] == 2
