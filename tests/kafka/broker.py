"""What a test does with a broker, and learns of it, without kjobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from kjobs.kafka.message import headers_of
from tests.patience import PATIENCE, until
from tests.proof.history import Headers, Place

#: Seconds for an answer, before it is asked again.
_ANSWER = 10.0

#: A batch cannot be read, and would be fetched for ever.
_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError._NOT_IMPLEMENTED})


class Found(NamedTuple):
    """A record of a topic."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Broker:
    """A broker as an operator sees it.

    Args:
        bootstrap: its address.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = self._client()
        #: Clients that were replaced: one that is collected never answers what it was asked.
        self._former: list[AdminClient] = []
        self._producer: Producer | None = None

    def _client(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    def _renew(self) -> None:
        """Go on with another client.

        One that looked for a group's coordinator while the broker was away may look for it for ever.
        """
        self._former.append(self._admin)
        self._admin = self._client()

    # --- topics and groups -------------------------------------------------------------------------

    def create(
        self, topics: Mapping[str, int], config: Mapping[str, str] | None = None, replicas: int = 1
    ) -> None:
        """Create topics of so many partitions, and wait until they can be used."""
        new = [
            NewTopic(name, num_partitions=count, replication_factor=replicas, config=dict(config or {}))
            for name, count in topics.items()
        ]
        _results(self._admin.create_topics(new))
        until(lambda: set(topics) <= self._topics().keys(), f"{', '.join(topics)} in the metadata")

    def delete(self, *topics: str) -> None:
        """Delete topics, and wait until they are gone."""
        _results(self._admin.delete_topics(list(topics)))
        until(lambda: not set(topics) & self._topics().keys(), f"{', '.join(topics)} gone from the metadata")

    def _topics(self) -> Mapping[str, Any]:
        known: Mapping[str, Any] = self._admin.list_topics(timeout=PATIENCE).topics
        return {name: topic for name, topic in known.items() if topic.error is None}

    def topics(self) -> list[str]:
        """The names of all topics."""
        return sorted(self._topics())

    def set_topics(self, topics: Iterable[str], config: Mapping[str, str]) -> None:
        """Set the configuration of topics, as far as it is given."""
        resources = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in config.items()
                ],
            )
            for topic in topics
        ]
        _results(self._admin.incremental_alter_configs(resources))

    def enlarge(self, topics: Iterable[str], partitions: int) -> None:
        """Give topics more partitions: so many in all."""
        _results(self._admin.create_partitions([NewPartitions(topic, partitions) for topic in topics]))

    def leader(self, place: Place) -> int:
        """The id of the broker that leads a partition."""
        return int(self._topics()[place[0]].partitions[place[1]].leader)

    def controller(self) -> int:
        """The id of the controller, as the brokers tell it."""
        return int(self._admin.describe_cluster().result(timeout=PATIENCE).controller.id)

    def coordinator(self, group: str) -> int:
        """The id of the broker that coordinates a group."""
        (answer,) = self._admin.describe_consumer_groups([group]).values()
        return int(answer.result(timeout=PATIENCE).coordinator.id)

    def delete_group(self, group: str) -> None:
        """Delete a group that has no members, with what it has committed."""
        _results(self._admin.delete_consumer_groups([group]))

    def topic_id(self, topic: str) -> str:
        """Kafka's id of a topic."""
        (answer,) = self._admin.describe_topics(TopicCollection([topic])).values()
        return str(answer.result().topic_id)

    def set_group(self, group: str, settings: Mapping[str, object]) -> None:
        """Set the broker's settings of a group."""
        entries = [
            ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ConfigResource.Type.GROUP, group, incremental_configs=entries)
        _results(self._admin.incremental_alter_configs([resource]))

    def group_settings(self, group: str) -> dict[str, str]:
        """The broker's settings of a group."""
        resource = ConfigResource(ConfigResource.Type.GROUP, group)
        (answer,) = self._admin.describe_configs([resource]).values()
        return {name: entry.value for name, entry in answer.result().items()}

    def members(self, group: str) -> int:
        """How many members a group has."""
        (answer,) = self._admin.describe_consumer_groups([group]).values()
        return len(answer.result().members)

    # --- offsets -----------------------------------------------------------------------------------

    def places(self, topic: str) -> list[Place]:
        """The partitions of a topic."""
        return [(topic, number) for number in sorted(self._topics()[topic].partitions)]

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """One past the last offset of partitions."""
        return self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that partitions still have."""
        return self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, int]:
        request = {TopicPartition(*place): which for place in places}

        def ask() -> dict[Place, int] | None:
            found = self._admin.list_offsets(request, request_timeout=_ANSWER)
            try:
                return {(part.topic, part.partition): int(f.result().offset) for part, f in found.items()}
            except KafkaException:  # new partitions, and a broker that has just started, need a moment
                return None

        return until(ask, "the ends of partitions")

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """What a group has committed; partitions without a commit are left out."""
        return {place: part.offset for place, part in self._commits(group, places).items()}

    def commit(self, group: str, place: Place, offset: int) -> None:
        """Commit an offset in the name of a group that has no members."""
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset)])
        _results(self._admin.alter_consumer_group_offsets([request]))

    def metadata(self, group: str, place: Place) -> tuple[int, str]:
        """What a group has committed of a partition, and the string with it; 0 if it has not yet."""
        part = self._commits(group, [place]).get(place)
        return (0, "") if part is None else (part.offset, part.metadata or "")

    def _commits(self, group: str, places: Sequence[Place]) -> dict[Place, TopicPartition]:
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])

        def ask() -> list[TopicPartition] | None:
            asked = self._admin.list_consumer_group_offsets([request], request_timeout=_ANSWER)
            (answer,) = asked.values()
            try:
                found: list[TopicPartition] = answer.result().topic_partitions
            except KafkaException:  # a broker that has just started needs a moment
                self._renew()
                return None
            return [part for part in found if part.offset >= 0] or [TopicPartition("")]

        parts = until(ask, f"the offsets of {group}")
        return {(part.topic, part.partition): part for part in parts if part.topic}

    def delete_records(self, place: Place, before: int) -> None:
        """Delete the records of a partition below an offset, as retention does."""
        _results(self._admin.delete_records([TopicPartition(*place, before)]))

    # --- records -----------------------------------------------------------------------------------

    def write(
        self,
        place: Place,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> int:
        """Write a record, whatever it is; returns its offset."""
        if self._producer is None:
            self._producer = Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 0})
        offsets: list[int] = []

        def delivered(error: KafkaError | None, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        self._producer.produce(place[0], value, key, place[1], on_delivery=delivered, headers=list(headers))
        assert self._producer.flush(PATIENCE) == 0
        return offsets[0]

    def read(self, topic: str) -> list[Found]:
        """Every committed record that a topic still has, partition by partition."""
        found = list(self.records(self.places(topic)))
        return sorted(found, key=lambda record: (record.place, record.offset))

    def records(self, places: Sequence[Place], seconds: float = PATIENCE) -> Iterator[Found]:
        """Every committed record that partitions still have, those of each by offset, as they are read.

        Args:
            places: the partitions.
            seconds: without any record, after which the reading fails.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "nobody",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
            }
        )
        starts = self.starts(places)
        consumer.assign([TopicPartition(*place, starts[place]) for place in places])
        left = set(places)
        deadline = time.monotonic() + seconds
        while left:
            assert time.monotonic() < deadline, f"{sorted(left)} could not be read to their ends"
            messages: list[Any] = consumer.consume(1000, 0.05)
            for message in messages:
                place = (message.topic(), message.partition())
                if message.error() is None:
                    yield found(message)
                elif message.error().code() in _UNREADABLE:
                    # Whoever wrote it knows of it; it is of one record.
                    consumer.seek(TopicPartition(*place, message.offset() + 1))
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    left.discard(place)
            if messages:
                deadline = time.monotonic() + seconds
        consumer.close()


def found(message: Any) -> Found:
    """A record as the client gives it."""
    return Found(
        (message.topic(), message.partition()),
        message.offset(),
        message.key(),
        message.value(),
        tuple(headers_of(message)),
        message.timestamp()[1],
    )


def _results(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        answer.result(timeout=PATIENCE)
