"""Right runs: the checker must have nothing to say about them, however odd they look.

``everyday`` is the base: several workers, a rebalance, retries, a dead letter, a crash with the duplicates
it may cause, a stop in order. The others each show one thing that looks wrong and is not; here it is
because something breaks, in ``good_histories_quiet`` it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .expectations import Config, Rules
from .history import (
    Committed,
    Exited,
    FaultBegan,
    FaultEnded,
    Frozen,
    TermBegan,
    Thawed,
)
from .script import LEASE, TOPIC, Script

GOOD: dict[str, tuple[Callable[[Script], None], Config]] = {}

_Tale = Callable[[Script], None]


def good(**config: Any) -> Callable[[_Tale], _Tale]:
    """Note a right run, judged with this configuration."""

    def note(tale: _Tale) -> _Tale:
        GOOD[tale.__name__] = (tale, Config(**config))
        return tale

    return note


@good(
    rules={"dies": Rules(retries=1), "retried": Rules(retries=2)},
    slots=2,
    max_records=10,
    session_timeout=10.0,
)
def everyday(s: Script) -> None:
    s.assign("w1.1", 0)
    s.assign("w1.1", 1)
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.enqueue("retried", "b2", key=b"b", part=1)
    s.enqueue("free", part=1)
    s.run("w1.1", "a1")
    s.run("w1.1", "retried", "failed", retry_in=0.5)
    s.run("w1.1", "free")
    s.commit("w1.1", 1)
    # Another worker comes, and takes the partition with the waiting retry.
    s.revoke("w1.1", 1)
    s.assign("w2.1", 1)
    s.tick(0.5)
    s.run("w2.1", "retried", attempt=2)
    slow = s.start("w1.1", "a2")
    s.enqueue("dies", "c2", key=b"c", part=1)
    s.run("w2.1", "b2")
    s.commit("w2.1", 1)
    s.run("w2.1", "dies", "failed", retry_in=0.1)
    s.tick(0.1)
    s.run("w2.1", "dies", "failed", attempt=2)
    s.bury("w2.1", "dies", reason="retries-exhausted")
    s.end(slow)
    s.append(None, b"c", 1)
    s.run("w2.1", "c2")
    s.bury("w2.1", s.dump[-1], reason="undecodable")
    s.enqueue("d1", "d2", "d3", key=b"d", part=1)
    s.commit("w2.1", 1)
    # One is finished and not committed, one runs: both run again after the crash.
    s.run("w2.1", "d1")
    s.start("w2.1", "d2")
    s.kill("w2.1")
    s.commit("w1.1", 0)
    s.tick(3)
    s.assign("w1.1", 1)
    s.run("w1.1", "d1")
    s.run("w1.1", "d2")
    s.run("w1.1", "a3")
    s.run("w1.1", "d3")
    s.stop("w1.1", 0, 1)


@good(session_timeout=10.0)
def a_zombie_finishes_late(s: Script) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.assign("w1.1")
    zombie = s.start("w1.1", "a1")
    s.add(Frozen(s.tick(), "w1.1"))
    s.tick(12)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.run("w2.1", "a2")
    s.commit("w2.1")
    s.add(Thawed(s.tick(), "w1.1"))
    s.end(zombie)
    s.lose("w1.1")
    s.run("w2.1", "a3")
    s.stop("w2.1", 0)


@good()
def an_isolated_worker_stops_by_its_lease(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    zombie = s.start("w1.1", "a1")
    s.tick(12)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.end(zombie)
    s.run("w2.1", "a2")
    s.lose("w1.1")
    s.stop("w2.1", 0)


@good()
def a_burial_is_forgotten_in_a_crash(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed")
    s.bury("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@good(rules={"a1": Rules(retries=1)})
def failures_are_forgotten_in_a_crash(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=5)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1", "failed", retry_in=0.1)
    s.commit("w2.1")
    s.tick(0.1)
    s.start("w2.1", "a1", 2)
    s.kill("w2.1")
    s.assign("w3.1")
    s.run("w3.1", "a1", attempt=2)
    s.stop("w3.1", 0)


@good()
def what_is_finished_above_the_watermark_is_not_repeated(s: Script) -> None:
    s.enqueue("slow")
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "a1")
    s.commit("w1.1")
    s.tick(2)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a2")
    s.run("w2.1", "slow")
    s.stop("w2.1", 0)


@good()
def an_outage_delays_commits(s: Script) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.assign("w1.1")
    s.add(FaultBegan(s.tick(), what="broker down"))
    s.run("w1.1", "a1")
    s.tick(3)
    s.run("w1.1", "a2")
    s.tick(3)
    s.kill("w1.1")
    s.add(FaultEnded(s.tick(), what="broker down"))
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.run("w2.1", "a2")
    s.run("w2.1", "a3")
    s.stop("w2.1", 0)


@good()
def an_acknowledgement_is_told_late(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    held = s.tick()
    s.add(Frozen(s.tick(), "w1.1"))
    s.tick(12)
    s.assign("w2.1", offset=1)
    s.shelf().committed = 1
    s.run("w2.1", "a2")
    s.commit("w2.1")
    s.add(Thawed(s.tick(), "w1.1"))
    s.add(Committed(s.tick(), "w1.1", place=(TOPIC, 0), offset=1, sent=held))
    s.lose("w1.1")
    s.commit("w2.1")
    s.stop("w2.1", 0)


@good()
def a_forced_stop_repeats_what_ran(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    long = s.start("w1.1", "a1")
    s.add(TermBegan(s.tick(), "w1.1", grace=1.0))
    s.tick(1.0)
    s.effect(long)
    s.add(Exited(s.tick(), "w1.1", code=2))
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@good(usual=Rules(order="relaxed"))
def a_relaxed_call_comes_back_after_a_crash(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1", "failed", retry_in=0.0)
    s.run("w2.1", "a2")
    s.run("w2.1", "a1", attempt=2)
    s.stop("w2.1", 0)


@good()
def a_call_has_done_its_work_and_still_runs_when_it_is_killed(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.effect(s.start("w1.1", "a1"))
    s.tick(5)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@good()
def a_process_is_killed_before_any_commit_is_acknowledged(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    del s.events[-2:]  # the acknowledgement, and the lease
    s.run("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.stop("w2.1", 0)


@good()
def a_frozen_process_is_killed_before_it_thaws(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.add(Frozen(s.tick(), "w1.1"))
    s.tick(12)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.kill("w1.1")
    s.stop("w2.1", 0)


@good(usual=Rules(retries=1))
def the_last_attempt_is_repeated_when_its_dead_letter_was_not_acknowledged(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.0)
    s.run("w1.1", "a1", "failed", attempt=2)
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1", "failed", attempt=2)
    s.bury("w2.1", "a1", reason="retries-exhausted")
    s.stop("w2.1", 0)


@good(usual=Rules(retries=1))
def crashes_are_counted_apart_from_failures(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "crashed", retry_in=0.0)
    s.run("w1.1", "a1", "failed", retry_in=0.0)
    s.run("w1.1", "a1", "crashed", attempt=2, retry_in=0.0)
    s.run("w1.1", "a1", attempt=2)
    s.stop("w1.1", 0)


@good(forgetful=True)
def metadata_overflows(s: Script) -> None:
    s.enqueue("slow", "a1", "b1")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "a1", "failed", retry_in=5.0)
    s.run("w1.1", "b1")
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    for call in ("slow", "a1", "b1"):
        s.run("w2.1", call)
    s.stop("w2.1", 0)


@good(report_lag=0.1)
def ends_are_reported_late(s: Script) -> None:
    s.enqueue("slow", "a1", "b1")
    s.assign("w1.1")
    s.start("w1.1", "slow")
    s.run("w1.1", "a1", "failed", retry_in=5.0)
    s.run("w1.1", "b1")
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1")
    for call in ("slow", "a1", "b1"):
        s.run("w2.1", call)
    s.stop("w2.1", 0)


@good()
def a_zombie_fails_what_another_runs(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    zombie = s.start("w1.1", "a1")
    s.tick(LEASE + 2)
    s.assign("w2.1")
    s.end(zombie, "failed", retry_in=1.0)
    s.commit("w1.1", offset=0, lease=False)
    s.run("w2.1", "a1")
    s.lose("w1.1")
    s.stop("w2.1", 0)


@good()
def a_zombie_succeeds_at_what_another_buried(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    zombie = s.start("w1.1", "a1")
    s.tick(LEASE + 2)
    s.assign("w2.1")
    s.run("w2.1", "a1", "condemned")
    s.bury("w2.1", "a1")
    s.commit("w2.1")
    s.end(zombie)
    s.lose("w1.1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)
