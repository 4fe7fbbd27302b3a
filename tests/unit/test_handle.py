"""What ``.delay()`` returns, and what can be asked of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import Handle, KjobsError
from kjobs.core.deferred import Verdict
from kjobs.handle import milliseconds, moment_ms, row_id

NOW_MS = 1_795_452_627_661


def test_a_handle_names_its_call() -> None:
    handle = Handle("i", "mail.send", "mail", UUID(int=7), NOW_MS)
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
    for ms in (0, 1, NOW_MS, 253_402_300_799_999):
        due = Handle("i", "j", "q", None, ms).due
        assert due is not None
        assert round(due.timestamp() * 1000) == ms
        assert due.tzinfo is UTC


# --- cancel and reschedule ----------------------------------------------------------------------------


class Home:
    """What a handle was enqueued by."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def new_id(self) -> tuple[str, int]:
        return "x", NOW_MS

    def cancel(self, handle: Handle) -> Verdict:
        self.asked.append(handle)
        return Verdict.CANCELLED

    def reschedule(self, handle: Handle, due_ms: int) -> Verdict:
        self.asked.append((handle, due_ms))
        return Verdict.MOVED


def placed(home: Any = None) -> Handle:
    return Handle("i", "mail.send", "mail", "k", NOW_MS, partition=3, offset=17, sender=home)


def test_a_wish_goes_to_whoever_enqueued_the_call() -> None:
    home = Home()
    handle = placed(home)
    assert handle.cancel() is Verdict.CANCELLED
    assert handle.reschedule(at=datetime(2030, 1, 1, tzinfo=UTC)) is Verdict.MOVED
    assert home.asked == [handle, (handle, 1_893_456_000_000)]


@pytest.mark.parametrize(
    ("delay", "ms"), [("5m", 300_000), (0, 0), (0.0001, 1), (timedelta(days=1), 86_400_000)]
)
def test_a_new_delay_counts_from_now(delay: Any, ms: int) -> None:
    home = Home()
    placed(home).reschedule(delay=delay)
    assert home.asked[0][1] == NOW_MS + ms


@pytest.mark.parametrize("options", [{}, {"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": "5m"}])
def test_a_new_time_is_given_in_one_way(options: dict[str, Any]) -> None:
    home = Home()
    with pytest.raises(ValueError, match="give one of them"):
        placed(home).reschedule(**options)
    assert home.asked == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"at": datetime(2030, 1, 1)}, "expected an aware datetime"),
        ({"delay": "soon"}, "'soon' is not a duration"),
        ({"delay": -1}, "zero or more"),
        ({"delay": "999999w"}, "beyond the year 9999"),
    ],
)
def test_a_malformed_time_is_refused(options: dict[str, Any], sentence: str) -> None:
    home = Home()
    with pytest.raises(ValueError, match=sentence):
        placed(home).reschedule(**options)
    assert home.asked == []


def test_a_time_is_given_by_name() -> None:
    with pytest.raises(TypeError):
        placed(Home()).reschedule("5m")  # type: ignore[misc]


@pytest.mark.parametrize("ask", [lambda handle: handle.cancel(), lambda handle: handle.reschedule(delay=5)])
@pytest.mark.parametrize("handle", [Handle("i", "j", "q", sender=Home()), placed()])  # type: ignore[arg-type]
def test_a_call_whose_place_is_not_known_cannot_be_asked_about(handle: Handle, ask: Any) -> None:
    with pytest.raises(KjobsError, match="call i is not known to be in Kafka: with ack='none'"):
        ask(handle)


def test_a_call_is_found_by_its_id_or_if_it_was_not_delayed_by_its_offset_too() -> None:
    assert row_id(placed()) == "i"
    assert row_id(Handle("i", "j", "q", None, None, 3, 17)) == "i@17"


def test_only_what_is_certain_is_true() -> None:
    assert {verdict for verdict in Verdict if verdict} == {Verdict.CANCELLED, Verdict.MOVED}
    assert not Verdict("started")
    assert not Verdict("gone")
    assert not Verdict("unknown")
    assert Verdict.STARTED == "started", "it is a text as well"


# --- times --------------------------------------------------------------------------------------------


@given(
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])),
)
def test_a_time_in_milliseconds_is_never_early_and_less_than_one_late(at: datetime) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    exact = (at - epoch) // timedelta(microseconds=1)
    ms = moment_ms(at)
    if exact <= 0:
        assert ms == 0
    elif at.astimezone(UTC).year < 9999:
        assert 0 <= ms * 1000 - exact < 1000


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an aware datetime"):
        moment_ms(datetime(2030, 1, 1))


@given(st.floats(0, 1e9))
def test_a_length_in_milliseconds_is_rounded_up(length: float) -> None:
    ms = milliseconds(length)
    assert ms - 1 <= length * 1000 <= ms
    assert isinstance(ms, int)
