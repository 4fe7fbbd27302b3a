"""Topics and offsets, asked of a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from ..core.events import Place
from ..core.topics import Topic
from ..errors import BrokerError
from .client import admin_options, opened, reason

#: Seconds for one request.
_TIMEOUT = 15.0
#: Seconds for one of several attempts. A request that finds a partition without leader waits for all of
#: its time, also when there is a leader again after a moment.
_ATTEMPT = 3.0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is."""

    name: str
    partitions: int
    id: str


class Admin:
    """Questions and orders to a cluster.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        # Kept for as long as this object: the futures of a client that is gone never resolve.
        self._client = opened(AdminClient, admin_options(bootstrap, extra))

    def partitions(self, timeout: float = _TIMEOUT) -> dict[str, int]:
        """How many partitions each topic of the cluster has.

        Raises:
            BrokerError: the cluster cannot be reached.
        """
        return {
            name: len(topic.partitions)
            for name, topic in self._metadata(timeout).topics.items()
            if topic.error is None
        }

    def cluster_id(self, timeout: float = _TIMEOUT) -> str:
        """The cluster's id.

        Raises:
            BrokerError: the cluster cannot be reached.
        """
        return str(self._metadata(timeout).cluster_id)

    def _metadata(self, timeout: float) -> Any:
        try:
            return self._client.list_topics(timeout=timeout)
        except KafkaException as error:
            raise BrokerError(f"Kafka at {self._bootstrap} cannot be reached: {reason(error)}") from None

    # --- topics ------------------------------------------------------------------------------------

    def topic_ids(self, topics: Sequence[str]) -> Mapping[str, Future[Any]]:
        """Ask for the topics' ids without waiting; the results go to :func:`topic_id`."""
        found: Mapping[str, Future[Any]] = self._client.describe_topics(
            TopicCollection(list(topics)), request_timeout=_TIMEOUT
        )
        return found

    def create(self, topics: Iterable[Topic], replication: int | None) -> None:
        """Create topics; those that exist are left as they are.

        Raises:
            BrokerError: one could not be created.
        """
        wanted = {
            topic.name: NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=-1 if replication is None else replication,
                config=dict(topic.config),
            )
            for topic in topics
        }
        if not wanted:
            return
        requests = self._client.create_topics(list(wanted.values()), request_timeout=_TIMEOUT)
        for name, future in requests.items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(f"topic {name} could not be created: {reason(error)}") from None
        self._await(list(wanted))

    def _await(self, topics: Sequence[str]) -> None:
        """Wait until the cluster's metadata knows new topics: it may take a moment."""
        until = time.monotonic() + _TIMEOUT
        while not set(topics) <= self.partitions().keys():
            if time.monotonic() > until:
                raise BrokerError(
                    f"topics {', '.join(topics)} were created but do not appear in the metadata"
                )
            time.sleep(0.02)

    def config(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings of topics, by topic.

        Raises:
            BrokerError: they cannot be read.
        """
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        found: dict[str, dict[str, str]] = {}
        for resource, future in self._client.describe_configs(resources).items():
            try:
                entries = future.result()
            except KafkaException as error:
                raise BrokerError(
                    f"the settings of {resource.name} cannot be read: {reason(error)}"
                ) from None
            found[resource.name] = {name: entry.value for name, entry in entries.items()}
        return found

    # --- offsets -----------------------------------------------------------------------------------

    def ends(self, places: Sequence[Place], patience: float = 2 * _TIMEOUT) -> dict[Place, tuple[int, int]]:
        """The first offset each partition still has, and one past its last.

        Args:
            places: the partitions.
            patience: seconds after which no further attempt is made.

        Raises:
            BrokerError: they cannot be read.
        """
        if not places:
            return {}
        until = time.monotonic() + patience
        low = self._offsets(places, OffsetSpec.earliest(), until)  # type: ignore[no-untyped-call]
        high = self._offsets(places, OffsetSpec.latest(), until)  # type: ignore[no-untyped-call]
        return {place: (low[place], high[place]) for place in places}

    def _offsets(self, places: Sequence[Place], which: OffsetSpec, until: float) -> dict[Place, int]:
        """Partitions that were just created fail for a moment; so this is tried for a while."""
        while True:
            request = {TopicPartition(topic, number): which for topic, number in places}
            try:
                answers = self._client.list_offsets(request, request_timeout=_ATTEMPT)
                return {(tp.topic, tp.partition): int(f.result().offset) for tp, f in answers.items()}
            except KafkaException as error:
                if time.monotonic() > until:
                    raise BrokerError(f"the ends of partitions cannot be read: {reason(error)}") from None
                # After a broker's restart the client goes on with the leader's old epoch until it asks anew.
                with suppress(KafkaException):
                    self._client.list_topics(timeout=_ATTEMPT)
                time.sleep(0.05)

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """The offsets a group has committed; partitions without one are left out.

        Raises:
            BrokerError: they cannot be read.
        """
        request = ConsumerGroupTopicPartitions(group, [TopicPartition(t, n) for t, n in places])
        try:
            answers = self._client.list_consumer_group_offsets([request], request_timeout=_TIMEOUT)
            found = answers[group].result().topic_partitions
        except KafkaException as error:
            raise BrokerError(f"the offsets of group {group} cannot be read: {reason(error)}") from None
        return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}

    def session_timeout(self, group: str) -> float | None:
        """The session timeout of a group with ``group.protocol=consumer`` in seconds, if the brokers tell.

        A group may have one of its own; if it has none, it is said to have the brokers'.
        """
        broker = str(next(iter(self._metadata(_TIMEOUT).brokers)))
        asked = (
            (ConfigResource(ConfigResource.Type.GROUP, group), "consumer.session.timeout.ms"),
            (ConfigResource(ConfigResource.Type.BROKER, broker), "group.consumer.session.timeout.ms"),
        )
        for resource, name in asked:
            try:
                entries = self._client.describe_configs([resource], request_timeout=_TIMEOUT)[
                    resource
                ].result()
                return int(entries[name].value) / 1000
            except (KafkaException, KeyError):
                continue
        return None


def topic_id(answer: Future[Any]) -> str:
    """The id in an answer of :meth:`Admin.topic_ids`: "" where the broker has none, or has no topic."""
    try:
        return str(answer.result(timeout=_TIMEOUT).topic_id or "")
    except (KafkaException, TimeoutError):
        return ""
