"""The queues of a run: made with the real command, filled with calls, removed at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from . import logsize
from .clients import raw_producer

#: Partitions of every queue.
PARTITIONS = 8

_TIMEOUT = 60.0
#: As kjobs' own producer has it. A batch is fetched whole, so from larger ones a worker would see fewer
#: partitions, and so fewer keys, at a time.
_BATCHES = {"batch.size": 64 * 1024}

#: What matters of a client's log lines comes as an exception too.
_QUIET = {"log_level": 0}


class FillError(Exception):
    """The broker did not take the calls that were to wait."""


class Topics:
    """Topics whose names begin with the prefix of this run."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        # Kept: the futures of an admin client that is gone never resolve.
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **_QUIET})

    def of(self, queue: str) -> str:
        """The topic of a queue."""
        return f"{self._prefix}.{queue}"

    def fill(self, queue: str, calls: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Send values with their keys, and return how many when the broker has all of them.

        Raises:
            FillError: it has not.
        """
        producer, topic = Producer({**raw_producer(self._bootstrap), **_BATCHES, **_QUIET}), self.of(queue)
        refused: list[object] = []

        def report(error: object, _message: object) -> None:
            if error is not None:
                refused.append(error)

        count = 0
        for value, key in calls:
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=report)
                    break
                except BufferError:
                    producer.poll(0.01)
            count += 1
            if count % 1000 == 0:
                producer.poll(0)
        if producer.flush(_TIMEOUT) or refused:
            raise FillError(
                f"{topic} was to be filled with {count:,} calls; failures: {refused[:3] or 'time'}"
            )
        return count

    def size(self, queue: str) -> int:
        """How many records a queue's topic has been given so far."""
        return size(self._admin, self.of(queue))

    def delayed(self, queue: str) -> str:
        """The topic that is the log of a queue's deferred store."""
        return self.of(f"{queue}.delayed")

    def scheduled(self, queue: str) -> int:
        """How many records that log has been given so far."""
        return size(self._admin, self.delayed(queue))

    def delayed_bytes(self, queue: str) -> int:
        """How much of the broker's disk that log takes."""
        return logsize.of(self._bootstrap, self.delayed(queue), PARTITIONS)

    def remove(self) -> None:
        """Delete all topics of this run."""
        mine = [name for name in self._names() if name.startswith(f"{self._prefix}.")]
        if mine:
            for future in self._admin.delete_topics(mine).values():
                future.result(_TIMEOUT)

    def _names(self) -> Sequence[str]:
        return list(self._admin.list_topics(timeout=_TIMEOUT).topics)


def size(admin: AdminClient, topic: str) -> int:
    """How many records a topic has been given so far."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, number): latest for number in range(PARTITIONS)}
    deadline = time.monotonic() + _TIMEOUT
    while True:
        answers = admin.list_offsets(wanted, request_timeout=_TIMEOUT)
        try:
            return sum(answer.result(_TIMEOUT).offset for answer in answers.values())
        except KafkaException:
            # Partitions that were just created fail for a moment.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
