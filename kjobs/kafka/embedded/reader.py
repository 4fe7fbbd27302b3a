"""Reads where the partitions of the embedded broker end, and how far groups have come."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

log = logging.getLogger("kjobs.kafka")

#: Seconds for an answer, which takes less than a millisecond; longer only while the broker is down.
_PATIENCE = 1.0


class OffsetReader:
    """Reads offsets by topic; answers with nothing if they cannot be told now.

    Args:
        bootstrap: the broker's address.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    @cached_property
    def _client(self) -> AdminClient:
        options: dict[str, Any] = {"bootstrap.servers": self._bootstrap, "logger": log, "log_level": 0}
        return AdminClient(options)

    def ends(self, topic: str) -> Sequence[int]:
        """The offset that the next record will get, by partition."""
        try:
            places = self._places(topic)
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = dict.fromkeys(places, latest)
            answers = self._client.list_offsets(asked, request_timeout=_PATIENCE)
            ends = {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as error:
            log.debug("the ends of %s cannot be told: %s", topic, error)
            return ()
        return [ends[place.partition] for place in places]

    def finished(self, topic: str, groups: Collection[str]) -> Sequence[int]:
        """The offset up to which the slowest of the groups has finished, by partition."""
        try:
            places = self._places(topic)
            lowest = [-1] * len(places)
            for group in groups:
                asked = ConsumerGroupTopicPartitions(group, places)
                answer = self._client.list_consumer_group_offsets([asked], request_timeout=_PATIENCE)[group]
                for place in answer.result().topic_partitions:
                    # A group that has not committed yet (-1001) has finished nothing.
                    offset = max(0, place.offset)
                    before = lowest[place.partition]
                    lowest[place.partition] = offset if before < 0 else min(offset, before)
        except KafkaException as error:
            log.debug("what is finished of %s cannot be told: %s", topic, error)
            return ()
        return lowest

    def _places(self, topic: str) -> list[TopicPartition]:
        # Of all topics: asking for one would create it.
        known = self._client.list_topics(timeout=_PATIENCE).topics.get(topic)
        return [TopicPartition(topic, partition) for partition in sorted(known.partitions)] if known else []
