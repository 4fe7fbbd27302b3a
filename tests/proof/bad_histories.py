"""Wrong runs, each with the one step that makes it wrong, and what it must be caught as.

Every tale is told twice: ``wrong`` tells it with the wrong step, which must be caught under ``code`` and
no other; without it the same tale must be right. Where one step truly breaks two invariants, ``also``
says which. This page has order and ownership; the other pages note theirs with ``bad`` too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .expectations import Config, Rules
from .history import LeaseUntil
from .script import LEASE, Script

_Tale = Callable[[Script, bool], None]


@dataclass(frozen=True, slots=True)
class Bad:
    """A wrong run."""

    code: str
    tale: _Tale
    config: Config
    also: frozenset[str]

    def __str__(self) -> str:
        return f"{self.code}-{self.tale.__name__}"


BAD: list[Bad] = []


def bad(code: str, *, also: str = "", **config: Any) -> Callable[[_Tale], _Tale]:
    """Note a wrong run, judged with this configuration."""

    def note(tale: _Tale) -> _Tale:
        BAD.append(Bad(code, tale, Config(**config), frozenset(also.split())))
        return tale

    return note


# --- I3: no overtaking ----------------------------------------------------------------------------


@bad("I3")
def a_retry_is_overtaken(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=0.1)
    if wrong:
        s.run("w1.1", "a2")
    s.tick(0.1)
    s.run("w1.1", "a1", attempt=2)
    if not wrong:
        s.run("w1.1", "a2")
    s.stop("w1.1", 0)


@bad("I3")
def a_burial_is_overtaken(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    if not wrong:
        s.bury("w1.1", "a1")
    s.run("w1.1", "a2")
    if wrong:
        s.bury("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I3")
def overtaking_shows_in_the_effects_only(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    first = s.start("w1.1", "a1")
    if not wrong:
        s.effect(first)
    s.end(first, effect=False)
    s.run("w1.1", "a2")
    if wrong:
        s.effect(first)
    s.stop("w1.1", 0)


@bad("I3")
def a_new_owner_leaves_out_an_unfinished_call(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.start("w1.1", "a1")
    s.kill("w1.1")
    s.assign("w2.1")
    for call in ("a2", "a1") if wrong else ("a1", "a2"):
        s.run("w2.1", call)
    s.stop("w2.1", 0)


# In a process, too, that the later call starts while the earlier one runs.
@bad("I3", also="I5")
def two_calls_of_a_key_run_at_once(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    first = s.start("w1.1", "a1")
    if not wrong:
        s.end(first)
    second = s.start("w1.1", "a2")
    if wrong:
        s.end(first)
    s.end(second)
    s.stop("w1.1", 0)


@bad("I3", rules={"a1": Rules(order="relaxed")})
def a_relaxed_call_is_overtaken_before_it_failed(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    if not wrong:
        s.run("w1.1", "a1", "failed", retry_in=0.0)
    s.run("w1.1", "a2")
    s.run("w1.1", "a1", attempt=1 if wrong else 2)
    s.stop("w1.1", 0)


@bad("I3", drained=False)
def a_call_is_left_out(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    if not wrong:
        s.run("w1.1", "a1")
    s.run("w1.1", "a2")


# --- I4: a replay is a suffix ---------------------------------------------------------------------


@bad("I4")
def a_replay_has_a_gap(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.assign("w1.1")
    for call in ("a1", "a2"):
        s.run("w1.1", call)
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    if not wrong:
        s.run("w2.1", "a2")
    s.run("w2.1", "a3")
    s.stop("w2.1", 0)


@bad("I4")
def a_key_steps_back_for_no_reason(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    s.kill("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.run("w2.1", "a2")
    if wrong:
        s.run("w2.1", "a1", "failed", retry_in=1)
    s.run("w2.1", "a3")
    s.stop("w2.1", 0)


@bad("I4", usual=Rules(order="relaxed"))
def a_relaxed_key_steps_back_for_no_reason(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.run("w1.1", "a2")
    s.kill("w1.1")
    s.assign("w2.1")
    for call in ("a2", "a1") if wrong else ("a1", "a2"):
        s.run("w2.1", call)
    s.stop("w2.1", 0)


@bad("I4")
def a_replay_begins_below_the_commit(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1", "condemned")
    s.bury("w1.1", "a1")
    s.commit("w1.1")
    s.kill("w1.1")
    s.assign("w2.1", offset=0 if wrong else 1)
    if wrong:
        s.start("w2.1", "a1")
    s.kill("w2.1")
    s.assign("w3.1")
    s.run("w3.1", "a2")
    s.stop("w3.1", 0)


@bad("I4")
def a_start_lies_below_the_assigned_offset(s: Script, wrong: bool) -> None:
    s.enqueue("free", "other")
    s.assign("w1.1")
    s.run("w1.1", "free", "condemned")
    s.bury("w1.1", "free")
    s.kill("w1.1")
    s.assign("w2.1", offset=1 if wrong else 0)
    s.run("w2.1", "free", "condemned")
    s.run("w2.1", "other")
    s.stop("w2.1", 0)


# --- I5, I6, I7: ownership ------------------------------------------------------------------------


@bad("I5")
def a_key_overlaps_across_assignments(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    old = s.start("w1.1", "a1")
    s.lose("w1.1")
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.revoke("w2.1")
    s.assign("w1.1")
    if not wrong:
        s.end(old)
    new = s.start("w1.1", "a2")
    if wrong:
        s.end(old)
    s.end(new)
    s.stop("w1.1", 0)


@bad("I5")
def a_call_without_a_key_runs_twice_at_once(s: Script, wrong: bool) -> None:
    s.enqueue("free")
    s.assign("w1.1")
    old = s.start("w1.1", "free")
    s.lose("w1.1")
    s.assign("w1.1")
    if not wrong:
        s.end(old)
    new = s.start("w1.1", "free")
    if wrong:
        s.end(old)
    s.end(new)
    s.stop("w1.1", 0)


@bad("I5", usual=Rules(order="relaxed"))
def a_relaxed_call_runs_twice_at_once(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    old = s.start("w1.1", "a1")
    s.lose("w1.1")
    s.assign("w1.1")
    if not wrong:
        s.end(old)
    new = s.start("w1.1", "a1")
    if wrong:
        s.end(old)
    s.end(new)
    s.stop("w1.1", 0)


@bad("I6")
def two_processes_own_a_partition_and_no_lease_is_known(s: Script, wrong: bool) -> None:
    s.leases = False
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    old = s.start("w1.1", "a1")
    if not wrong:
        s.lose("w1.1")
    s.assign("w2.1")
    new = s.start("w2.1", "a1")
    s.end(old)
    if wrong:
        s.lose("w1.1")
    s.end(new)
    s.stop("w2.1", 0)


@bad("I6", session_timeout=5.0)
def two_processes_own_a_partition_within_the_session_timeout(s: Script, wrong: bool) -> None:
    s.leases = False
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.tick(2.0)
    s.commit("w1.1")
    old = s.start("w1.1", "a1")
    s.tick(4.0 if wrong else 6.0)
    s.assign("w2.1")
    new = s.start("w2.1", "a1")
    s.end(old)
    s.lose("w1.1")
    s.end(new)
    s.stop("w2.1", 0)


@bad("I6")
def two_processes_own_a_partition(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    old = s.start("w1.1", "a1")
    s.tick(1.0 if wrong else LEASE + 1)
    s.assign("w2.1")
    new = s.start("w2.1", "a1")
    s.end(old)
    s.lose("w1.1")
    s.end(new)
    s.stop("w2.1", 0)


@bad("I6")
def a_fence_is_used_twice(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.revoke("w1.1")
    s.assign("w2.1", epoch=1 if wrong else None)
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@bad("I7")
def a_call_starts_after_the_revocation(s: Script, wrong: bool) -> None:
    _start_too_late(s, wrong, s.revoke)


@bad("I7")
def a_call_starts_after_the_loss(s: Script, wrong: bool) -> None:
    _start_too_late(s, wrong, s.lose)


def _start_too_late(s: Script, wrong: bool, take_away: Callable[[str], None]) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.commit("w1.1")
    if not wrong:
        run = s.start("w1.1", "a2")
    take_away("w1.1")
    if wrong:
        run = s.start("w1.1", "a2")
    s.end(run, "failed", retry_in=1)
    s.assign("w2.1")
    s.run("w2.1", "a2")
    s.stop("w2.1", 0)


@bad("I7")
def a_call_starts_after_the_lease(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.tick(LEASE + 1)
    if not wrong:
        s.commit("w1.1")
    s.run("w1.1", "a2")
    s.stop("w1.1", 0)


@bad("I7", session_timeout=10.0)
def a_call_starts_after_a_silence_without_leases(s: Script, wrong: bool) -> None:
    s.leases = False
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.tick(11)
    if not wrong:
        s.commit("w1.1")
    s.run("w1.1", "a2")
    s.stop("w1.1", 0)


@bad("I7")
def a_call_starts_under_an_old_epoch(s: Script, wrong: bool) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.assign("w1.1")
    s.run("w1.1", "a1")
    s.revoke("w1.1")
    s.assign("w1.1")
    s.end(s.start("w1.1", "a2", epoch=1 if wrong else 2))
    s.stop("w1.1", 0)


@bad("I7", session_timeout=10.0)
def a_lease_outlasts_the_session(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a")
    s.assign("w1.1")
    s.add(LeaseUntil(s.tick(), "w1.1", until=s.now + (11 if wrong else 9)))
    s.run("w1.1", "a1")
    s.stop("w1.1", 0)


@bad("I7", confirmed=True)
def a_call_starts_before_the_assignment_is_confirmed(s: Script, wrong: bool) -> None:
    s.enqueue("a1", key=b"a", part=1)
    s.assign("w1.1", 0)
    s.assign("w1.1", 1)
    if wrong:
        del s.events[-2:]  # the acknowledgement of its first commit, and the lease
    s.run("w1.1", "a1")
    s.stop("w1.1", 0, 1)
