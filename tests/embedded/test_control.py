"""What other processes ask of the embedded broker beside Kafka's protocol."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from kjobs.errors import EmbeddedBrokerError
from kjobs.kafka.embedded import EmbeddedBroker, create_topics
from kjobs.kafka.embedded.control import RACK, Control
from tests.embedded.conftest import PATIENCE, quiet_producer, send


@pytest.fixture
def control(broker: EmbeddedBroker) -> Iterator[Control]:
    """A connection for requests."""
    opened = Control(broker.bootstrap)
    yield opened
    opened.close()


def partitions(bootstrap: str) -> dict[str, int]:
    """All topics and how many partitions they have."""
    topics = quiet_producer(bootstrap).list_topics(timeout=PATIENCE).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


@pytest.mark.parametrize("fixed", [False, True], ids=["any port", "fixed port"])
def test_another_process_creates_topics_with_the_partitions_it_chooses(fixed: bool, free_port: int) -> None:
    with EmbeddedBroker(free_port if fixed else None) as broker:
        script = (
            "import sys; from kjobs.kafka.embedded import create_topics\n"
            "print(create_topics(sys.argv[1], {'a': 12, 'b': 1, 'c': 64}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, broker.bootstrap],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout == "['a', 'b', 'c']\n"
        assert partitions(broker.bootstrap) == {"a": 12, "b": 1, "c": 64}


def test_topics_that_exist_are_left_as_they_are(broker: EmbeddedBroker, producer: Producer) -> None:
    broker.create_topic("old", 2)
    send(producer, "old")
    assert create_topics(broker.bootstrap, {"old": 5, "new": 3}) == ["new"]
    assert partitions(broker.bootstrap) == {"old": 2, "new": 3}
    assert send(producer, "old") == 1


def test_of_many_that_create_a_topic_at_once_one_does(broker: EmbeddedBroker) -> None:
    created: list[str] = []
    threads = [
        threading.Thread(target=lambda: created.extend(create_topics(broker.bootstrap, {"t": 3})))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert created == ["t"]


def test_a_refusal_is_told_to_the_one_who_asked(broker: EmbeddedBroker) -> None:
    with pytest.raises(EmbeddedBrokerError, match="cannot be created with 0 partitions"):
        create_topics(broker.bootstrap, {"t": 0})


def test_a_request_of_another_version_is_refused(control: Control) -> None:
    with pytest.raises(EmbeddedBrokerError, match="knows no request 'dance'"):
        control.ask({"do": "dance"})
    with pytest.raises(EmbeddedBrokerError, match="could not do what it was asked"):
        control.ask({"topic": "t"})
    assert control.ask({"do": "create", "topic": "t", "partitions": 1}) == {"created": True}


@pytest.mark.parametrize("rubbish", [b"\n", b"[]\n", b"\xff\xfe\n", b"null\n", b'{"do":\n'])
def test_rubbish_is_answered_with_an_error(rubbish: bytes, broker: EmbeddedBroker) -> None:
    with _raw(broker) as connection:
        connection.sendall(rubbish)
        assert "error" in json.loads(connection.makefile("rb").readline())


def test_a_line_without_an_end_is_not_kept(broker: EmbeddedBroker) -> None:
    with _raw(broker) as connection:
        chunk = b"x" * 65_536
        with pytest.raises(OSError, match=r"(reset|[Bb]roken pipe)"):
            for _ in range(200):
                connection.sendall(chunk)
    assert create_topics(broker.bootstrap, {"t": 1}) == ["t"]


def test_many_threads_share_a_connection(control: Control, broker: EmbeddedBroker) -> None:
    def ask(number: int) -> None:
        for turn in range(10):
            topic = f"t-{number}-{turn}"
            assert control.ask({"do": "create", "topic": topic, "partitions": 1})["created"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(partitions(broker.bootstrap)) == 50


def test_a_broker_that_ends_is_told_to_those_connected() -> None:
    broker = EmbeddedBroker().start()
    control = Control(broker.bootstrap)
    broker.stop()
    with pytest.raises(EmbeddedBrokerError, match=r"does not answer.*Start it again"):
        control.ask({"do": "create", "topic": "t", "partitions": 1})
    control.close()


def test_nobody_at_the_address_is_told(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kjobs.kafka.embedded.control._PATIENCE", 0.3)
    with pytest.raises(EmbeddedBrokerError, match=f"127.0.0.1:{free_port} does not answer"):
        Control(f"127.0.0.1:{free_port}")


def test_a_mock_cluster_of_somebody_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kjobs.kafka.embedded.control._PATIENCE", 1.0)
    theirs = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (node,) = theirs.list_topics(timeout=PATIENCE).brokers.values()
    with pytest.raises(EmbeddedBrokerError, match=r"does not answer|kjobs did not start"):
        Control(f"{node.host}:{node.port}")


def test_a_real_kafka_is_told(kafka: str) -> None:
    with pytest.raises(EmbeddedBrokerError, match="is not an embedded one"):
        create_topics(kafka, {"t": 1})


def _raw(broker: EmbeddedBroker) -> socket.socket:
    """A connection to the port for requests that can say anything."""
    client = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    (node,) = client.describe_cluster(request_timeout=PATIENCE).result().nodes
    return socket.create_connection(("127.0.0.1", int(node.rack.removeprefix(RACK))), timeout=PATIENCE)
