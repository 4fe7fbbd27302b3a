"""How many calls are unfinished, by queue.

Asked with consumers that join nothing: an admin client that is asked for a group's offsets while its
coordinator goes away may end the whole process, by an assertion in librdkafka.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, TopicPartition

_ANSWER = 10.0


class Lag:
    """Asks the brokers.

    Args:
        bootstrap: their addresses.
        groups: the group that serves a topic, by topic.
    """

    def __init__(self, bootstrap: str, groups: Mapping[str, str]) -> None:
        self._groups = groups
        self._consumers = {
            group: Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
            for group in set(groups.values())
        }

    def of(self, topic: str) -> int:
        """Records of a topic that its group has not committed.

        Raises:
            KafkaException: the brokers do not say.
            KeyError: there is no such topic.
        """
        consumer = self._consumers[self._groups[topic]]
        known = consumer.list_topics(topic, timeout=_ANSWER).topics[topic]
        if known.error is not None:
            raise KeyError(topic)
        lag = 0
        for part in consumer.committed([TopicPartition(topic, n) for n in known.partitions], timeout=_ANSWER):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, part.partition), timeout=_ANSWER)
            lag += max(0, end - max(0, part.offset))
        return lag

    def close(self) -> None:
        """Disconnect."""
        for consumer in self._consumers.values():
            consumer.close()
