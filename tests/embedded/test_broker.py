"""The embedded broker as clients see it: it starts, serves other processes, and ends without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from operator import le
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kjobs.errors import EmbeddedBrokerError
from kjobs.kafka.embedded import Api, EmbeddedBroker, is_embedded
from tests import patience
from tests.embedded.conftest import PATIENCE, quiet_producer, send, until

#: A process of its own: produces three records, reads them back, and prints what it read.
OTHER_PROCESS = """
import sys
from confluent_kafka import Consumer, Producer
bootstrap, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap})
for number in range(3):
    producer.produce(topic, b"value-%d" % number, b"key", headers=[("h", b"1"), ("h", None)])
assert producer.flush(10) == 0
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "other", "group.protocol": "consumer",
                     "auto.offset.reset": "earliest", "fetch.wait.max.ms": 10})
consumer.subscribe([topic])
seen = []
while len(seen) < 3:
    message = consumer.poll(1.0)
    if message is not None and message.error() is None:
        seen.append((message.value(), message.key(), message.headers()))
consumer.close()
print(seen)
"""


def resources() -> tuple[int, int]:
    """Open files and threads of this process, those of libraries included."""
    me = Path("/proc/self")
    return len(list((me / "fd").iterdir())), len(list((me / "task").iterdir()))


def topic_id(bootstrap: str, topic: str) -> str:
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    found = client.describe_topics(TopicCollection([topic]), request_timeout=PATIENCE)
    return str(found[topic].result().topic_id)


def partitions(bootstrap: str) -> dict[str, int]:
    """All topics and how many partitions they have."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topics = client.list_topics(timeout=PATIENCE).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


# --- starting and stopping -------------------------------------------------------------------------


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="counts files and threads where Linux shows them"
)
@pytest.mark.parametrize("fixed", [False, True], ids=["any port", "fixed port"])
def test_it_stops_without_leaving_threads_or_files_behind(fixed: bool, free_port: int) -> None:
    def run_once() -> None:
        with EmbeddedBroker(free_port if fixed else None) as broker:
            broker.create_topic("t", 2)
            assert send(quiet_producer(broker.bootstrap), "t") == 0

    run_once()  # what the first one loads for good
    before = resources()
    for _ in range(20):
        run_once()
    # The system may take a moment to bury a thread that has ended.
    patience.until(lambda: all(map(le, resources(), before)), f"as few files and threads as before: {before}")
    assert "kjobs-embedded" not in {thread.name for thread in threading.enumerate()}


def test_many_can_run_at_once() -> None:
    brokers = [EmbeddedBroker().start() for _ in range(3)]
    try:
        for number, broker in enumerate(brokers):
            broker.create_topic("t", number + 1)
        assert [partitions(broker.bootstrap) for broker in brokers] == [{"t": 1}, {"t": 2}, {"t": 3}]
    finally:
        for broker in brokers:
            broker.stop()


def test_it_can_be_started_again_and_is_empty_then() -> None:
    broker = EmbeddedBroker()
    with broker:
        broker.create_topic("t", 1)
    assert broker.bootstrap == ""
    with broker:
        assert partitions(broker.bootstrap) == {}


def test_starting_it_twice_is_refused(broker: EmbeddedBroker) -> None:
    with pytest.raises(EmbeddedBrokerError, match="started already"):
        broker.start()


def test_stopping_it_twice_does_nothing() -> None:
    broker = EmbeddedBroker().start()
    broker.stop()
    broker.stop()


def test_it_says_that_it_is_not_running() -> None:
    with pytest.raises(EmbeddedBrokerError, match="does not run in this process"):
        EmbeddedBroker().create_topic("t", 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the forking is what is tested
def test_a_process_forked_from_its_own_does_not_stop_it(broker: EmbeddedBroker) -> None:
    child = os.fork()
    if child == 0:
        broker.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    broker.create_topic("t", 1)
    assert partitions(broker.bootstrap) == {"t": 1}


def test_clients_can_tell_that_it_is_embedded(broker: EmbeddedBroker, producer: Producer) -> None:
    assert is_embedded(producer.list_topics(timeout=PATIENCE).cluster_id)


@pytest.mark.parametrize("cluster_id", [None, "", "4L6g3nShT-eMCtK--X86sw", "lkc-mockCluster"])
def test_no_other_cluster_is_taken_for_an_embedded_one(cluster_id: str | None) -> None:
    assert not is_embedded(cluster_id)


# --- serving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [False, True], ids=["any port", "fixed port"])
def test_another_process_produces_and_consumes(fixed: bool, free_port: int) -> None:
    with EmbeddedBroker(free_port if fixed else None) as broker:
        broker.create_topic("t", 3)
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, broker.bootstrap, "t"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    expected = [(b"value-%d" % number, b"key", [("h", b"1"), ("h", None)]) for number in range(3)]
    assert done.stdout.strip() == repr(expected)


def test_clients_are_told_the_fixed_port(free_port: int) -> None:
    with EmbeddedBroker(free_port) as broker:
        assert broker.bootstrap == f"127.0.0.1:{free_port}"
        brokers = quiet_producer(broker.bootstrap).list_topics(timeout=PATIENCE).brokers.values()
        assert [(node.host, node.port) for node in brokers] == [("127.0.0.1", free_port)]


def test_a_taken_port_is_refused_with_a_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            EmbeddedBrokerError, match=f"cannot listen on 127.0.0.1:{port}.*choose another port"
        ):
            EmbeddedBroker(port).start()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(EmbeddedBrokerError, match="ports are 1 to 65535"):
        EmbeddedBroker(port)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_consumer_joins_at_once(
    protocol: str, broker: EmbeddedBroker, consumer: Callable[..., Consumer]
) -> None:
    broker.create_topic("t", 12)
    client = consumer("g", protocol)
    begun = time.monotonic()
    client.subscribe(["t"])
    until(client, client.assignment)
    assert len(client.assignment()) == 12
    assert time.monotonic() - begun < 2.0  # a mock cluster left as it is takes more than 3 s


def test_a_second_consumer_gets_its_share_and_gives_it_back(
    broker: EmbeddedBroker, consumer: Callable[..., Consumer]
) -> None:
    broker.create_topic("t", 12)
    first, second = consumer("g"), consumer("g")
    first.subscribe(["t"])
    until(first, lambda: len(first.assignment()) == 12)
    second.subscribe(["t"])

    def shares() -> tuple[int, int]:
        second.poll(0.01)
        return len(first.assignment()), len(second.assignment())

    until(first, lambda: shares() == (6, 6))
    second.unsubscribe()
    until(first, lambda: shares() == (12, 0))


def test_commits_keep_their_metadata(broker: EmbeddedBroker, consumer: Callable[..., Consumer]) -> None:
    broker.create_topic("t", 2)
    stored: list[KafkaError | None] = []
    client = consumer("g", on_commit=lambda error, _: stored.append(error))
    client.subscribe(["t"])
    until(client, client.assignment)
    metadata = "ü" + "m" * 4000
    client.commit(offsets=[TopicPartition("t", 0, 7, metadata)], asynchronous=True)
    until(client, lambda: stored)
    assert stored == [None]
    found = client.committed([TopicPartition("t", 0), TopicPartition("t", 1)], timeout=PATIENCE)
    assert [(place.offset, place.metadata) for place in found] == [(7, metadata), (-1001, None)]


def test_a_consumer_is_told_that_it_read_everything(
    broker: EmbeddedBroker, producer: Producer, consumer: Callable[..., Consumer]
) -> None:
    broker.create_topic("t", 1)
    send(producer, "t")
    client = consumer("g")
    client.assign([TopicPartition("t", 0, 0)])
    first, second = client.poll(PATIENCE), client.poll(PATIENCE)
    assert first is not None
    assert (first.error(), first.offset()) == (None, 0)
    assert second is not None
    assert second.error().code() == KafkaError._PARTITION_EOF


# --- topics ----------------------------------------------------------------------------------------


def test_topics_have_the_partitions_asked_for(broker: EmbeddedBroker) -> None:
    assert broker.create_topic("twelve", 12)
    assert broker.create_topic("one", 1)
    assert partitions(broker.bootstrap) == {"twelve": 12, "one": 1}


def test_a_topic_that_exists_is_left_as_it_is(broker: EmbeddedBroker, producer: Producer) -> None:
    broker.create_topic("t", 2)
    send(producer, "t")
    assert not broker.create_topic("t", 3)
    assert partitions(broker.bootstrap) == {"t": 2}
    assert send(producer, "t") == 1


def test_asking_for_all_topics_creates_none(
    broker: EmbeddedBroker, consumer: Callable[..., Consumer]
) -> None:
    careful = quiet_producer(broker.bootstrap, **{"allow.auto.create.topics": False})
    assert careful.list_topics(timeout=PATIENCE).topics == {}
    assert careful.list_topics("t", timeout=PATIENCE).topics["t"].error is not None
    assert consumer("g").list_topics("t", timeout=PATIENCE).topics["t"].error is not None
    assert partitions(broker.bootstrap) == {}


def test_requests_that_it_does_not_know_are_refused_at_once(broker: EmbeddedBroker) -> None:
    client = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    begun = time.monotonic()
    with pytest.raises(KafkaException, match="not supported by broker"):
        client.create_topics([NewTopic("t", 1, 1)], request_timeout=PATIENCE)["t"].result()
    assert time.monotonic() - begun < PATIENCE / 2  # without a controller the client waits for one


@pytest.mark.parametrize("name", ["", "with space", "with/slash", "ü", "x" * 250])
def test_a_name_that_no_topic_can_have_is_refused(name: str, broker: EmbeddedBroker) -> None:
    with pytest.raises(EmbeddedBrokerError, match="a topic's name may have"):
        broker.create_topic(name, 1)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_a_number_of_partitions_that_would_crash_the_process_is_refused(
    count: int, broker: EmbeddedBroker
) -> None:
    with pytest.raises(EmbeddedBrokerError, match=f"cannot be created with {count} partitions"):
        broker.create_topic("t", count)


def test_a_topic_made_again_has_another_id_and_no_records(broker: EmbeddedBroker, producer: Producer) -> None:
    broker.create_topic("t", 1)
    send(producer, "t")
    before = topic_id(broker.bootstrap, "t")
    broker.delete_topic("t")
    assert partitions(broker.bootstrap) == {}
    broker.create_topic("t", 1)
    assert topic_id(broker.bootstrap, "t") not in {before, ""}


def test_deleting_what_does_not_exist_is_refused(broker: EmbeddedBroker) -> None:
    with pytest.raises(EmbeddedBrokerError, match=r"topic t cannot be deleted.*Unknown topic"):
        broker.delete_topic("t")


def test_records_below_an_offset_can_be_deleted(
    broker: EmbeddedBroker, producer: Producer, consumer: Callable[..., Consumer]
) -> None:
    broker.create_topic("t", 2)
    for _ in range(5):
        send(producer, "t", partition=1)
    broker.delete_records("t", 1, 3)
    place = TopicPartition("t", 1)
    assert consumer("g").get_watermark_offsets(place, timeout=PATIENCE, cached=False) == (3, 5)
    with pytest.raises(EmbeddedBrokerError, match=r"records of t \[1\] below 6 cannot be deleted"):
        broker.delete_records("t", 1, 6)
    with pytest.raises(EmbeddedBrokerError, match=r"records of t \[2\] below 1 cannot be deleted"):
        broker.delete_records("t", 2, 1)


# --- faults ----------------------------------------------------------------------------------------


def test_injected_errors_meet_the_requests_they_are_for(
    broker: EmbeddedBroker, producer: Producer, consumer: Callable[..., Consumer]
) -> None:
    broker.create_topic("t", 1)
    client = consumer("g")
    client.subscribe(["t"])
    until(client, client.assignment)
    broker.push_errors(Api.OFFSET_COMMIT, [KafkaError.ILLEGAL_GENERATION])
    with pytest.raises(KafkaException) as failure:
        client.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    assert failure.value.args[0].code() == KafkaError.ILLEGAL_GENERATION
    # Retried by the client until it gets through.
    broker.push_errors(Api.PRODUCE, [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT])
    assert send(producer, "t") == 0


def test_errors_still_to_come_can_be_taken_back(broker: EmbeddedBroker, producer: Producer) -> None:
    broker.create_topic("t", 1)
    send(producer, "t")
    broker.push_errors(Api.PRODUCE, [KafkaError.TOPIC_AUTHORIZATION_FAILED] * 1000)
    broker.clear_errors(Api.PRODUCE)
    assert send(producer, "t") == 1


@pytest.mark.parametrize("fixed", [False, True], ids=["any port", "fixed port"])
def test_a_broker_that_was_down_has_kept_everything(fixed: bool, free_port: int) -> None:
    with EmbeddedBroker(free_port if fixed else None) as broker:
        broker.create_topic("t", 1)
        producer = quiet_producer(broker.bootstrap, **{"reconnect.backoff.max.ms": 100})
        send(producer, "t")
        broker.set_broker_down()
        producer.produce("t", b"while it is down", partition=0)
        assert producer.flush(0.2) == 1
        broker.set_broker_up()
        assert producer.flush(PATIENCE) == 0
        assert send(producer, "t") == 2


def test_answers_can_be_delayed(broker: EmbeddedBroker, producer: Producer) -> None:
    broker.create_topic("t", 1)
    send(producer, "t")
    broker.set_round_trip(150)
    begun = time.monotonic()
    send(producer, "t")
    assert time.monotonic() - begun > 0.1
