"""Wrong runs, continued: what is lost, committed and repeated wrongly."""

from __future__ import annotations

from .bad_histories import bad
from .expectations import Rules
from .history import (
    Committed,
    EnqueueFailed,
    EnqueueUnknown,
    FaultBegan,
    FaultEnded,
    FinalCommit,
    Replayed,
    RevokedFrom,
)
from .script import TOPIC, Script

# --- I1, I2: lost, and never enqueued -------------------------------------------------------------


@bad("I1")
def a_call_is_never_run(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if not wrong:
        s.run("w1.1", "a2")
    s.stop("w1.1", 0)


@bad("I1")
def a_call_is_left_waiting_for_its_retry(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.1)
    s.tick(0.1)
    if not wrong:
        s.run("w1.1", "a1", attempt=2)
    s.stop("w1.1", 0)


@bad("I1", drained=False)
def an_acknowledged_call_is_not_in_the_log(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if wrong:
        s.dump.pop()
    s.stop("w1.1", 0)


@bad("I1")
def a_success_without_its_effect(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.end(s.start("w1.1", "a1"), effect=not wrong)
    s.stop("w1.1", 0)


@bad("I1")
def a_dead_letter_vanishes(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    s.bury("w1.1", "a1", written=not wrong)
    s.stop("w1.1", 0)


@bad("I1")
def a_replay_vanishes(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    dead = s.bury("w1.1", "a1")
    s.add(Replayed(s.tick(), call="a1", place=dead.place, offset=dead.offset))
    if not wrong:
        s.run("w1.1", s.append("a1", b"a"))
    s.stop("w1.1", 0)


@bad("I2")
def a_refused_call_runs(s: Script, wrong: bool) -> None:
    s.append("a1", b"a")
    refusal = EnqueueFailed if wrong else EnqueueUnknown
    s.add(refusal(s.tick(), "web", call="a1"))
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I2")
def a_call_runs_that_nobody_enqueued(s: Script, wrong: bool) -> None:
    record = s.append("a1", b"a")
    if not wrong:
        s.acknowledge(record)
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I2")
def a_record_runs_that_is_not_in_the_log(s: Script, wrong: bool) -> None:
    s.append("ghost", b"a")
    if wrong:
        s.dump.clear()
    s.add(EnqueueUnknown(s.tick(), "web", call="ghost"))
    s.assign("w1.1")
    s.run("w1.1", "ghost")
    s.stop("w1.1", 0)


# --- I8, I9, I20: commits -------------------------------------------------------------------------


@bad("I8")
def a_commit_passes_a_running_call(s: Script, wrong: bool) -> None:
    s.enqueue("slow", "quick")
    s.assign("w1.1")
    slow = s.start("w1.1", "slow")
    s.run("w1.1", "quick")
    if not wrong:
        s.end(slow)
    s.commit("w1.1", offset=2)
    if wrong:
        s.end(slow)
    s.stop("w1.1", 0)


@bad("I8", rules={"a1": Rules(retries=0)})
def a_commit_passes_a_failed_call_that_is_not_buried(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed")
    if not wrong:
        s.bury("w1.1", "a1", reason="retries-exhausted")
    s.commit("w1.1", offset=1)
    if wrong:
        s.bury("w1.1", "a1", reason="retries-exhausted")
    s.stop("w1.1", 0)


@bad("I8")
def a_commit_passes_a_call_that_waits_for_its_retry(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "b1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.1)
    s.run("w1.1", "b1")
    s.commit("w1.1", offset=1 if wrong else 0)
    s.tick(0.1)
    s.run("w1.1", "a1", attempt=2)
    s.stop("w1.1", 0)


@bad("I8")
def a_commit_passes_an_undecodable_record(s: Script, wrong: bool) -> None:
    junk = s.append(None)
    s.assign("w1.1")
    s.commit("w1.1", offset=1 if wrong else 0)
    s.bury("w1.1", junk)
    s.stop("w1.1", 0)


@bad("I8")
def a_commit_is_sent_before_the_end_and_acknowledged_after(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    before = s.tick()
    s.end(run)
    sent = before if wrong else s.tick()
    s.add(Committed(s.tick(), "w1.1", place=(TOPIC, 0), offset=1, sent=sent))
    s.stop("w1.1", 0)


@bad("I8", drained=False)
def the_end_state_passes_an_unfinished_call(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.start("w1.1", "a1")
    s.add(FinalCommit(s.tick(), place=(TOPIC, 0), offset=1 if wrong else 0))
    s.shelf().committed = 1 if wrong else 0


@bad("I9")
def another_worker_commits_back(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.revoke("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a2")
    if wrong:
        s.commit("w2.1", offset=0)
    s.stop("w2.1", 0)


@bad("I9")
def a_worker_commits_back(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    first = s.tick()
    second = s.tick()
    # Both are under way at once, so only the order in which they were sent tells.
    for sent, offset in ((first, 2), (second, 1)) if wrong else ((first, 1), (second, 2)):
        s.add(Committed(s.tick(), "w1.1", place=(TOPIC, 0), offset=offset, sent=sent))
    s.stop("w1.1", 0)


@bad("I9")
def a_worker_commits_back_and_does_not_tell_when_it_sent(s: Script, wrong: bool) -> None:
    s.tells_sent = False
    s.enqueue("a1", "a2")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    for offset in (2, 1) if wrong else (1, 2):
        s.commit("w1.1", offset=offset)
    s.stop("w1.1", 0)


@bad("I8", drained=False)
def an_owner_begins_past_an_unfinished_call(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    if not wrong:
        s.end(run)
    s.kill("w1.1")
    s.assign("w2.1", offset=1)
    s.run("w2.1", "a2")


@bad("I9")
def the_end_state_is_below_a_commit(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.commit("w1.1")
    s.start("w1.1", "a2")
    s.kill("w1.1")
    s.shelf().committed = 1
    s.add(FinalCommit(s.tick(), place=(TOPIC, 0), offset=0 if wrong else 1))
    s.assign("w2.1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@bad("I20")
def commits_stop_before_the_end(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    s.commit("w1.1", offset=1)
    if not wrong:
        s.stop("w1.1", 0)


# --- I10, I11: duplicates -------------------------------------------------------------------------


@bad("I10")
def a_call_runs_again_without_a_fault(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.add(RevokedFrom(s.tick(), "w1.1", place=(TOPIC, 0)))
    s.lose("w1.1")  # what was given back cannot be lost: this explains nothing
    s.assign("w2.1")
    if wrong:
        s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I10")
def a_call_runs_twice_in_one_session(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if wrong:
        s.run("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.stop("w2.1", 0)


@bad("I10")
def a_committed_call_runs_again_after_a_crash(s: Script, wrong: bool) -> None:
    s.enqueue("slow", "quick")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "quick")
    if wrong:
        s.commit("w1.1")  # above the watermark, but in the metadata
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "slow")
    s.run("w2.1", "quick")
    s.stop("w2.1", 0)


@bad("I10")
def what_finished_long_before_a_crash_was_not_committed(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.tick(5.0 if wrong else 0.5)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I10")
def a_body_works_twice_in_one_attempt(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    if wrong:
        s.effect(run)
    s.end(run)
    s.stop("w1.1", 0)


@bad("I10", revoke_budget=2.0)
def a_revocation_does_not_wait(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    long = s.start("w1.1", "a1")
    s.tick(1.0 if wrong else 2.0)
    s.revoke("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.end(long)
    s.stop("w2.1", 0)


@bad("I10", revoke_budget=2.0)
def a_call_that_ended_before_the_revocation_runs_again(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    long = s.start("w1.1", "a1")
    s.tick(3.0)
    if wrong:
        s.end(long)
    s.add(RevokedFrom(s.tick(), "w1.1", place=(TOPIC, 0)))
    if not wrong:
        s.end(long)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I10")
def a_fault_of_another_explains_nothing(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.add(FaultBegan(s.tick(), "w9.1" if wrong else "w1.1", what="no network"))
    s.run("w1.1", "a1")
    s.tick(3.0)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I10")
def a_fault_that_is_over_explains_nothing(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.add(FaultBegan(s.tick(), what="broker down"))
    s.add(FaultEnded(s.tick(), what="broker down"))
    s.tick(2.0 if wrong else 0.5)
    s.run("w1.1", "a1")
    s.tick(3.0)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I10")
def a_committed_call_runs_again_and_nobody_told_when_it_was_sent(s: Script, wrong: bool) -> None:
    s.tells_sent = False
    s.enqueue("slow", "quick")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "quick")
    s.tick(1.1 if wrong else 0.5)
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "slow")
    s.run("w2.1", "quick")
    s.stop("w2.1", 0)


# It is below what was committed, too.
@bad("I10", also="I4", forgetful=True)
def a_call_below_the_commit_runs_again(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "slow", "a2")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.start("w1.1", "slow")
    s.run("w1.1", "a2")
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1", offset=0 if wrong else 1)
    if wrong:
        s.run("w2.1", "a1")
    s.run("w2.1", "slow")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@bad("I11", graceful_only=True)
def a_call_runs_again_in_a_graceful_run(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    long = s.start("w1.1", "a1")
    if not wrong:
        s.end(long)
    s.revoke("w1.1")
    s.assign("w2.1")
    if wrong:
        s.end(long)
        s.run("w2.1", "a1")
    s.stop("w2.1", 0)
