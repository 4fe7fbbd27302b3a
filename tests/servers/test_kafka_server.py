"""A broker of our own does what tests count on: it serves, keeps what it acknowledged, and ends with us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.servers import probe
from tests.servers.failure import StartError
from tests.servers.kafka import Kafka
from tests.servers.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

_DEADLINE = 30.0


def create_topic(bootstrap: str, topic: str, **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(_DEADLINE)


def send(bootstrap: str, topic: str, *values: str, key: str | None = None) -> None:
    """Return when the broker has acknowledged every value."""
    outcomes: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for value in values:
        producer.produce(topic, value, key, on_delivery=lambda error, _: outcomes.append(error))
    assert producer.flush(_DEADLINE) == 0
    assert outcomes == [None] * len(values)


def read(bootstrap: str, topic: str) -> list[str]:
    """Every value in the topic, from its first offset to its end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=_DEADLINE)
    consumer.assign([TopicPartition(topic, 0, first)])
    values: list[str] = []
    deadline = time.monotonic() + _DEADLINE
    while consumer.position([TopicPartition(topic, 0)])[0].offset < end and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            values.append((message.value() or b"").decode())
    consumer.close()
    return values


def becomes(condition: Callable[[], bool]) -> bool:
    """Whether something turns true before the deadline."""
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_shared_broker_gives_back_what_it_was_given(kafka: str, topic_prefix: str) -> None:
    create_topic(kafka, topic_prefix)
    send(kafka, topic_prefix, "one", "two")
    assert read(kafka, topic_prefix) == ["one", "two"]


def test_compaction_acts_within_seconds(kafka: str, topic_prefix: str) -> None:
    """Only the live segment is exempt, so after it rolled the older values of a key must go."""
    create_topic(
        kafka,
        topic_prefix,
        **{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "100"},
    )
    send(kafka, topic_prefix, *"abcde", key="k")

    def compacted() -> bool:
        send(kafka, topic_prefix, "last", key="k")
        return "a" not in read(kafka, topic_prefix)

    assert becomes(compacted)
    assert read(kafka, topic_prefix)[-1] == "last"


def test_a_killed_broker_comes_back_with_what_it_acknowledged(private_kafka: Kafka) -> None:
    before = private_kafka.bootstrap
    create_topic(before, "kept")
    send(before, "kept", "acknowledged")
    private_kafka.kill()
    assert not probe.answers(before)
    private_kafka.restart()
    assert private_kafka.bootstrap == before
    assert read(before, "kept") == ["acknowledged"]


def test_a_frozen_broker_answers_nothing_until_it_is_resumed(private_kafka: Kafka) -> None:
    private_kafka.pause()
    assert not probe.answers(private_kafka.bootstrap, timeout=0.5)
    private_kafka.resume()
    assert becomes(lambda: probe.answers(private_kafka.bootstrap))


def test_a_frozen_broker_can_be_stopped(private_kafka: Kafka) -> None:
    private_kafka.pause()
    private_kafka.stop()
    assert not probe.answers(private_kafka.bootstrap)
    assert "[BrokerServer id=1] shut down completed" in private_kafka.log.read_text()


@pytest.mark.kafka
def test_properties_can_be_overridden() -> None:
    with Kafka({"num.partitions": "3", "auto.create.topics.enable": "true"}) as broker:
        assert broker.directory.exists()
        send(broker.bootstrap, "made-by-sending", "x")
        topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=_DEADLINE).topics
        assert len(topics["made-by-sending"].partitions) == 3
    assert not broker.directory.exists()


@pytest.mark.kafka
def test_a_port_taken_at_the_last_moment_costs_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        answers = iter([[taken, *free_ports(1)], free_ports(2)])
        monkeypatch.setattr("tests.servers.kafka.free_ports", lambda _: next(answers))
        with Kafka() as broker:
            assert broker.bootstrap != f"127.0.0.1:{taken}"
            assert probe.answers(broker.bootstrap)


@pytest.mark.kafka
def test_a_broker_that_cannot_start_says_why() -> None:
    broker = Kafka({"log.segment.bytes": "1"})
    with pytest.raises(StartError, match=r"Invalid value 1 for configuration log\.segment\.bytes"):
        broker.start()
    broker.close()


@pytest.mark.kafka
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_foreground_broker_ends_with_its_process(signum: signal.Signals) -> None:
    """SIGKILL leaves no time to clean up; the broker must not outlive its owner all the same."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.servers.kafka"]
    with subprocess.Popen(command, cwd=root, env=os.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name, _, bootstrap = process.stdout.readline().decode().strip().partition("=")
        assert name == "KJOBS_TEST_KAFKA"
        assert probe.answers(bootstrap)
        process.send_signal(signum)
        assert process.wait(_DEADLINE) == (-signal.SIGKILL if signum == signal.SIGKILL else 0)
    assert becomes(lambda: not probe.answers(bootstrap))
