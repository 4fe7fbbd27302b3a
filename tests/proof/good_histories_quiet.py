"""Right runs, continued: nothing breaks in these, and yet they look odd."""

from __future__ import annotations

from .expectations import Rules
from .good_histories import good
from .history import (
    EnqueueUnknown,
    Exited,
    Gap,
    GapInjected,
    OffsetsReset,
    Replayed,
    RevokedFrom,
    TermBegan,
)
from .script import TOPIC, Script


@good(usual=Rules(order="relaxed"))
def relaxed_calls_overtake(s: Script) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.02)
    passing = s.start("w1.1", "a2")
    s.tick(0.1)
    s.run("w1.1", "a1", "snoozed", attempt=2, retry_in=0.05)
    s.end(passing)
    s.run("w1.1", "a3")
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.tick(0.1)
    s.run("w2.1", "a1", attempt=2)
    s.stop("w2.1", 0)


@good(rules={"a1": Rules(order="relaxed")})
def a_relaxed_call_comes_back_beside_one_that_passed_it(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.0)
    passing = s.start("w1.1", "a2")
    s.run("w1.1", "a1", attempt=2)
    s.end(passing)
    s.stop("w1.1", 0)


@good()
def a_dead_letter_is_replayed(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    dead = s.bury("w1.1", "a1")
    s.run("w1.1", "a2")
    again = s.append("a1", b"a")
    s.add(Replayed(s.tick(), call="a1", place=dead.place, offset=dead.offset))
    s.run("w1.1", again)
    s.stop("w1.1", 0)


@good()
def an_unknown_enqueue_may_run_or_not(s: Script) -> None:
    s.assign("w1.1")
    s.append("in the log", b"a")
    s.add(EnqueueUnknown(s.tick(), "web", call="in the log"))
    s.add(EnqueueUnknown(s.tick(), "web", call="not in the log"))
    s.run("w1.1", "in the log")
    s.stop("w1.1", 0)


@good()
def an_unknown_enqueue_is_enqueued_again(s: Script) -> None:
    s.assign("w1.1")
    first = s.append("a1", b"a")
    s.add(EnqueueUnknown(s.tick(), "web", call="a1"))
    s.enqueue("a1", key=b"a")
    s.run("w1.1", first)
    s.run("w1.1", s.dump[-1])
    s.stop("w1.1", 0)


@good()
def one_call_has_two_records_that_run_at_once(s: Script) -> None:
    s.assign("w1.1")
    first = s.append("a1")
    s.add(EnqueueUnknown(s.tick(), "web", call="a1"))
    s.enqueue("a1")
    runs = [s.start("w1.1", record) for record in (first, s.dump[-1])]
    for run in runs:
        s.effect(run, exact=True)
    for run in runs:
        s.end(run, effect=False)
    s.stop("w1.1", 0)


@good()
def offsets_are_reset_to_run_again(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    s.stop("w1.1", 0)
    s.add(OffsetsReset(s.tick(), place=(TOPIC, 0), offset=0))
    s.shelf().committed = 0
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@good(revoke_budget=2.0)
def a_call_outlasts_a_revocation(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    long = s.start("w1.1", "a1")
    s.tick(3)
    s.revoke("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.end(long)
    s.commit("w2.1")
    s.stop("w2.1", 0)


@good()
def retention_takes_the_backlog_and_it_is_told(s: Script) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.add(GapInjected(s.tick(), place=(TOPIC, 0), first=0, after=2))
    s.dump[:2] = []
    s.shelf().settled |= {0, 1}
    s.assign("w1.1", offset=2)
    s.add(Gap(s.tick(), "w1.1", place=(TOPIC, 0), first=0, after=2))
    s.run("w1.1", "a3")
    s.stop("w1.1", 0)


@good()
def a_call_is_deleted_after_it_ran(s: Script) -> None:
    record = s.append("a1", b"a")
    s.add(EnqueueUnknown(s.tick(), "web", call="a1"))
    s.assign("w1.1")
    s.run("w1.1", record)
    s.add(GapInjected(s.tick(), place=(TOPIC, 0), first=0, after=1))
    s.dump.clear()
    s.stop("w1.1", 0)


@good()
def calls_that_never_run_are_finished_too(s: Script) -> None:
    s.enqueue("ran out", "dropped", "unknown job", "fine", key=b"a")
    s.assign("w1.1")
    s.decide("w1.1", "ran out", "early")
    s.decide("w1.1", "ran out", "expired")
    s.run("w1.1", "dropped", "discarded")
    s.bury("w1.1", "unknown job", reason="unknown-job")
    s.run("w1.1", "fine")
    s.stop("w1.1", 0)


@good(drained=False)
def a_run_is_judged_in_the_middle(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.append(None)
    s.assign("w1.1")
    s.start("w1.1", "a1")


@good()
def a_burial_is_acknowledged_after_the_revocation(s: Script) -> None:
    junk = s.append(None)
    s.assign("w1.1")
    s.add(RevokedFrom(s.tick(), "w1.1", place=(TOPIC, 0)))
    s.bury("w1.1", junk)
    s.assign("w2.1")
    s.bury("w2.1", junk)
    s.stop("w2.1", 0)


@good()
def epochs_begin_anew_after_a_reset(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1", epoch=7)
    s.run("w1.1", "a1")
    s.stop("w1.1", 0)
    s.add(OffsetsReset(s.tick(), place=(TOPIC, 0), offset=1))
    s.assign("w2.1", epoch=1)
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@good()
def offsets_are_reset_to_leave_calls_out(s: Script) -> None:
    s.enqueue("done", "a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "done")
    s.stop("w1.1", 0)
    s.add(OffsetsReset(s.tick(), place=(TOPIC, 0), offset=2))
    s.shelf().settled.add(1)
    s.shelf().committed = 2
    s.assign("w2.1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@good(effects=False, dumped=False)
def kjobs_is_believed_without_witnesses(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.end(s.start("w1.1", "a1"), effect=False)
    s.run("w1.1", "a2", "condemned")
    s.bury("w1.1", "a2", written=False)
    s.dump.clear()
    s.stop("w1.1", 0)


@good(start_slack=0.1)
def a_start_is_told_a_little_late(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.add(TermBegan(s.tick(), "w1.1", grace=5.0))
    s.run("w1.1", "a1")
    s.revoke("w1.1")
    s.add(Exited(s.tick(), "w1.1", code=0))


@good()
def a_dead_letter_outlives_its_record(s: Script) -> None:
    junk = s.append(None, b"a")
    s.assign("w1.1")
    s.bury("w1.1", junk)
    s.add(GapInjected(s.tick(), place=(TOPIC, 0), first=0, after=1))
    s.dump.clear()
    s.stop("w1.1", 0)
