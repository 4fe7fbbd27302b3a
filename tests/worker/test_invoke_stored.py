"""Attempts at calls that come from the deferred store: their times, what their job can know of them."""

from __future__ import annotations

from typing import Any

import pytest

from kjobs import Context, current
from kjobs.core.deferred import QUEUED
from kjobs.core.outcome import OK, Early, Expired
from tests.worker.invoking import NOW, Bench, call_of, entry_of, stored_entry

NOW_MS = int(NOW * 1000)
HOUR = 3_600_000


@pytest.fixture
def bench() -> Bench:
    made = Bench()

    @made.app.job(name="j")
    def job() -> None: ...

    return made


# --- due ----------------------------------------------------------------------------------------------


def test_the_store_says_when_a_delayed_call_is_due_and_not_the_call(bench: Bench) -> None:
    # It was moved to an earlier time; the call itself is never rewritten.
    assert bench.take(stored_entry(call_of("j", due=NOW_MS + HOUR))) is OK


@pytest.mark.parametrize("rank", [None, (40, 7)])
def test_a_delayed_call_in_its_place_is_not_early(bench: Bench, rank: Any) -> None:
    assert bench.take(stored_entry(call_of("j", due=NOW_MS + HOUR), rank=rank, key=b"k")) is OK


def test_a_call_of_the_queue_with_a_time_of_its_own_is_not_early_because_it_was_parked(bench: Bench) -> None:
    parked = stored_entry(call_of("j", due=NOW_MS + HOUR), rank=(40, QUEUED), key=b"k")
    found = bench.take(parked)
    assert isinstance(found, Early)
    assert found.due == NOW + 3600


def test_a_call_of_the_queue_that_waited_in_the_store_for_its_time_starts_then(bench: Bench) -> None:
    assert bench.take(stored_entry(call_of("j", due=NOW_MS), rank=(40, QUEUED), key=b"k")) is OK


# --- expires ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "moved_to", "outcome"),
    [
        (NOW_MS, None, OK),
        (NOW_MS - 1, None, Expired),
        (NOW_MS - HOUR, NOW_MS + 1, OK),
        (NOW_MS + HOUR, NOW_MS - 1, Expired),
        (None, NOW_MS - 1, Expired),
        (NOW_MS - HOUR, NOW_MS, OK),
    ],
)
def test_a_call_that_was_moved_expires_when_the_store_says_so(
    bench: Bench, expires: int | None, moved_to: int | None, outcome: Any
) -> None:
    fields = {} if expires is None else {"expires": expires}
    found = bench.take(stored_entry(call_of("j", **fields), expires_ms=moved_to))
    assert found is outcome or type(found) is outcome


def test_the_time_of_expiry_that_is_told_is_the_one_that_counts(bench: Bench) -> None:
    found = bench.take(stored_entry(call_of("j", expires=NOW_MS + HOUR), expires_ms=NOW_MS - 5000))
    assert found == Expired((NOW_MS - 5000) / 1000)


@pytest.mark.parametrize("expires_ms", [None, NOW_MS - HOUR])
def test_what_has_been_tried_has_started_in_time(bench: Bench, expires_ms: int | None) -> None:
    entry = stored_entry(call_of("j", expires=NOW_MS - HOUR), failures=1, expires_ms=expires_ms)
    assert bench.take(entry) is OK


def test_a_replayed_call_that_was_parked_does_not_expire(bench: Bench) -> None:
    replayed = [("kj-replay-of", b"kjobs.mail.dead[3]@7")]
    assert bench.take(stored_entry(call_of("j", expires=1), headers=replayed, rank=(4, QUEUED))) is OK


# --- what a job can know ------------------------------------------------------------------------------


def context_of(entry: Any) -> Context:
    bench, seen = Bench(), list[Context]()

    @bench.app.job(name="j")
    def job() -> None:
        seen.append(current())

    assert bench.take(entry) is OK
    return seen[0]


def test_a_job_knows_its_call_as_if_it_came_from_the_queue() -> None:
    call = context_of(
        stored_entry(
            call_of("j", at=NOW_MS - HOUR),
            rank=(40, QUEUED),
            failures=2,
            key=b"k",
            headers=[("traceparent", b"00-1")],
            since_ms=NOW_MS,
        )
    )
    assert (call.id, call.job, call.queue, call.key) == ("call-1", "j", "mail", "k")
    assert (call.attempt, call.partition, call.offset) == (3, 3, 40)
    assert call.headers == {"traceparent": "00-1"}
    assert call.enqueued_at.timestamp() == NOW - 3600


def test_the_offset_of_a_delayed_call_is_that_of_its_record() -> None:
    assert context_of(stored_entry(call_of("j"), rank=(40, 7), key=b"k")).offset == 900


def test_without_a_time_of_its_own_a_call_was_enqueued_when_its_deadline_begins() -> None:
    assert context_of(stored_entry(call_of("j"), since_ms=NOW_MS - 7000)).enqueued_at.timestamp() == NOW - 7


def test_fences_never_fall_in_the_order_of_a_key() -> None:
    parked = context_of(stored_entry(call_of("j"), rank=(40, QUEUED), key=b"k")).fence
    dated = context_of(stored_entry(call_of("j"), rank=(41, 1), key=b"k")).fence
    other = context_of(stored_entry(call_of("j"), rank=(41, 2), key=b"k")).fence
    queued = context_of(entry_of(call_of("j"), key=b"k", offset=41)).fence
    later = context_of(entry_of(call_of("j"), key=b"k", offset=42)).fence
    assert parked < dated <= other <= queued < later, "and not by the offset of a record in the store"


def test_a_retry_from_the_store_has_the_fence_of_its_place() -> None:
    before = context_of(entry_of(call_of("j"), key=b"k", offset=41)).fence
    after = context_of(stored_entry(call_of("j"), rank=(41, QUEUED), key=b"k", failures=1)).fence
    assert after == before


def test_a_job_can_see_that_its_call_was_cancelled() -> None:
    entry = stored_entry(call_of("j"), key=b"k", rank=(4, 1))
    call = context_of(entry)
    assert not call.cancelled
    entry.cancelled = True
    assert call.cancelled
