"""The budget of attempts, and what the shell may ask."""

from __future__ import annotations

from itertools import pairwise

from kjobs.core.outcome import Condemned, Early, Reason
from tests.core.shell import HERE, STRICT, THERE, Shell, failure


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    return shell


# --- a budget -----------------------------------------------------------------------------------------


def test_a_budget_of_attempts_is_kept_to_the_one() -> None:
    shell = assigned(attempts=3)
    shell.fetch("aab-")
    assert shell.running == [0, 2, 3]
    shell.finish(0, 2, 3)
    shell.fetch("c-")
    assert shell.running == []
    assert shell.commit()[0] == 1, "the first call, and what was never begun is not passed"


def test_a_retry_is_an_attempt_like_another() -> None:
    shell = assigned(attempts=2)
    shell.fetch("ab")
    shell.finish(0, 1, outcome=failure())
    shell.wait(5)
    assert shell.running == []
    assert shell.scheduler.attempts_left == 0


def test_what_was_handed_out_and_not_begun_is_not_counted() -> None:
    shell = assigned(attempts=2)
    shell.fetch("ab")
    shell.give_back(0)
    assert shell.running == [1, 0]


def test_a_look_at_a_call_before_its_time_is_no_attempt() -> None:
    shell = assigned(attempts=1)
    shell.fetch("a")
    shell.finish(0, outcome=Early(shell.now + 5, STRICT))
    shell.wait(5)
    assert shell.running == [0]


# --- what the shell may ask ---------------------------------------------------------------------------


def test_busy_is_what_runs() -> None:
    shell = assigned()
    assert not shell.scheduler.busy()
    shell.fetch("ab")
    assert shell.scheduler.busy()
    assert shell.scheduler.busy([HERE])
    assert not shell.scheduler.busy([THERE])
    shell.finish(0)
    assert shell.scheduler.busy()
    shell.finish(1, outcome=failure())
    assert not shell.scheduler.busy(), "a call that waits does not run"
    assert shell.scheduler.held == 1


def test_following_tells_that_calls_wait_for_the_end_of_others() -> None:
    shell = assigned(chain=1)
    shell.fetch("ab")
    assert not shell.scheduler.following
    shell.fetch("a")
    assert shell.scheduler.following
    shell.finish(0)
    assert not shell.scheduler.following
    shell.finish(1, outcome=Condemned(Reason.UNDECODABLE, ValueError()))
    assert not shell.scheduler.following
    shell.fetch("b")
    assert shell.scheduler.following, "the burial of the one before is waited for"


def test_the_oldest_call_is_known_by_its_time() -> None:
    shell = assigned()
    assert shell.scheduler.oldest() is None
    shell.fetch("a")
    first = int(shell.now * 1000)
    shell.live(7)
    shell.fetch("b")
    assert shell.scheduler.oldest() == first
    shell.finish(0)
    assert shell.scheduler.oldest() == int(shell.now * 1000)


def test_starts_are_told_in_the_order_of_the_log() -> None:
    shell = assigned()
    shell.fetch("-" * 50)
    assert all(one < other for one, other in pairwise(shell.order))
