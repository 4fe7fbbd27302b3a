"""A record is sent twice because its first acknowledgement was lost: it is there, and nobody says where."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from kjobs import App, Job
from kjobs.kafka.embedded import Api, EmbeddedBroker


@pytest.fixture
def send(broker: EmbeddedBroker) -> Iterator[Job[..., None]]:
    """A job whose next calls the broker says to have already."""
    app = App(bootstrap_servers=broker.bootstrap, partitions=1)

    @app.job(queue="mail")
    def send(number: int) -> None: ...

    send.delay(0)
    send.options(delay="1h").delay(0)
    broker.push_errors(Api.PRODUCE, [KafkaError.DUPLICATE_SEQUENCE_NUMBER])
    yield send
    app.close()


@pytest.mark.parametrize("delay", [None, "1h"])
def test_a_call_is_enqueued(send: Job[..., None], delay: str | None) -> None:
    handle = send.options(delay=delay).delay(1)
    assert (handle.partition, handle.offset) == (0, None)
    assert send.options(delay=delay).delay(2).offset is not None


@pytest.mark.parametrize("delay", [None, "1h"])
def test_calls_that_are_sent_together_are_enqueued(send: Job[..., None], delay: str | None) -> None:
    first, *_ = send.options(delay=delay).delay_many([(1,), (2,)])
    assert (first.partition, first.offset) == (0, None)
