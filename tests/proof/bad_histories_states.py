"""Wrong runs of calls that save states: I30."""

from __future__ import annotations

from .bad_histories import bad
from .script import LEASE, Run, Script


def _runs_and_saves(s: Script, *states: str) -> Run:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    for state in states:
        s.save(run, state)
    return run


def _takes_over(s: Script) -> None:
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")


def _ends(s: Script, run: Run) -> None:
    s.end(run)
    s.erase(run.inc, "a1")
    s.stop(run.inc, 0)


@bad("I30")
def the_next_owner_begins_from_the_start(s: Script, wrong: bool) -> None:
    _runs_and_saves(s, "one")
    _takes_over(s)
    _ends(s, s.start("w2.1", "a1", state=None if wrong else "one"))


@bad("I30")
def the_next_owner_goes_on_with_what_was_saved_before_the_last(s: Script, wrong: bool) -> None:
    _runs_and_saves(s, "one", "two")
    _takes_over(s)
    _ends(s, s.start("w2.1", "a1", state="one" if wrong else "two"))


@bad("I30")
def a_retry_forgets_what_was_saved(s: Script, wrong: bool) -> None:
    run = _runs_and_saves(s, "one")
    s.end(run, "failed", retry_in=0.1)
    s.store("w1.1", "a1", due_in=0.1, failures=1, state=None if wrong else "one")
    s.tick(0.1)
    _ends(s, s.start("w1.1", "a1", 2, state=None if wrong else "one"))


@bad("I30")
def a_call_goes_on_with_what_was_refused(s: Script, wrong: bool) -> None:
    run = _runs_and_saves(s, "one")
    s.save(run, "two", "unknown" if not wrong else "failed", written=False)
    _takes_over(s)
    _ends(s, s.start("w2.1", "a1", state="two"))


@bad("I30")
def a_call_that_has_not_ended_in_the_store_begins_anew(s: Script, wrong: bool) -> None:
    run = _runs_and_saves(s, "one")
    s.end(run)
    if not wrong:
        s.erase("w1.1", "a1")
    s.shelf().committed = 0
    _takes_over(s)
    run = s.start("w2.1", "a1")
    s.end(run)
    s.erase("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I30")
def what_is_refused_is_written_all_the_same(s: Script, wrong: bool) -> None:
    run = _runs_and_saves(s, "one")
    s.save(run, "two", "refused", written=wrong)
    _ends(s, run)


@bad("I30")
def a_call_goes_on_with_what_nobody_saved(s: Script, wrong: bool) -> None:
    _runs_and_saves(s, "one")
    _takes_over(s)
    _ends(s, s.start("w2.1", "a1", state="none of its own" if wrong else "one"))


@bad("I30")
def a_call_goes_on_with_what_a_former_owner_wrote_too_late(s: Script, wrong: bool) -> None:
    late = _runs_and_saves(s, "one")
    s.lose("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    run = s.start("w2.1", "a1", state="one")
    s.save(run, "two")
    s.save(late, "late", "unknown")
    s.end(run, "failed", retry_in=0.1)
    s.store("w2.1", "a1", due_in=0.1, failures=1, state="two")
    s.tick(0.1)
    s.end(late, effect=False)
    _ends(s, s.start("w2.1", "a1", 2, state="late" if wrong else "two"))


@bad("I30")
def a_former_owners_state_comes_while_another_goes_on(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    late = s.start("w1.1", "a1")
    s.lose("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    run = s.start("w2.1", "a1")
    s.save(late, "late", "unknown")
    s.end(run, "failed", retry_in=0.1)
    s.store("w2.1", "a1", due_in=0.1, failures=1, state="late" if wrong else None)
    s.tick(0.1)
    s.end(late, effect=False)
    _ends(s, s.start("w2.1", "a1", 2, state="late" if wrong else None))
