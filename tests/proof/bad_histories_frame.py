"""Wrong runs, concluded: the log, the processes, and histories that contradict themselves."""

from __future__ import annotations

import msgspec

from .bad_histories import bad
from .history import (
    Buffered,
    Enqueued,
    EnqueueUnknown,
    Exited,
    FaultBegan,
    FaultEnded,
    Frozen,
    TermBegan,
    Thawed,
)
from .script import TOPIC, Script


def _all_run(s: Script) -> None:
    for part in {record.place[1] for record in s.dump}:
        s.assign("w1.1", part)
    for record in s.dump:
        s.run("w1.1", record)
    s.stop("w1.1", *{record.place[1] for record in s.dump})


# --- I23, I24: the log ----------------------------------------------------------------------------


@bad("I23")
def calls_of_a_producer_change_places(s: Script, wrong: bool) -> None:
    first, second = s.append("a1", b"a"), s.append("a2", b"a")
    for record in (second, first) if wrong else (first, second):
        s.acknowledge(record)
    _all_run(s)


@bad("I23")
def a_key_is_in_two_partitions(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.enqueue("a2", key=b"a", part=1 if wrong else 0)
    _all_run(s)


@bad("I24")
def an_offset_is_two_calls(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    _all_run(s)
    if wrong:
        s.dump.append(msgspec.structs.replace(s.dump[0], value_digest="other"))


@bad("I24")
def a_call_is_in_the_log_twice(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    if wrong:
        s.append("a1", b"a")
    _all_run(s)


@bad("I24")
def a_call_of_unknown_fate_is_in_the_log_twice(s: Script, wrong: bool) -> None:
    for _ in range(2):
        s.append("a1", b"a")
    for _ in range(1 if wrong else 2):
        s.add(EnqueueUnknown(s.tick(), "web", call="a1"))
    _all_run(s)


@bad("I24")
def two_calls_are_acknowledged_at_one_offset(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    if wrong:
        s.add(Enqueued(s.tick(), "web", call="a2", place=(TOPIC, 0), offset=0, key=b"a"))
    _all_run(s)


@bad("I24")
def a_worker_takes_a_record_for_another(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    record = s.dump[0]
    s.run("w1.1", msgspec.structs.replace(record, key=b"b") if wrong else record)
    s.stop("w1.1", 0)


# --- I25, I26: processes --------------------------------------------------------------------------


@bad("I25", max_records=100)
def a_worker_holds_too_many_records(s: Script, wrong: bool) -> None:
    s.add(Buffered(s.tick(), "w1.1", records=101 if wrong else 100, size=1))


@bad("I25", max_size=1000)
def a_worker_holds_too_many_bytes(s: Script, wrong: bool) -> None:
    s.add(Buffered(s.tick(), "w1.1", records=1, size=1001 if wrong else 1000))


@bad("I25", slots=2)
def a_worker_runs_more_calls_than_it_has_slots(s: Script, wrong: bool) -> None:
    s.enqueue("1", "2", "3")
    s.assign("w1.1")
    runs = [s.start("w1.1", call) for call in ("1", "2")]
    if not wrong:
        s.end(runs.pop())
    runs.append(s.start("w1.1", "3"))
    for run in runs:
        s.end(run)
    s.stop("w1.1", 0)


@bad("I26")
def a_call_starts_after_term(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    if not wrong:
        s.run("w1.1", "a1")
    s.add(TermBegan(s.tick(), "w1.1", grace=5.0))
    if wrong:
        s.run("w1.1", "a1")
    s.revoke("w1.1")
    s.add(Exited(s.tick(), "w1.1", code=0))


@bad("I26")
def a_worker_outlasts_its_grace(s: Script, wrong: bool) -> None:
    s.assign("w1.1")
    s.add(TermBegan(s.tick(), "w1.1", grace=5.0))
    s.tick(7.0 if wrong else 5.5)
    s.add(Exited(s.tick(), "w1.1", code=0))


@bad("I26")
def a_worker_never_goes(s: Script, wrong: bool) -> None:
    s.assign("w1.1")
    s.add(TermBegan(s.tick(), "w1.1", grace=5.0))
    s.tick(7.0)
    if not wrong:
        s.events[-1] = TermBegan(s.events[-1].t, "w1.1", grace=15.0)


@bad("I26")
def a_second_term_does_not_hurry(s: Script, wrong: bool) -> None:
    s.assign("w1.1")
    s.add(TermBegan(s.tick(), "w1.1", grace=60.0))
    if wrong:
        s.add(TermBegan(s.tick(), "w1.1", grace=0.0))
    s.tick(5.0)
    s.add(Exited(s.tick(), "w1.1", code=2))


# --- H0: contradictions ---------------------------------------------------------------------------


@bad("H0")
def an_attempt_ends_that_never_began(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.decide("w1.1", "a1", "discarded" if wrong else "expired")
    s.stop("w1.1", 0)


@bad("H0")
def an_attempt_ends_as_another(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    s.effect(run)
    run.attempt = 2 if wrong else 1
    s.end(run, effect=False)
    s.stop("w1.1", 0)


@bad("H0")
def a_dead_process_works(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    s.effect(run)
    if wrong:
        s.kill("w1.1")
    s.commit("w1.1", lease=False)
    if not wrong:
        s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("H0")
def a_process_thaws_that_was_not_frozen(s: Script, wrong: bool) -> None:
    s.assign("w1.1")
    if not wrong:
        s.add(Frozen(s.tick(), "w1.1"))
    s.add(Thawed(s.tick(), "w1.1"))


@bad("H0")
def a_fault_ends_that_never_began(s: Script, wrong: bool) -> None:
    if not wrong:
        s.add(FaultBegan(s.tick(), what="broker down"))
    s.add(FaultEnded(s.tick(), what="broker down"))


@bad("H0", effects=False)
def a_body_runs_without_a_start(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    run = s.start("w1.1", "a2")
    if wrong:
        run.inc = "w2.1"
        s.effect(run)
        run.inc = "w1.1"
    s.end(run, effect=not wrong)
    s.stop("w1.1", 0)
