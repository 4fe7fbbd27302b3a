"""Delayed calls on their way to Kafka: topic, key, partition, headers, whatever way they are enqueued."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError

from kjobs import App, CallTooLarge, EnqueueError, args, events
from kjobs import sender as module
from kjobs.core.deferred import Kind, Row
from kjobs.core.partitioner import partition_of
from kjobs.deferred import wire
from kjobs.job import Job
from tests.unit.client import PARTITIONS, FakeClient, Produced, connected

LATER = datetime(2031, 5, 17, 8, 30, 0, 1, tzinfo=UTC)
LATER_MS = 1_936_773_000_001  # rounded up: nothing is early

Enqueue = Callable[[Any], Any]

#: Every way to enqueue a call with the argument 7.
WAYS: dict[str, Enqueue] = {
    "delay": lambda job: job.delay(7),
    "adelay": lambda job: asyncio.run(job.adelay(7)),
    "delay_many": lambda job: job.delay_many([(7,)])[0],
    "delay_many of args": lambda job: job.delay_many([args(user_id=7)])[0],
}


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[App, FakeClient]]:
    monkeypatch.setattr(events, "_subscribers", {})
    app, client = connected(monkeypatch)
    yield app, client
    app.close()


def declared(app: App, **options: Any) -> Job[..., None]:
    @app.job(name="mail.send", queue="mail", **{"key": "user_id", **options})
    def send(user_id: int, template: str = "x") -> None: ...

    return send


def row_of(record: Produced) -> Row:
    """What a worker makes of it."""
    found = wire.change(record.key, record.value, record.raw, record.offset)
    assert isinstance(found, Row)
    return found


# --- where it goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_delayed_call_goes_to_the_log_of_the_store_by_its_id(
    pair: tuple[App, FakeClient], way: str
) -> None:
    app, client = pair
    handle = WAYS[way](declared(app).options(at=LATER))
    (record,) = client.sent
    assert record.topic == "kjobs.mail.delayed"
    assert record.key == handle.id.encode()
    assert record.partition == partition_of(b"7", PARTITIONS), "that of its ordering key"
    assert (handle.partition, handle.offset) == (record.partition, record.offset)
    assert handle.due_ms == LATER_MS
    envelope = msgspec.json.decode(record.value or b"")
    assert (envelope["id"], envelope["due"], envelope["job"]) == (handle.id, LATER_MS, "mail.send")


@pytest.mark.parametrize("way", WAYS)
def test_without_a_time_it_goes_to_the_queue(pair: tuple[App, FakeClient], way: str) -> None:
    app, client = pair
    handle = WAYS[way](declared(app).options(expires="1h"))
    (record,) = client.sent
    assert (record.topic, record.key, record.raw) == ("kjobs.mail", b"7", None)
    assert (record.asked, record.partition) == (-1, partition_of(b"7", PARTITIONS))
    assert handle.due is None


def test_without_waiting_for_an_acknowledgement_it_goes_there_too(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    handle = declared(app).options(at=LATER, ack="none").delay(7)
    asyncio.run(declared(app).options(at=LATER, ack="none").adelay(7))
    assert [record.topic for record in client.sent] == ["kjobs.mail.delayed"] * 2
    assert client.sent[0].partition == partition_of(b"7", PARTITIONS)
    assert (handle.partition, handle.offset) == (client.sent[0].partition, 0)


def test_a_batch_sends_each_call_where_it_belongs(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    send = declared(app)
    with app.batch():
        handles = [
            send.delay(1),
            send.options(at=LATER).delay(2),
            send.options(queue="bulk").delay(3),
            send.options(at=LATER, queue="bulk").delay(4),
        ]
    found = {
        handle.id: record for handle in handles for record in client.sent if handle.id in str(record.value)
    }
    assert [found[handle.id].topic for handle in handles] == [
        "kjobs.mail",
        "kjobs.mail.delayed",
        "kjobs.bulk",
        "kjobs.bulk.delayed",
    ]
    assert [handle.partition for handle in handles] == [
        partition_of(b"%d" % n, PARTITIONS) for n in (1, 2, 3, 4)
    ]


def test_many_delayed_calls_each_have_their_own_key_and_place(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    handles = declared(app).options(delay="1d").delay_many([(n,) for n in range(20)])
    assert [record.key for record in client.sent] == [handle.id.encode() for handle in handles]
    assert len({record.key for record in client.sent}) == 20
    assert [record.partition for record in client.sent] == [
        partition_of(b"%d" % n, PARTITIONS) for n in range(20)
    ]


def test_without_an_ordering_key_its_id_decides_the_partition(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    handle = declared(app, key=None).options(delay="1d", id="r-7").delay(7)
    (record,) = client.sent
    assert (record.asked, record.partition) == (-1, partition_of(b"r-7", PARTITIONS))
    assert handle.partition == record.partition, "so that the same id finds the same record"


# --- what is in it ------------------------------------------------------------------------------------


def test_its_headers_say_when_and_in_which_order(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    declared(app).options(at=LATER, headers={"traceparent": "00-1"}).delay(7)
    (record,) = client.sent
    assert record.raw == [
        ("traceparent", b"00-1"),
        ("kj-due", b"%d" % LATER_MS),
        ("kj-key", b"7"),
    ]
    row = row_of(record)
    assert (row.due_ms, row.key, row.kind, row.since_ms) == (LATER_MS, b"7", Kind.DATED, LATER_MS)
    assert row.headers == [("traceparent", b"00-1")]


def test_a_relaxed_one_says_so(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    declared(app, order="relaxed").options(at=LATER).delay(7)
    assert client.sent[0].headers["kj-relaxed"] == b"1"
    assert row_of(client.sent[0]).kind is Kind.FREE


def test_one_without_a_key_has_none(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    declared(app, key=None, order="relaxed").options(at=LATER).delay(7)
    assert client.sent[0].raw == [("kj-due", b"%d" % LATER_MS)]
    assert row_of(client.sent[0]).kind is Kind.FREE


def test_an_id_may_be_any_text(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    declared(app).options(at=LATER, id="Ü/7 – ☂").delay(7)
    assert client.sent[0].key == "Ü/7 – ☂".encode()
    assert row_of(client.sent[0]).id == "Ü/7 – ☂"


# --- what can go wrong --------------------------------------------------------------------------------


def test_a_delayed_call_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    app, client = connected(monkeypatch, max_size=250)
    for enqueue in WAYS.values():
        with pytest.raises(EnqueueError):
            enqueue(declared(app).options(delay="1d", headers={"a": "b"}, id="x" * 200))
    with pytest.raises(CallTooLarge, match="max_size allows 250"):
        declared(app).options(delay="1d", ack="none", id="x" * 200).delay(7)
    assert client.sent == []
    app.close()


def test_a_delayed_call_that_kafka_refuses_raises(pair: tuple[App, FakeClient]) -> None:
    app, client = pair
    client.error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(EnqueueError, match=r"kjobs\.mail\.delayed"):
        declared(app).options(delay="1d").delay(7)
    heard: list[events.EnqueueFailed] = []
    events.subscribe(heard.append, events.EnqueueFailed)
    handle = declared(app).options(delay="1d", ack="none").delay(7)
    assert [(event.id, event.queue) for event in heard] == [(handle.id, "mail")]
    assert handle.partition is None


# --- clocks -------------------------------------------------------------------------------------------


class Apart:
    """An app whose broker's clock is so far ahead of this machine's."""

    def __init__(self, app: App, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.client = app, client
        self.job = declared(app)
        self.heard: list[float] = []
        self.now, self.counted = 1_800_000_000.0, 100.0
        events.subscribe(lambda event: self.heard.append(event.seconds), events.ClocksApart)
        monkeypatch.setattr(module.time, "time", lambda: self.now)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.counted)

    def enqueue(self, ahead: float | None, way: Enqueue = WAYS["delay"], **options: Any) -> None:
        """Enqueue a call while the broker's clock is ahead by so much."""
        self.client.stamp_ms = None if ahead is None else int((self.now + ahead) * 1000)
        way(self.job.options(**(options or {"at": LATER})))


@pytest.fixture
def apart(pair: tuple[App, FakeClient], monkeypatch: pytest.MonkeyPatch) -> Apart:
    return Apart(*pair, monkeypatch)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (-60.0, "this machine's clock is 60 s ahead of the broker's"),
        (60.0, "this machine's clock is 60 s behind the broker's"),
    ],
)
def test_a_clock_that_is_off_by_more_than_five_seconds_is_warned_about(
    apart: Apart, caplog: pytest.LogCaptureFixture, ahead: float, words: str
) -> None:
    caplog.set_level(logging.INFO, "kjobs")
    apart.enqueue(ahead)
    assert apart.heard == [-ahead]
    (line,) = caplog.records
    assert (line.levelname, line.__dict__["event"]) == ("WARNING", "clock.apart")
    assert line.getMessage().startswith(words)
    assert line.getMessage().endswith(f"that much too {'early' if ahead > 0 else 'late'}.")


@pytest.mark.parametrize("ahead", [0.0, 4.9, -4.9])
def test_a_clock_that_is_near_is_not_warned_about(apart: Apart, ahead: float) -> None:
    apart.enqueue(ahead)
    assert apart.heard == []


@pytest.mark.parametrize("way", WAYS)
def test_clocks_are_compared_however_a_delayed_call_is_enqueued(apart: Apart, way: str) -> None:
    apart.enqueue(60.0, WAYS[way])
    assert apart.heard == [-60.0]


def test_a_warning_comes_once_a_minute(apart: Apart) -> None:
    apart.enqueue(60.0)
    apart.counted += 59.0
    apart.enqueue(60.0)
    assert apart.heard == [-60.0]
    apart.counted += 1.5
    apart.enqueue(-30.0)
    assert apart.heard == [-60.0, 30.0]


def test_a_topic_that_does_not_tell_its_own_time_is_not_compared_with(apart: Apart) -> None:
    apart.enqueue(None)
    assert apart.heard == []


def test_a_broker_whose_time_is_none_is_not_compared_with(apart: Apart) -> None:
    apart.enqueue(60.0 - apart.now)  # what the embedded broker says
    assert apart.heard == []


def test_calls_without_a_delay_compare_nothing(apart: Apart) -> None:
    apart.enqueue(60.0, key="7")
    assert apart.heard == []
