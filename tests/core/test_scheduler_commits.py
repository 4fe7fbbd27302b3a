"""When is committed, and when partitions are paused."""

from __future__ import annotations

from kjobs.core.buffer import Bounds
from kjobs.core.commands import Commit, Pause, Resume
from kjobs.core.commits import Rhythm
from kjobs.core.events import Committed, Skipped
from tests.core.shell import HERE, THERE, Shell


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    shell.take(Commit)
    return shell


def committed(shell: Shell) -> list[tuple[int, ...]]:
    """The offsets of each commit since the last look."""
    return [tuple(offset for _, offset, _ in commit.offsets) for commit in shell.take(Commit)]


# --- when ---------------------------------------------------------------------------------------------


def test_finished_calls_are_committed_within_a_quarter_of_a_second() -> None:
    shell = assigned()
    shell.fetch("abc")
    shell.finish(0, 1)
    shell.wait(0.25)
    assert committed(shell) == [(2,)]


def test_nothing_new_is_committed_once_a_second_all_the_same() -> None:
    shell = assigned()
    shell.live(1.0)
    committed(shell)
    shell.live(8.0)
    assert committed(shell) == [(0,)] * 8


def test_one_commit_is_under_way_at_a_time() -> None:
    shell = assigned()
    shell.fetch("abc")
    shell.finish(0)
    shell.wait(0.25)
    assert committed(shell) == [(1,)]
    shell.finish(1)
    shell.wait(4)
    assert committed(shell) == []
    shell.confirm()
    assert committed(shell) == [(2,)]


def test_a_commit_without_an_answer_is_taken_for_lost_after_a_while() -> None:
    shell = assigned(rhythm=Rhythm(patience=3.0))
    shell.wait(1.0)
    assert committed(shell) == [(0,)]
    shell.wait(2.875)
    assert committed(shell) == []
    shell.wait(0.125)
    assert committed(shell) == [(0,)]


def test_a_refused_commit_is_tried_again() -> None:
    shell = assigned()
    shell.fetch("a")
    shell.finish(0)
    shell.wait(0.25)
    assert committed(shell) == [(1,)]
    shell.tell(Committed(HERE, 1, "coordinator loading"))
    shell.wait(0.25)
    assert committed(shell) == [(1,)]


def test_only_partitions_with_something_new_are_committed_in_between() -> None:
    shell = assigned()
    shell.assign(THERE, 100)
    shell.take(Commit)
    shell.fetch("a", THERE)
    shell.finish(100)
    shell.wait(0.25)
    assert committed(shell) == [(101,)]
    shell.confirm()
    shell.wait(1.0)
    assert committed(shell) == [(0, 101)]


def test_the_end_of_the_log_is_committed() -> None:
    shell = assigned()
    shell.fetch("a")
    shell.finish(0)
    shell.tell(Skipped(HERE, 3), Skipped(THERE, 99))
    shell.wait(0.25)
    assert committed(shell)[-1] == (3,)


def test_a_commit_never_goes_back() -> None:
    shell = assigned()
    shell.fetch("a" * 30 + "-" * 30)
    for offset in (*range(59, 30, -2), *range(30, 59, 2), *range(30)):
        if offset in shell.out:
            shell.finish(offset)
        shell.wait(0.25)
        shell.confirm()
    seen = [offsets[0] for offsets in committed(shell)]
    assert seen == sorted(seen)


# --- back-pressure ------------------------------------------------------------------------------------


def test_a_buffer_that_stays_full_pauses_what_fills_it_and_resumes_it_when_half_empty() -> None:
    shell = assigned(bounds=Bounds(records=10, patience=0.25))
    shell.assign(THERE, 100)
    shell.fetch("-" * 9)
    shell.fetch("-", THERE)
    assert shell.scheduler.room == 0
    assert shell.take(Pause) == []
    shell.wait(0.25)
    assert [command.places for command in shell.take(Pause)] == [[HERE]]
    assert shell.scheduler.room == 4, "the other partition has its share"
    shell.finish(*range(7))
    assert shell.take(Resume) == [], "a pause lasts a while"
    shell.wait(0.25)
    (resumed,) = shell.take(Resume)
    assert (list(resumed.places), resumed.stalled) == ([(HERE, 9)], False)


def test_a_buffer_that_is_full_for_a_moment_pauses_nothing() -> None:
    shell = assigned(bounds=Bounds(records=10, patience=0.25))
    shell.fetch("-" * 10)
    shell.wait(0.1875)
    shell.finish(0)
    shell.wait(0.125)
    assert shell.take(Pause) == []


def test_after_everything_was_paused_the_resume_says_so() -> None:
    shell = assigned(bounds=Bounds(records=10, patience=0.25))
    shell.fetch("-" * 10)
    shell.wait(0.25)
    assert [command.places for command in shell.take(Pause)] == [[HERE]]
    shell.live(0.25)
    shell.finish(*range(5))
    (resumed,) = shell.take(Resume)
    assert (list(resumed.places), resumed.stalled) == ([(HERE, 10)], True)
