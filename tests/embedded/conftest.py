"""Embedded brokers and clients of them; whatever a test opens is closed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from kjobs.kafka.embedded import EmbeddedBroker

#: Seconds that a test waits for what takes milliseconds.
PATIENCE = 10.0


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """A started broker."""
    with EmbeddedBroker() as started:
        yield started


@pytest.fixture
def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def consumer(broker: EmbeddedBroker) -> Iterator[Callable[..., Consumer]]:
    """Makes consumers of the broker, as a worker has them."""
    opened: list[Consumer] = []

    def make(group: str, protocol: str = "consumer", **more: Any) -> Consumer:
        options: dict[str, Any] = {
            "bootstrap.servers": broker.bootstrap,
            "group.id": group,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "allow.auto.create.topics": False,
        }
        if protocol == "classic":
            options |= {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 100,
            }
        opened.append(Consumer(options | more))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Producer:
    """A producer for the broker."""
    return quiet_producer(broker.bootstrap)


def quiet_producer(bootstrap: str, **more: Any) -> Producer:
    """A producer that sends at once, and says nothing when its broker ends."""
    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0, **more})


def send(producer: Producer, topic: str, value: bytes = b"x", partition: int = 0) -> int:
    """Produce one record and return its offset."""
    offsets: list[int] = []
    producer.produce(
        topic, value, partition=partition, on_delivery=lambda error, message: offsets.append(message.offset())
    )
    assert producer.flush(PATIENCE) == 0
    return offsets[0]


def until(client: Consumer, happened: Callable[[], object]) -> None:
    """Poll until something has happened."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        client.poll(0.01)
