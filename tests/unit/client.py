"""A Kafka client that sends nothing: it acknowledges at once what it is given."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError

from kjobs import App
from kjobs.core.partitioner import partition_of
from kjobs.kafka import producer as module

#: Partitions of every topic.
PARTITIONS = 8
#: What record keys are hashed to where the client is left to choose.
_UNKEYED = 5


class Produced:
    """One record as the client was given it."""

    def __init__(
        self, topic: str, value: bytes | None, key: bytes | None, asked: int, headers: Any, offset: int
    ) -> None:
        self.topic, self.value, self.key, self.asked = topic, value, key, asked
        self.headers = dict(headers or ())
        self.raw = headers
        chosen = _UNKEYED if key is None else partition_of(key, PARTITIONS)
        self.partition = chosen if asked < 0 else asked
        self.offset = offset


class FakeClient:
    """In place of ``confluent_kafka.Producer``.

    Attributes:
        sent: what it was given.
        stamp_ms: when the broker says it got it (ms since the epoch); None: the topic does not tell.
        error: what becomes of everything, if not None.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.sent: list[Produced] = []
        self.stamp_ms: int | None = None
        self.error: KafkaError | None = None

    def list_topics(self, timeout: float) -> Any:
        topic = SimpleNamespace(partitions=dict.fromkeys(range(PARTITIONS)))
        names = [f"kjobs.{queue}{end}" for queue in ("default", "mail", "bulk") for end in ("", ".delayed")]
        return SimpleNamespace(topics=dict.fromkeys(names, topic), cluster_id="real")

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: Callable[[Any, Any], None],
        headers: Any = None,
    ) -> None:
        record = Produced(topic, value, key, partition, headers, len(self.sent))
        self.sent.append(record)
        stamp = (
            (TIMESTAMP_CREATE_TIME, 1)
            if self.stamp_ms is None
            else (TIMESTAMP_LOG_APPEND_TIME, self.stamp_ms)
        )
        message = SimpleNamespace(
            partition=lambda: record.partition, offset=lambda: record.offset, timestamp=lambda: stamp
        )
        on_delivery(self.error, message)

    def produce_batch(self, topic: str, records: list[dict[str, Any]]) -> None:
        for record in records:
            self.produce(topic, record["value"], record["key"], -1, record["callback"])

    def poll(self, timeout: float) -> int:
        return 0

    def __len__(self) -> int:
        return 0


def connected(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[App, FakeClient]:
    """An app whose producer has such a client."""
    clients: list[FakeClient] = []

    def opened(kind: Any, options: dict[str, Any]) -> FakeClient:
        clients.append(FakeClient(options))
        return clients[-1]

    monkeypatch.setattr(module, "opened", opened)
    app = App(**settings)
    assert app.sender.producer  # type: ignore[attr-defined]
    return app, clients[0]
