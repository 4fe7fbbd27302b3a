"""Wrong runs, continued: how calls are counted, delayed and buried, and what retention takes."""

from __future__ import annotations

import msgspec

from .bad_histories import bad
from .expectations import Rules
from .history import Effect, Gap, GapInjected, OffsetsReset, Replayed
from .script import TOPIC, Script

# --- I12, I14: time and attempts ------------------------------------------------------------------


@bad("I12")
def a_delayed_call_runs_early(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a", due=s.now + 10)
    s.assign("w1.1")
    s.decide("w1.1", "a1", "early")
    s.tick(5.0)
    s.commit("w1.1")
    s.tick(4.5 if wrong else 5.5)
    s.commit("w1.1")
    s.run("w1.1", "a1")
    s.stop("w1.1", 0)


def _second_attempt(s: Script, number: int, *, wait: float = 0.5, first: int = 1) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", attempt=first, retry_in=0.5)
    s.tick(wait)
    s.run("w1.1", "a1", attempt=number)
    s.stop("w1.1", 0)


@bad("I14")
def an_attempt_is_skipped(s: Script, wrong: bool) -> None:
    _second_attempt(s, 3 if wrong else 2)


@bad("I14")
def an_attempt_number_is_repeated(s: Script, wrong: bool) -> None:
    _second_attempt(s, 1 if wrong else 2)


@bad("I14")
def a_retry_begins_early(s: Script, wrong: bool) -> None:
    _second_attempt(s, 2, wait=0.3 if wrong else 0.5)


@bad("I14")
def the_first_attempt_is_the_second(s: Script, wrong: bool) -> None:
    first = 2 if wrong else 1
    _second_attempt(s, first + 1, first=first)


@bad("I14")
def the_only_attempt_is_the_second(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", attempt=2 if wrong else 1)
    s.stop("w1.1", 0)


@bad("I14")
def a_failure_from_before_a_reset_is_counted(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.0)
    s.run("w1.1", "a1", attempt=2)
    s.stop("w1.1", 0)
    s.add(OffsetsReset(s.tick(), place=(TOPIC, 0), offset=0))
    s.shelf().committed = 0
    s.assign("w2.1")
    s.run("w2.1", "a1", attempt=2 if wrong else 1)
    s.stop("w2.1", 0)


@bad("I14")
def a_snoozed_attempt_is_counted(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "snoozed", retry_in=0.1)
    s.tick(0.1)
    s.run("w1.1", "a1", attempt=2 if wrong else 1)
    s.stop("w1.1", 0)


@bad("I14", usual=Rules(retries=1))
def there_are_more_attempts_than_allowed(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    for attempt in (1, 2, 3) if wrong else (1, 2):
        s.run("w1.1", "a1", "failed", attempt=attempt, retry_in=0.0)
    s.bury("w1.1", "a1", reason="retries-exhausted")
    s.stop("w1.1", 0)


@bad("I14", usual=Rules(retries=2))
def a_call_is_given_up_on_before_its_retries_are_used(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    for attempt in (1, 2) if wrong else (1, 2, 3):
        s.run("w1.1", "a1", "failed", attempt=attempt, retry_in=0.0)
    s.bury("w1.1", "a1", reason="retries-exhausted")
    s.stop("w1.1", 0)


@bad("I14")
def a_committed_failure_is_forgotten(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.0)
    if wrong:
        s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I14")
def a_new_owner_counts_a_crash_as_a_failure(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.start("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1", attempt=2 if wrong else 1)
    s.stop("w2.1", 0)


@bad("I14")
def a_new_owner_remembers_the_failure_and_not_its_time(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=2.0)
    s.revoke("w1.1")
    s.assign("w2.1")
    s.tick(0.5 if wrong else 2.0)
    s.run("w2.1", "a1", attempt=2)
    s.stop("w2.1", 0)


@bad("I14")
def the_body_saw_another_attempt(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    run = s.start("w1.1", "a1")
    s.add(Effect(s.tick(), "w1.1", call="a1", attempt=2 if wrong else 1))
    s.end(run, effect=False)
    s.stop("w1.1", 0)


# --- I15 to I18: dead letters ------------------------------------------------------------------


def _dead_letter(s: Script, **changes: object) -> None:
    s.enqueue("a1", key=b"a", headers=(("traceparent", b"00-1"),))
    s.enqueue("b1", key=b"b", part=1)
    s.assign("w1.1", 0)
    s.assign("w1.1", 1)
    s.run("w1.1", "a1", "condemned")
    dead = s.bury("w1.1", "a1")
    s.run("w1.1", "b1")
    s.dead[-1] = msgspec.structs.replace(dead, **changes)
    s.stop("w1.1", 0, 1)


@bad("I15")
def a_dead_letter_has_another_value(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"value_digest": "other"} if wrong else {}))


@bad("I15")
def a_dead_letter_has_another_key(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"key": b"b"} if wrong else {}))


@bad("I15")
def a_dead_letter_has_lost_its_key(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"key": None} if wrong else {}))


@bad("I15")
def a_dead_letter_has_no_reason(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"headers": (("traceparent", b"00-1"),)} if wrong else {}))


@bad("I15")
def a_dead_letter_has_lost_a_header(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"headers": (("kj-reason", b"rejected"),)} if wrong else {}))


@bad("I15")
def a_dead_letter_is_in_another_partition(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"place": (f"{TOPIC}.dead", 1)} if wrong else {}))


@bad("I15")
def a_dead_letter_is_of_another_call(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"call": "b1"} if wrong else {}))


# Without its origin it is no one's dead letter, so the call has none.
@bad("I15", also="I1")
def a_dead_letter_does_not_say_where_it_came_from(s: Script, wrong: bool) -> None:
    _dead_letter(s, **({"source": None} if wrong else {}))


@bad("I15")
def a_dead_letter_comes_from_nowhere(s: Script, wrong: bool) -> None:
    _dead_letter(s)
    if wrong:
        s.dead.append(msgspec.structs.replace(s.dead[-1], offset=1, source=(TOPIC, 1, 7)))


@bad("I16")
def a_dead_call_succeeds(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    dead = s.bury("w1.1", "a1")
    again = "a1"
    if not wrong:
        s.append("a1", b"a")
        s.add(Replayed(s.tick(), call="a1", place=dead.place, offset=dead.offset))
    s.run("w1.1", again if wrong else s.dump[-1])
    s.stop("w1.1", 0)


@bad("I16")
def a_committed_dead_letter_succeeds_after_a_crash(s: Script, wrong: bool) -> None:
    s.enqueue("slow", "a1")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "a1", "condemned")
    s.bury("w1.1", "a1")
    if wrong:
        s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "slow")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@bad("I16")
def a_success_is_buried(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if wrong:
        s.bury("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I17")
def a_call_begins_again_after_three_crashes(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    for _ in range(3 if wrong else 2):
        s.run("w1.1", "a1", "crashed", retry_in=0.0)
    s.run("w1.1", "a1", "crashed")
    s.bury("w1.1", "a1", reason="crashed")
    s.stop("w1.1", 0)


@bad("I18")
def an_undecodable_record_is_never_buried(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.append(None, b"junk")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if not wrong:
        s.bury("w1.1", s.dump[-1])
    s.stop("w1.1", 0)


# --- I19: retention -------------------------------------------------------------------------------


@bad("I19")
def a_gap_is_not_told(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.add(GapInjected(s.tick(), place=(TOPIC, 0), first=0, after=1))
    s.dump.pop(0)
    s.shelf().settled.add(0)
    s.assign("w1.1", offset=1)
    if not wrong:
        s.add(Gap(s.tick(), "w1.1", place=(TOPIC, 0), first=0, after=1))
    s.run("w1.1", "a2")
    s.stop("w1.1", 0)


@bad("I19")
def a_gap_is_told_too_long(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    for first in (0, 1):
        s.add(GapInjected(s.tick(), place=(TOPIC, 0), first=first, after=first + 1))
    s.dump[:2] = []
    s.shelf().settled |= {0, 1}
    s.assign("w1.1", offset=2)
    s.add(Gap(s.tick(), "w1.1", place=(TOPIC, 0), first=0, after=3 if wrong else 2))
    s.run("w1.1", "a3")
    s.stop("w1.1", 0)


@bad("I19")
def a_gap_is_told_that_is_none(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    if wrong:
        s.add(Gap(s.tick(), "w1.1", place=(TOPIC, 0), first=1, after=5))
    s.stop("w1.1", 0)
