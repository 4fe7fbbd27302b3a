"""Wrong runs with calls in the deferred store."""

from __future__ import annotations

import msgspec

from .bad_histories import bad
from .expectations import Rules
from .history import AnyEvent
from .script import LEASE, Script

# --- I12: never early -----------------------------------------------------------------------------


@bad("I12")
def a_call_from_the_store_runs_before_its_time(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=1.0)
    s.assign("w1.1")
    s.tick(0.5 if wrong else 1.0)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I12")
def a_call_that_was_moved_runs_when_it_was_due_before(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=1.0)
    s.assign("w1.1")
    s.ask("d1", due_in=3.0)
    s.store("w1.1", "d1", due_in=3.0)
    s.answer("w1.1", "moved")
    s.tick(1.0 if wrong else 3.0)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I12")
def a_retry_that_was_put_off_runs_when_it_was_due_before(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    s.store("w1.1", "a1", due_in=1.0, failures=1)
    s.ask("a1", due_in=3.0)
    s.answer("w1.1", "moved")
    s.tick(1.0 if wrong else 3.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I14")
def a_retry_in_the_store_comes_before_its_time(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=3.0)
    s.store("w1.1", "a1", due_in=3.0, failures=1)
    s.tick(1.0 if wrong else 3.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I14")
def the_failures_of_a_call_in_the_store_are_forgotten(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1", "failed", retry_in=1.0)
    s.store("w1.1", "d1", due_in=1.0, failures=1)
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    s.run("w2.1", "d1", attempt=1 if wrong else 2)
    s.erase("w2.1", "d1")
    s.stop("w2.1", 0)


# --- I13: one copy, and not none ------------------------------------------------------------------


@bad("I13")
def a_delayed_call_is_never_begun(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    if not wrong:
        s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13")
def a_delayed_call_was_acknowledged_and_is_not_in_the_log(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1, written=not wrong)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13")
def a_call_waits_for_ever(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    if not wrong:
        s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13")
def a_parked_call_comes_back_to_the_log(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.store("w1.1", "a1")
    s.run("w1.1", "a1")
    s.erase("w1.1", "a1")
    if wrong:
        s.store("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I13")
def a_cancelled_call_begins(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.5)
    s.assign("w1.1")
    s.ask("d1")
    s.answer("w1.1", "cancelled" if wrong else "started")
    s.tick(0.5)
    s.run("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13")
def a_call_is_said_to_be_cancelled_while_it_runs(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    run = s.start("w1.1", "d1")
    s.ask("d1")
    s.answer("w1.1", "cancelled" if wrong else "started")
    s.end(run)
    s.stop("w1.1", 0)


@bad("I13")
def a_call_is_said_to_be_moved_though_it_has_succeeded(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.ask("d1", due_in=0.1)
    s.answer("w1.1", "moved" if wrong else "started")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13")
def a_call_is_said_to_be_gone_though_it_was_cancelled(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.ask("d1")
    s.answer("w1.1", "gone" if wrong else "cancelled")
    s.stop("w1.1", 0)


@bad("I13")
def a_call_is_said_to_be_gone_though_it_waits(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.ask("d1", due_in=0.1)
    s.answer("w1.1", "gone" if wrong else "unknown")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I13", usual=Rules(retries=2))
def a_call_that_was_cancelled_while_it_ran_is_tried_again_and_again(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    run = s.start("w1.1", "d1")
    s.ask("d1")
    s.answer("w1.1", "started")
    s.end(run, "failed", retry_in=0.0)
    if wrong:
        s.run("w1.1", "d1", "failed", attempt=2, retry_in=0.0)
        s.run("w1.1", "d1", attempt=3)
    s.stop("w1.1", 0)


@bad("I13", notice=1.0)
def the_old_one_of_two_runs_long_after_it_was_replaced(s: Script, wrong: bool) -> None:
    s.schedule("old", due_in=0.1)
    s.assign("w1.1")
    s.schedule("new", due_in=3.0, name="old")
    if wrong:
        s.tick(1.5)
        s.run("w1.1", "old")
    s.commit("w1.1")
    s.tick(3.0)
    s.run("w1.1", "new")
    s.erase("w1.1", "new")
    s.stop("w1.1", 0)


# --- I10, I11: duplicates -------------------------------------------------------------------------


@bad("I10")
def a_delayed_call_runs_again_after_its_end_is_in_the_log(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    if wrong:
        s.run("w2.1", "d1")
    s.stop("w2.1", 0)


@bad("I10")
def a_delayed_call_has_two_copies(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    if wrong:
        s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I10")
def a_parked_call_runs_from_the_queue_too(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.1)
    s.store("w1.1", "a1", due_in=0.1, failures=1)
    s.commit("w1.1")
    s.tick(0.1)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.commit("w1.1")
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    if wrong:
        s.run("w2.1", "a1", attempt=2)
    s.stop("w2.1", 0)


@bad("I11", graceful_only=True)
def a_delayed_call_runs_twice_though_nothing_failed(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.revoke("w1.1")
    s.assign("w2.1")
    if wrong:
        s.run("w2.1", "d1")
    s.erase("w2.1", "d1")
    s.stop("w2.1", 0)


# --- I3: order ------------------------------------------------------------------------------------


@bad("I3")
def a_delayed_call_is_overtaken_by_one_that_came_after_it_took_its_place(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1, key=b"a")
    s.assign("w1.1")
    s.tick(0.1)
    s.take_place("w1.1", "d1")
    s.enqueue("a1", key=b"a")
    if wrong:
        s.run("w1.1", "a1")
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    if not wrong:
        s.run("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I3")
def a_delayed_call_overtakes_one_that_was_enqueued_before_it_was_due(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.5, key=b"a")
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    if not wrong:
        s.run("w1.1", "a1")
    s.tick(0.5)
    s.run("w1.1", "d1")
    if wrong:
        s.run("w1.1", "a1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I3")
def a_delayed_call_overtakes_one_behind_which_it_took_its_place(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1, key=b"a")
    s.assign("w1.1")
    s.tick(0.2)
    s.enqueue("a1", key=b"a")
    s.take_place("w1.1", "d1")
    if not wrong:
        s.run("w1.1", "a1")
    s.run("w1.1", "d1")
    if wrong:
        s.run("w1.1", "a1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@bad("I3")
def two_delayed_calls_change_places(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1, key=b"a")
    s.schedule("d2", due_in=0.1, key=b"a")
    s.assign("w1.1")
    s.tick(0.2)
    for call in ("d1", "d2"):
        s.take_place("w1.1", call)
    for call in ("d2", "d1") if wrong else ("d1", "d2"):
        s.run("w1.1", call)
        s.erase("w1.1", call)
    s.stop("w1.1", 0)


@bad("I3")
def the_next_owner_does_not_know_of_a_place_in_the_log(s: Script, wrong: bool) -> None:
    s.schedule("d1", due_in=0.1, key=b"a")
    s.assign("w1.1")
    s.tick(0.1)
    s.take_place("w1.1", "d1")
    s.run("w1.1", "d1", "failed", retry_in=1.0)
    s.store("w1.1", "d1", due_in=1.0, failures=1, rank=(0, 1))
    s.enqueue("a1", key=b"a")
    s.revoke("w1.1")
    s.assign("w2.1")
    if wrong:
        s.run("w2.1", "a1")
    s.tick(1.0)
    s.run("w2.1", "d1", attempt=2)
    s.erase("w2.1", "d1")
    if not wrong:
        s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I3")
def a_parked_call_overtakes_the_one_it_is_parked_behind(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    s.store("w1.1", "a1", due_in=1.0, failures=1)
    s.store("w1.1", "a2")
    s.commit("w1.1")
    s.tick(1.0)
    if wrong:
        s.run("w1.1", "a2")
    s.run("w1.1", "a1", attempt=2)
    if not wrong:
        s.run("w1.1", "a2")
    for call in ("a1", "a2"):
        s.erase("w1.1", call)
    s.stop("w1.1", 0)


# --- I8, I1: nothing lost between the queue and the store -----------------------------------------


@bad("I8")
def a_commit_passes_a_call_that_is_not_in_the_store_yet(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    if wrong:
        s.commit("w1.1", offset=1)
    s.store("w1.1", "a1", due_in=1.0, failures=1)
    s.commit("w1.1")
    s.tick(1.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I8")
def a_commit_passes_a_call_that_arrives_in_the_store_after_it_was_sent(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    s.store("w1.1", "a1", due_in=1.0, failures=1)
    if wrong:
        row = s.events.pop()
        s.commit("w1.1", delay=0.1)
        s.events.insert(-2, row)
        s.events[-3] = _at(row, s.now - 0.05)
    s.commit("w1.1")
    s.tick(1.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I1", also="I8")
def a_parked_call_is_taken_out_without_a_run(s: Script, wrong: bool) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.store("w1.1", "a1")
    if not wrong:
        s.run("w1.1", "a1")
    s.erase("w1.1", "a1")
    s.commit("w1.1")
    s.stop("w1.1", 0)


def _at(event: AnyEvent, t: float) -> AnyEvent:
    return msgspec.structs.replace(event, t=t)
