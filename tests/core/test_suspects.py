"""Calls that may have ended the processes of earlier owners: few at a time, named in a commit, alone."""

from __future__ import annotations

import pytest

from kjobs.core.checkpoint import Accused, Checkpoint, Suspected, decode
from kjobs.core.commands import BuryEntry, Commit, Suspecting
from kjobs.core.events import Committed, Lost, Revoked, Revoking
from kjobs.core.outcome import OK, Bury, Crashed, Outcome, Reason
from kjobs.core.resume import resume
from kjobs.core.suspects import AT_A_TIME
from kjobs.core.suspicion import SHORTEST
from tests.core.shell import HERE, STRICT, THERE, Shell, failure
from tests.core.storing import StoreShell

CRASH = Crashed(RuntimeError("its process was killed by SIGSEGV"), STRICT)


def crashed(shell: Shell, kind: type[Shell] = Shell, *, end: int, confirm: bool = True) -> Shell:
    """Who has the partition after the process of this shell ended just after a commit."""
    return handed_on(*shell.scheduler.partitions[HERE].snapshot(), shell.now, kind, end=end, confirm=confirm)


def handed_on(
    offset: int, metadata: str, now: float, kind: type[Shell] = Shell, *, end: int, confirm: bool = True
) -> Shell:
    other = kind()
    other.now = now + 10
    found = resume(offset, metadata, low=0, high=end)
    other.assign(HERE, found.offset, found.checkpoint, end=end, confirm=confirm)
    return other


def suspicious(keys: str = "", kind: type[Shell] = Shell, end: int | None = None) -> Shell:
    """A worker that has a partition which two processes left without a word; its calls are fetched."""
    shell = kind()
    shell.assign(HERE)
    for _ in range(2):
        shell = crashed(shell, kind, end=len(keys) if end is None else end)
    shell.fetch(keys)
    return shell


def settle(shell: Shell) -> None:
    """Let the group store what is committed, until nothing more begins by that."""
    while True:
        before = list(shell.running)
        shell.tell()
        shell.confirm()
        shell.tell()
        if shell.running == before and not shell.unanswered:
            return


def drain(shell: Shell, outcomes: dict[int, Outcome] | None = None) -> None:
    """Run everything; some calls end otherwise than well."""
    settle(shell)
    while shell.running:
        first = shell.running[0]
        assert isinstance(first, int)
        shell.finish(first, outcome=(outcomes or {}).get(first, OK))
        settle(shell)


# --- who is suspected --------------------------------------------------------------------------------


def test_after_one_crash_nobody_is() -> None:
    shell = Shell()
    shell.assign()
    shell = crashed(shell, end=3)
    shell.fetch("abc")
    assert shell.running == [0, 1, 2]
    assert not any(entry.suspect for entry in shell.out.values())
    assert not shell.take(Suspecting)


def test_after_two_crashes_those_are_that_were_in_the_queue() -> None:
    shell = suspicious("abc", end=2)
    assert shell.take(Suspecting) == [Suspecting(HERE, 2, 0, 2)]
    assert shell.running == [2], "what came later begins at once"
    settle(shell)
    assert shell.running == [2, 0, 1]
    assert [shell.out[label].suspect for label in shell.running] == [False, True, True]


def test_a_partition_that_is_given_back_in_order_was_not_left_without_a_word() -> None:
    shell = suspicious("abc")
    shell.tell(Revoking([HERE]))
    commands = shell.tell(Revoked([HERE]))
    ((_, offset, metadata),) = next(c for c in commands if isinstance(c, Commit)).offsets
    other = handed_on(offset, metadata, shell.now, end=3)
    assert other.take(Suspecting) == [Suspecting(HERE, 2, 0, 3)], "two as before, and no third one"


def test_who_lost_a_partition_and_has_it_again_did_not_crash() -> None:
    shell = Shell()
    shell.assign()
    for _ in range(5):
        offset, metadata = shell.scheduler.partitions[HERE].snapshot()
        shell.tell(Lost([HERE]))
        shell.assign(HERE, offset, decode(offset, metadata), end=9)
    assert not shell.take(Suspecting)
    assert shell.commit()[1].suspected is None


def test_a_window_reaches_no_farther_than_an_owner_does() -> None:
    shell = Shell()
    shell.assign()
    shell = crashed(crashed(shell, end=10**6), end=10**6)
    (told,) = shell.take(Suspecting)
    assert told.end == 10_000


def test_the_window_of_the_first_crash_counts_until_it_is_through() -> None:
    shell = Shell()
    shell.assign()
    shell = crashed(shell, end=5)
    shell.fetch("abcde")
    shell.finish(0, 1, 2, 3)
    shell = crashed(shell, end=4)
    (told,) = shell.take(Suspecting)
    assert told.end == 5


def test_calls_of_the_store_are_that_were_due_before() -> None:
    shell = suspicious("", StoreShell)
    assert isinstance(shell, StoreShell)
    shell.put_in("before", due=shell.now - 5)
    shell.put_in("after", due=shell.now + 5)
    shell.live(6)
    shell.due("before", "after")
    assert shell.running == ["after"]
    settle(shell)
    assert shell.running == ["after", "before"]
    assert shell.out["before"].suspect


# --- how they run --------------------------------------------------------------------------------------


def answer(shell: Shell, error: str | None = None) -> None:
    """Let the broker answer the commits that are under way."""
    sent, shell.unanswered = shell.unanswered, []
    shell.tell(*(Committed(place, offset, error) for place, offset, _ in sent))


def named(shell: Shell) -> list[int]:
    """The calls that the commit under way names as running."""
    ((_, offset, metadata),) = shell.unanswered
    checkpoint = decode(offset, metadata)
    assert checkpoint is not None
    assert checkpoint.suspected is not None
    return [one.number for one in checkpoint.suspected.accused if one.runs]


def test_they_begin_only_when_the_group_knows_which_run() -> None:
    shell = suspicious(end=2)
    shell.wait(2.0)
    assert named(shell) == []
    shell.fetch("ab")
    answer(shell)  # a commit that was sent before they were chosen
    assert shell.running == []
    assert named(shell) == [0, 1]
    answer(shell)
    assert shell.running == [0, 1]


def test_a_commit_that_failed_does_not_let_them_begin() -> None:
    shell = suspicious("ab")
    while not named(shell):
        answer(shell)
        shell.tell()
    answer(shell, "no")
    assert shell.running == []
    shell.wait(1)
    settle(shell)
    assert shell.running == [0, 1]


def test_a_few_run_at_a_time() -> None:
    shell = suspicious("-" * 10)
    settle(shell)
    assert shell.running == list(range(AT_A_TIME))
    shell.finish(1)
    settle(shell)
    assert shell.running == [0, 2, 3, 4]


def test_their_keys_keep_their_order() -> None:
    shell = suspicious("aabab")
    drain(shell)
    assert [label for label in shell.order if label in (0, 1, 3)] == [0, 1, 3]
    assert [label for label in shell.order if label in (2, 4)] == [2, 4]
    assert shell.commit()[0] == 5


def test_no_slot_goes_on_with_a_suspect_by_itself() -> None:
    shell = suspicious("aaab", end=3)
    settle(shell)
    assert not shell.out[0].more


def test_those_that_are_through_are_no_more() -> None:
    shell = suspicious("abc")
    drain(shell)
    shell.live(SHORTEST + 2)
    assert shell.commit() == (3, Checkpoint(high=3, epoch=3))
    shell.fetch("abc")
    assert shell.running == [3, 4, 5]


def test_they_are_suspected_for_a_minute_at_least() -> None:
    """The store may still tell of one that was due before."""
    shell = suspicious("abc")
    drain(shell)
    shell.live(SHORTEST / 2)
    assert shell.commit()[1].suspected == Suspected(2, 3)


def test_one_that_is_taken_back_begins_again_later() -> None:
    shell = suspicious("a")
    settle(shell)
    shell.give_back(0)
    assert shell.running == []
    assert shell.commit()[1].suspected == Suspected(2, 1, (Accused(False, 0, 0, runs=True),)), "it will"
    settle(shell)
    assert shell.running == [0]


def test_one_that_is_taken_back_is_remembered_as_what_it_was() -> None:
    shell = suspicious("a")
    settle(shell)
    shell = crashed(shell, end=1)
    shell.fetch("a")
    settle(shell)
    shell.tell(Revoking([HERE]))
    shell.give_back(0)
    assert shell.commit()[1].suspected == Suspected(3, 1, (Accused(False, 0, 1, runs=False),))


def test_they_begin_only_with_a_lease() -> None:
    shell = suspicious("a")
    claim, shell.unanswered = shell.unanswered, []
    shell.wait(30)
    late, shell.unanswered = shell.unanswered, []
    shell.tell(*(Committed(place, offset) for place, offset, _ in (*claim, *late)))
    assert shell.running == []
    settle(shell)
    shell.live(2)
    assert shell.running == [0]


def test_a_partition_that_goes_takes_its_suspects_with_it() -> None:
    shell = suspicious("-" * 10)
    settle(shell)
    shell.tell(Revoking([HERE]))
    shell.tell(Revoked([HERE]))
    shell.assign(THERE)
    shell.tell(Lost([THERE]))
    shell.assign(THERE, 0, Checkpoint(high=0, epoch=7, suspected=Suspected(1, 99)), end=99)
    shell.out.clear()
    shell.fetch("-" * 10, THERE)
    settle(shell)
    assert shell.running == list(range(AT_A_TIME)), "those of the other partition do not count any more"


# --- what is found out ----------------------------------------------------------------------------------


def test_one_whose_own_process_crashes_is_buried_and_the_others_are_not() -> None:
    shell = suspicious("aab")
    drain(shell, {0: CRASH})
    (order,) = shell.take(BuryEntry)
    assert order.entry.offset == 0
    assert order.entry.burial == Bury(Reason.CRASHED, CRASH.error, 3), "two crashes of workers, and its own"
    assert shell.order == [0, 2], "its key waits until the dead letter is acknowledged"
    assert not shell.commit()[1].clean
    shell.heard.append(order)
    shell.bury()
    drain(shell)
    assert shell.order == [0, 2, 1]


def test_one_that_fails_is_tried_again() -> None:
    shell = suspicious("a")
    settle(shell)
    shell.finish(0, outcome=failure())
    shell.live(5)
    settle(shell)
    assert shell.running == [0]
    assert (shell.out[0].failures, shell.out[0].crashes) == (1, 0)
    shell.finish(0)
    assert shell.commit()[0] == 1


@pytest.mark.parametrize("others", [0, 3])
def test_one_that_takes_everything_with_it_is_found_and_not_begun_again(others: int) -> None:
    """A container that runs out of memory ends with all of its processes."""
    keys = "-" * (others + 1)
    shell = suspicious(keys)
    settle(shell)
    assert shell.running == list(range(others + 1)), "it is one of these"
    for crashes in (3, 4):
        shell = crashed(shell, end=len(keys))
        (told,) = shell.take(Suspecting)
        assert told.crashes == crashes
        shell.refetch(keys)
        settle(shell)
        assert shell.running == [0], "those that ran then run alone"
    shell = crashed(shell, end=len(keys))
    shell.refetch(keys)
    (order,) = shell.take(BuryEntry)
    assert order.entry.offset == 0
    assert order.entry.burial is not None
    assert (order.entry.burial.reason, order.entry.burial.attempts) == (Reason.CRASHED, 3)
    drain(shell)
    assert shell.order == list(range(1, others + 1))


def test_others_wait_until_those_that_ran_have_run_alone() -> None:
    shell = suspicious("aabcdef")
    settle(shell)
    shell.finish(0)
    settle(shell)
    assert shell.running == [2, 3, 4, 5], "and 1 waits, though it comes before them"
    shell = crashed(shell, end=7)
    shell.refetch("aabcdef")
    settle(shell)
    assert shell.running == [2]
    shell.finish(2)
    settle(shell)
    assert shell.running == [3]
    drain(shell)
    assert sorted(label for label in shell.order if isinstance(label, int)) == [1, 2, 3, 4, 5, 6]


def test_those_that_ran_beside_it_are_not_blamed_for_what_they_survive() -> None:
    shell = suspicious("ab")
    settle(shell)
    shell = crashed(shell, end=2)
    shell.fetch("ab")
    drain(shell)
    assert shell.order == [0, 1]
    assert not shell.take(BuryEntry)
