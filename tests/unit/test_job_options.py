"""``.options(...)``: what one call may have otherwise than its job."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from kjobs import App
from kjobs.core.envelope import decode
from tests.unit.recorder import Recorder, recorded


@pytest.fixture
def pair() -> tuple[App, Recorder]:
    return recorded()


def declared(app: App, **options: Any) -> Any:
    @app.job(name="j", **options)
    def job(a: int = 0) -> None: ...

    return job


def test_options_win_over_the_job_and_leave_it_as_it_is(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    job = declared(app, queue="mail", key="a", expires="1h")
    handle = job.options(key="k", queue="bulk", id="mine", expires=60, headers={"a": "b"}, ack="none").delay(
        7
    )
    call, envelope = sent.last, sent.envelope
    assert (handle.id, handle.queue, handle.key) == ("mine", "bulk", "k")
    assert (call.key, call.headers, call.ack) == (b"k", [("a", b"b")], "none")
    assert envelope["id"] == "mine"
    assert envelope["expires"] - envelope["at"] == 60_000
    plain = job.delay(7)
    assert (plain.queue, plain.key, sent.last.headers, sent.last.ack) == ("mail", "7", None, "all")
    assert sent.envelope["expires"] - sent.envelope["at"] == 3_600_000


def test_options_can_be_used_many_times(pair: tuple[App, Recorder]) -> None:
    app, _ = pair
    bulk = declared(app).options(queue="bulk")
    one, two = bulk.delay(1), bulk.delay(2)
    assert (one.queue, two.queue) == ("bulk", "bulk")
    assert one.id != two.id


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "ms"), [("500ms", 500), (5, 5000), (0, 0), (timedelta(seconds=30), 30_000)]
)
def test_a_delay_counts_from_now(pair: tuple[App, Recorder], delay: Any, ms: int) -> None:
    app, sent = pair
    handle = declared(app).options(delay=delay).delay()
    envelope = sent.envelope
    assert envelope["due"] - envelope["at"] == ms
    assert handle.due is not None
    assert round(handle.due.timestamp() * 1000) == envelope["due"]
    assert handle.due.tzinfo is UTC


def test_a_time_is_an_instant_in_any_zone(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    at = datetime(2026, 11, 23, 11, 50, 27, 661_000, tzinfo=timezone(timedelta(hours=-5)))
    handle = declared(app).options(at=at).delay()
    assert sent.envelope["due"] == 1_795_452_627_661
    assert handle.due == at


@pytest.mark.parametrize(
    ("microseconds", "ms"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (999_999, 1000)]
)
def test_a_time_between_two_milliseconds_is_the_later_one(
    pair: tuple[App, Recorder], microseconds: int, ms: int
) -> None:
    app, sent = pair
    at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    handle = declared(app).options(at=at).delay()
    assert sent.envelope["due"] == 1_893_456_000_000 + ms
    assert handle.due is not None
    assert handle.due >= at, "never early"


@pytest.mark.parametrize(("delay", "ms"), [(0.0001, 1), (0.001, 1), (0.0011, 2), (1.2345, 1235), (2, 2000)])
def test_a_delay_is_rounded_up_to_milliseconds(pair: tuple[App, Recorder], delay: float, ms: int) -> None:
    app, sent = pair
    declared(app).options(delay=delay).delay()
    assert sent.envelope["due"] - sent.envelope["at"] == ms


def test_a_time_in_the_past_is_at_once(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    declared(app).options(at=datetime(2020, 1, 1, tzinfo=UTC)).delay()
    assert sent.envelope["due"] < sent.envelope["at"]


def test_the_expiry_of_a_delayed_call_counts_from_when_it_may_start(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    declared(app, expires=10).options(delay=20).delay()
    envelope = sent.envelope
    assert envelope["due"] - envelope["at"] == 20_000
    assert envelope["expires"] - envelope["at"] == 30_000


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("31s", 31),
        ("5m", 300),
        ("7d", 604_800),
        (timedelta(days=3650), 315_360_000),
        ("5200w", 3_144_960_000),
    ],
)
def test_a_delay_may_be_one_of_years(pair: tuple[App, Recorder], delay: Any, seconds: int) -> None:
    app, sent = pair
    handle = declared(app).options(delay=delay).delay()
    assert sent.envelope["due"] - sent.envelope["at"] == seconds * 1000
    assert handle.due is not None
    assert round(handle.due.timestamp()) == round((sent.envelope["at"] + seconds * 1000) / 1000)


@pytest.mark.parametrize("delay", ["366000w", timedelta(days=999_999_999), 10**200])
def test_a_delay_beyond_the_year_9999_is_refused(pair: tuple[App, Recorder], delay: Any) -> None:
    app, sent = pair
    with pytest.raises(ValueError, match="that is beyond the year 9999"):
        declared(app).options(delay=delay)
    assert sent.calls == []


def test_the_last_moment_there_is_can_be_read_again(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    handle = declared(app).options(at=datetime.max.replace(tzinfo=UTC), expires="9999w").delay()
    assert decode(sent.last.value).due == 253_402_300_799_999
    assert handle.due is not None
    assert handle.due.year == 9999


def test_only_a_call_with_a_time_is_delayed(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    job = declared(app)
    assert job.delay().due_ms is None
    assert job.options(key="k", expires="1h").delay().due_ms is None
    assert "due" not in sent.envelope
    assert job.options(delay=0).delay().due_ms == sent.envelope["due"], "it is in the store, due at once"


def test_a_call_knows_whether_later_ones_of_its_key_may_pass_it(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    declared(app, key="a", order="relaxed").options(delay="1h").delay(1)
    assert sent.last.relaxed

    @app.job(key="a")
    def strict(a: int) -> None: ...

    strict.options(delay="1h").delay(1)
    assert not sent.last.relaxed


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"delay": 1, "at": datetime.now(UTC)}, "give one of them, not both"),
        ({"at": datetime(2026, 1, 1)}, "expected an aware datetime, such as"),
        ({"delay": "soon"}, "'soon' is not a duration"),
        ({"delay": -1}, "zero or more"),
        ({"expires": "never"}, "'never' is not a duration"),
        ({"ack": "some"}, """ack='some'.*expected "all" or "none\""""),
        ({"ack": None}, "ack=None"),
        ({"id": ""}, "id=''.*a text of 1 to 200 characters"),
        ({"id": "x" * 201}, "a text of 1 to 200 characters"),
        ({"id": 7}, "id=7"),
        ({"queue": "a b"}, "queue 'a b'"),
        ({"queue": "mail.dead"}, "companion topics"),
        ({"queue": "q" * 240}, "Kafka allows 249"),
        ({"headers": {"kj-id": "x"}}, "'kj-id': a header's name is a text that does not begin with kj-"),
        ({"headers": {7: "x"}}, "7: a header's name is a text"),
    ],
)
def test_a_malformed_option_is_refused_at_once(
    pair: tuple[App, Recorder], options: dict[str, Any], sentence: str
) -> None:
    app, _ = pair
    with pytest.raises(ValueError, match=sentence):
        declared(app).options(**options)


def test_an_id_of_200_characters_is_no_trouble(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    assert declared(app).options(id="ü" * 200).delay().id == "ü" * 200
    assert sent.envelope["id"] == "ü" * 200


def test_headers_are_passed_through_in_their_order(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    declared(app).options(headers={"traceparent": "00-ab", "b": b"\xff", "a": "ü"}).delay()
    assert sent.last.headers == [("traceparent", b"00-ab"), ("b", b"\xff"), ("a", "ü".encode())]


def test_a_call_that_is_due_keeps_its_time_of_enqueueing(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    before = time.time_ns() // 1_000_000
    declared(app).options(delay="10s").delay()
    assert before <= sent.envelope["at"] <= time.time_ns() // 1_000_000
