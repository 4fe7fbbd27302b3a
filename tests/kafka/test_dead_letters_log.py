"""The reading of a log from outside a group."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kjobs.errors import BrokerError
from kjobs.kafka import log as log_module
from kjobs.kafka.log import Log, Span
from kjobs.kafka.transaction import Transactions, Write
from tests.kafka.graveyard import PATIENCE, Graveyard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def graveyard(kafka: str, topic_prefix: str, tmp_path: Path) -> Graveyard:
    """A queue."""
    return Graveyard(kafka, topic_prefix, tmp_path)


@pytest.fixture
def log(graveyard: Graveyard) -> Iterator[Log]:
    """The log of the queue's topic."""
    with Log(graveyard.bootstrap, {}, graveyard.queue_topic) as log:
        yield log


def values(log: Log, spans: dict[int, Span]) -> list[bytes | None]:
    """What is read of some spans, partition by partition."""
    records = sorted(log.read(spans), key=lambda record: (record.partition(), record.offset()))
    return [record.value() for record in records]


def test_the_reading_ends_where_the_log_ended(graveyard: Graveyard, log: Log) -> None:
    for n in range(6):
        graveyard.enqueue(b"%d" % n, partition=n % 2)
    spans = log.spans(range(3))
    assert spans == {0: Span(0, 3), 1: Span(0, 3), 2: Span(0, 0)}
    graveyard.enqueue(b"later", partition=0)
    assert values(log, spans) == [b"0", b"2", b"4", b"1", b"3", b"5"]
    assert values(log, {0: Span(1, 2), 1: Span(2, 3)}) == [b"2", b"5"]
    assert values(log, {2: Span(0, 0)}) == []


def test_a_reading_that_is_broken_off_leaves_the_next_alone(graveyard: Graveyard, log: Log) -> None:
    for n in range(6):
        graveyard.enqueue(b"%d" % n, partition=n % 2)
    spans = log.spans(range(2))
    reading = log.read(spans)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert values(log, {1: spans[1]}) == [b"1", b"3", b"5"]


def test_who_reads_slowly_misses_nothing(
    graveyard: Graveyard, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_PATIENCE", 0.0)
    graveyard.enqueue(b"a")
    graveyard.enqueue(b"b")
    assert values(log, log.spans([0])) == [b"a", b"b"]


def test_only_what_is_committed_is_read(graveyard: Graveyard, log: Log) -> None:
    def write(value: bytes) -> Write:
        return Write(graveyard.queue_topic, 0, None, value, [], "it")

    def transact(*values: bytes) -> None:
        transactions = Transactions(graveyard.bootstrap, {}, graveyard.prefix)
        transactions.open()
        transactions.write([write(value) for value in values])
        transactions.finish()

    transact(b"committed", b"too")
    assert log.spans([0]) == {0: Span(0, 3)}
    assert values(log, log.spans([0])) == [b"committed", b"too"]
    with pytest.raises(BrokerError, match="it was not written to"):
        transact(b"aborted", random.randbytes(400_000))
    transact(b"again")
    assert values(log, log.spans([0])) == [b"committed", b"too", b"again"]
    graveyard.enqueue(b"last")
    # Of another process, which has begun and not ended.
    other = Producer({"bootstrap.servers": graveyard.bootstrap, "transactional.id": f"{graveyard.prefix}-2"})
    other.init_transactions(PATIENCE)
    other.begin_transaction()
    other.produce(graveyard.queue_topic, b"open", partition=0)
    other.flush(PATIENCE)
    graveyard.enqueue(b"behind it")
    assert values(log, log.spans([0])) == [b"committed", b"too", b"again", b"last"]
    other.abort_transaction(PATIENCE)
    assert values(log, log.spans([0])) == [b"committed", b"too", b"again", b"last", b"behind it"]


def test_what_retention_removes_meanwhile_is_left_out(graveyard: Graveyard, log: Log) -> None:
    for n in range(6):
        graveyard.enqueue(b"%d" % n, partition=n % 2)
    spans = log.spans(range(2))
    client = AdminClient({"bootstrap.servers": graveyard.bootstrap})
    removed = [TopicPartition(graveyard.queue_topic, 0, 2), TopicPartition(graveyard.queue_topic, 1, 3)]
    for future in client.delete_records(removed).values():
        future.result()
    assert values(log, spans) == [b"4"]


def test_a_broker_that_says_nothing_is_an_error(
    graveyard: Graveyard, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the partition ended later than it does."""
    monkeypatch.setattr(log_module, "_PATIENCE", 1.0)
    graveyard.enqueue(b"a")
    reading: Any = log.read({0: Span(0, 2)})
    assert next(reading).value() == b"a"
    with pytest.raises(BrokerError, match=r"broke off: nothing came from Kafka at \S+ for 1 s"):
        next(reading)
