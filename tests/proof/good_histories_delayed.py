"""Right runs with calls in the deferred store: delays, long retries, calls parked behind them, wishes."""

from __future__ import annotations

import msgspec

from .expectations import Rules
from .good_histories import good
from .history import Compacted, DelayedLogged, Frozen, OffsetsReset, Thawed
from .script import LEASE, TOPIC, Script


@good(rules={"a1": Rules(retries=2), "d1": Rules(retries=1)}, slots=2, session_timeout=10.0)
def delays_and_long_retries(s: Script) -> None:
    s.assign("w1.1")
    s.enqueue("a1", "a2", "a3", key=b"a")
    s.schedule("d1", due_in=5.0, key=b"a")
    s.schedule("free", due_in=2.0)
    # Its retry is far off: it waits in the store, and its key behind it.
    s.run("w1.1", "a1", "failed", retry_in=3.0)
    s.store("w1.1", "a1", due_in=3.0, failures=1)
    for call in ("a2", "a3"):
        s.store("w1.1", call)
    s.commit("w1.1")
    s.tick(2.0)
    s.run("w1.1", "free")
    s.erase("w1.1", "free")
    s.tick(1.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.commit("w1.1")
    # Another worker takes over what is in the store.
    s.revoke("w1.1")
    s.assign("w2.1")
    for call in ("a2", "a3"):
        s.run("w2.1", call)
        s.erase("w2.1", call)
    s.tick(2.0)
    s.enqueue("a4", key=b"a")
    s.take_place("w2.1", "d1")
    s.enqueue("a5", key=b"a")
    s.run("w2.1", "a4")
    s.run("w2.1", "d1", "failed", retry_in=1.0)
    s.store("w2.1", "d1", due_in=1.0, failures=1, rank=(4, 1))
    s.store("w2.1", "a5")
    s.commit("w2.1")
    s.tick(1.0)
    s.run("w2.1", "d1", attempt=2)
    s.erase("w2.1", "d1")
    s.run("w2.1", "a5")
    s.erase("w2.1", "a5")
    s.stop("w2.1", 0)


@good()
def a_delayed_call_runs_again_when_its_end_did_not_reach_the_log(s: Script) -> None:
    s.schedule("d1", due_in=1.0)
    s.assign("w1.1")
    s.tick(1.0)
    s.run("w1.1", "d1")
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    s.run("w2.1", "d1")
    s.erase("w2.1", "d1")
    s.stop("w2.1", 0)


@good()
def a_zombie_brings_a_call_back(s: Script) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    s.add(Frozen(s.tick(), "w1.1"))
    s.tick(LEASE + 4)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.add(Thawed(s.tick(), "w1.1"))
    # What it had sent arrives now, and the owner is gone before it has said no to it.
    s.store("w1.1", "a1", failures=1)
    s.lose("w1.1")
    s.kill("w2.1")
    s.tick(LEASE + 4)
    s.assign("w3.1", offset=0)
    s.run("w3.1", "a1", attempt=2)
    s.erase("w3.1", "a1")
    s.commit("w3.1")
    s.stop("w3.1", 0)


@good()
def a_place_is_lost_with_the_worker_that_gave_it(s: Script) -> None:
    s.schedule("d1", due_in=1.0, key=b"a")
    s.assign("w1.1")
    s.tick(1.0)
    s.take_place("w1.1", "d1")
    s.enqueue("a1", key=b"a")
    s.start("w1.1", "d1")
    s.kill("w1.1")
    s.tick(LEASE + 4)
    s.assign("w2.1")
    s.run("w2.1", "a1")
    s.take_place("w2.1", "d1")
    s.run("w2.1", "d1")
    s.erase("w2.1", "d1")
    s.stop("w2.1", 0)


@good()
def calls_are_cancelled(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.schedule("d1", due_in=1.0)
    s.schedule("d2", due_in=1.0)
    s.assign("w1.1")
    s.ask("d1")
    s.answer("w1.1", "cancelled")
    # One that waits for a retry, in the order of its key: the next one goes on.
    s.run("w1.1", "a1", "failed", retry_in=5.0)
    s.store("w1.1", "a1", due_in=5.0, failures=1)
    s.ask("a1", request="r2")
    s.answer("w1.1", "cancelled", request="r2")
    s.run("w1.1", "a2")
    # One that runs already, and fails: it is not tried again.
    s.tick(1.0)
    run = s.start("w1.1", "d2")
    s.ask("d2", request="r3")
    s.answer("w1.1", "started", request="r3")
    s.end(run, "failed")
    # And one of which there is nothing left.
    s.ask("d1", request="r4")
    s.answer("w1.1", "gone", request="r4")
    s.stop("w1.1", 0)


@good()
def calls_are_moved(s: Script) -> None:
    s.enqueue("a1", "a2", key=b"a")
    s.schedule("d1", due_in=1.0)
    s.assign("w1.1")
    s.ask("d1", due_in=3.0)
    s.store("w1.1", "d1", due_in=3.0)
    s.answer("w1.1", "moved")
    # One that holds its key lets it go, and runs earlier than its backoff said.
    s.run("w1.1", "a1", "failed", retry_in=5.0)
    s.store("w1.1", "a1", due_in=5.0, failures=1)
    s.ask("a1", due_in=1.0, request="r2")
    s.store("w1.1", "a1", due_in=1.0, failures=1, rank=(0, 0))
    s.answer("w1.1", "moved", request="r2")
    s.run("w1.1", "a2")
    s.tick(1.0)
    s.run("w1.1", "a1", attempt=2)
    s.erase("w1.1", "a1")
    s.commit("w1.1")
    s.tick(2.0)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@good()
def nobody_answers_a_wish_that_is_followed(s: Script) -> None:
    s.schedule("d1", due_in=2.0)
    s.schedule("d2", due_in=1.0)
    s.ask("d1", due_in=0.5)
    s.answer("", "unknown")
    s.ask("d2", request="r2")
    s.answer("", "unknown", request="r2")
    s.assign("w1.1")
    s.store("w1.1", "d1", due_in=0.4)
    s.tick(0.5)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@good(notice=1.0)
def a_call_is_replaced(s: Script) -> None:
    s.assign("w1.1")
    s.schedule("old", due_in=1.0)
    s.schedule("older", due_in=0.1)
    s.schedule("new", due_in=2.0, name="old")
    # This one has begun before its worker heard of it.
    s.tick(0.1)
    run = s.start("w1.1", "older")
    s.schedule("newer", due_in=0.2, name="older")
    s.end(run)
    s.tick(0.2)
    s.run("w1.1", "newer")
    s.erase("w1.1", "newer")
    s.commit("w1.1")
    s.tick(2.0)
    s.run("w1.1", "new")
    s.erase("w1.1", "new")
    s.stop("w1.1", 0)


@good()
def compaction_leaves_what_counts(s: Script) -> None:
    s.schedule("d1", due_in=0.1)
    s.schedule("d2", due_in=3.0)
    s.assign("w1.1")
    s.tick(0.1)
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.add(Compacted(s.tick(), place=(f"{TOPIC}.delayed", 0), offsets=(0,)))
    s.commit("w1.1")
    s.tick(3.0)
    s.run("w1.1", "d2")
    s.erase("w1.1", "d2")
    s.stop("w1.1", 0)


@good(usual=Rules(order="relaxed"))
def a_relaxed_delayed_call_has_no_place(s: Script) -> None:
    s.enqueue("a1", key=b"a")
    s.schedule("d1", due_in=0.5, key=b"a")
    s.assign("w1.1")
    s.tick(0.5)
    first = s.start("w1.1", "a1")
    s.run("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.end(first)
    s.stop("w1.1", 0)


@good()
def what_a_late_record_goes_on_from_is_replaced(s: Script) -> None:
    s.schedule("old", due_in=0.1)
    s.assign("w1.1")
    s.tick(0.1)
    run = s.start("w1.1", "old")
    s.schedule("new", due_in=1.0, name="old")
    s.end(run)
    # The end of the one does not end the other.
    s.erase("w1.1", "old")
    end = s.events[-1]
    assert isinstance(end, DelayedLogged)
    s.events[-1] = msgspec.structs.replace(end, of=0)
    s.tick(1.0)
    s.run("w1.1", "new")
    s.erase("w1.1", "new")
    s.stop("w1.1", 0)


@good()
def a_delayed_call_ends_on_the_dead_letter_queue(s: Script) -> None:
    s.schedule("d1", due_in=0.1, key=b"a", part=0)
    s.assign("w1.1")
    s.tick(0.1)
    s.take_place("w1.1", "d1")
    s.run("w1.1", "d1", "condemned")
    s.bury("w1.1", "d1")
    s.erase("w1.1", "d1")
    s.stop("w1.1", 0)


@good()
def a_group_that_has_forgotten_its_offsets_makes_the_store_forget_nothing(s: Script) -> None:
    s.enqueue("a1")
    s.assign("w1.1")
    s.run("w1.1", "a1", "failed", retry_in=1.0)
    s.store("w1.1", "a1", due_in=1.0, failures=1)
    s.commit("w1.1")
    s.stop("w1.1", 0)
    s.add(OffsetsReset(s.tick(), place=(TOPIC, 0), offset=0))
    s.tick(1.0)
    s.assign("w2.1", offset=0)
    s.run("w2.1", "a1", attempt=2)
    s.erase("w2.1", "a1")
    s.commit("w2.1")
    s.stop("w2.1", 0)
