"""``current()`` and the fence."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import Context, Fence, NoCurrentCall, current
from kjobs.context import enter
from kjobs.core.checkpoint import Checkpoint
from kjobs.core.envelope import decode
from kjobs.core.partition import Entry, Partition
from kjobs.core.ports import Headers
from tests.core.record import FakeRecord

FULL = b'{"id":"call-1","job":"mail.send","args":[7],"at":1795452627661}'


def context(
    value: bytes = FULL,
    *,
    key: bytes | None = b"7",
    headers: Headers = (),
    failures: int = 0,
    epoch: int = 4,
    offset: int = 17,
    deadline: float | None = None,
) -> Context:
    partition = Partition(("kjobs.mail", 3), 0, Checkpoint(0, epoch=epoch - 1), "")
    partition.open = True
    record = FakeRecord(offset, value, key, written_ms=1_700_000_000_000, noted=headers)
    entry = Entry(partition, offset, key, record, len(value), failures)
    return Context(entry, decode(value), "mail", deadline)


# --- outside a call -----------------------------------------------------------------------------------


def test_outside_a_call_there_is_none_and_it_says_why() -> None:
    seen: list[str] = []

    def look() -> None:
        try:
            current()
        except NoCurrentCall as error:
            seen.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert len(seen) == 1
    assert "only known while a worker runs a job" in seen[0]
    assert "A job that is called directly, like send_email(7)" in seen[0]


def test_a_call_is_known_in_its_own_thread_and_in_tasks_begun_there() -> None:
    mine = context()
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(current())

    async def outer() -> None:
        await asyncio.create_task(inner())

    def run() -> None:
        enter(mine)
        seen.append(current())
        asyncio.run(outer())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [mine, mine]
    with pytest.raises(NoCurrentCall):
        current()


# --- what a job can know ------------------------------------------------------------------------------


def test_all_that_a_job_can_know_of_its_call() -> None:
    known = context(headers=[("traceparent", b"00-ab")], failures=2, deadline=1_700_000_000.5)
    assert (known.id, known.job, known.queue, known.key) == ("call-1", "mail.send", "mail", "7")
    assert (known.attempt, known.partition, known.offset) == (3, 3, 17)
    assert known.enqueued_at == datetime.fromtimestamp(1_795_452_627.661, UTC)
    assert known.deadline == datetime.fromtimestamp(1_700_000_000.5, UTC)
    assert known.fence == Fence(4, 17)
    assert known.headers == {"traceparent": "00-ab"}
    assert not known.cancelled


def test_what_the_enqueuer_left_out_is_taken_from_the_record() -> None:
    known = context(b'{"job":"mail.send"}', key=None)
    assert known.id == "kjobs.mail-3-17"
    assert known.enqueued_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (known.key, known.headers, known.deadline) == (None, {}, None)


def test_odd_headers_and_keys_are_no_trouble() -> None:
    known = context(key=b"\xff", headers=[("a", b"1"), ("a", b"2"), ("b", None), ("c", b"\xff"), ("", b"x")])
    assert known.key == "\N{REPLACEMENT CHARACTER}"
    assert known.headers == {"a": "2", "b": "", "c": "\N{REPLACEMENT CHARACTER}", "": "x"}


@pytest.mark.parametrize("at", ["253402300799999", "99999999999999999", "9" * 400, "-1", "-" + "9" * 18])
def test_a_strange_time_of_enqueueing_never_fails_a_job(at: str) -> None:
    try:
        known = context(b'{"job":"j","at":' + at.encode() + b"}")
    except ValueError:
        return  # refused as no call, which is as good
    assert known.enqueued_at.tzinfo is UTC


def test_a_job_is_told_when_its_partition_is_taken_away() -> None:
    known = context()
    known.entry.partition.open = False
    assert known.cancelled


# --- the fence ----------------------------------------------------------------------------------------


@given(st.tuples(st.integers(1, 9), st.integers(0, 99)), st.tuples(st.integers(1, 9), st.integers(0, 99)))
def test_a_fence_grows_with_the_assignment_first_and_then_with_the_offset(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert (Fence(*one) < Fence(*other)) == (one < other)
    assert (Fence(*one) == Fence(*other)) == (one == other)


def test_a_later_start_of_a_key_has_a_higher_fence() -> None:
    first = context(epoch=4, offset=17).fence
    again_elsewhere = context(epoch=5, offset=17).fence
    next_call = context(epoch=5, offset=18).fence
    assert first < again_elsewhere < next_call
    assert max(next_call, first) == (5, 18)
