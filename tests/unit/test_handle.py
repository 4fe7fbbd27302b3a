"""What ``.delay()`` returns."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from kjobs import Handle


def test_a_handle_names_its_call() -> None:
    handle = Handle("i", "mail.send", "mail", UUID(int=7), 1_795_452_627_661)
    assert (handle.id, handle.job, handle.queue) == ("i", "mail.send", "mail")
    assert handle.key == str(UUID(int=7))
    assert handle.due == datetime(2026, 11, 23, 16, 50, 27, 661_000, tzinfo=UTC)


def test_a_handle_knows_no_place_until_there_is_one() -> None:
    handle = Handle("i", "mail.send", "mail", None, None)
    assert (handle.key, handle.due, handle.partition, handle.offset) == (None, None, None, None)
    assert repr(handle) == "<Handle mail.send i>"
    handle.partition, handle.offset = 3, 17
    assert repr(handle) == "<Handle mail.send i at mail[3]@17>"


def test_a_due_time_is_exact_to_the_millisecond() -> None:
    for ms in (0, 1, 1_795_452_627_661, 253_402_300_799_999):
        due = Handle("i", "j", "q", None, ms).due
        assert due is not None
        assert round(due.timestamp() * 1000) == ms
        assert due.tzinfo is UTC
