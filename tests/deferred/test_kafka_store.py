"""The store that is a compacted topic of a real Kafka, with a local file as its index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kjobs.core.topics import Names
from kjobs.deferred.sqlite import SqliteStore
from tests.deferred.conformance import Conformance
from tests.deferred.logs import KafkaLog
from tests.kafka.broker import Broker


class TestKafkaStore(Conformance):
    @pytest.fixture
    def log(self, kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[KafkaLog]:
        names = Names(topic_prefix)
        (topic,) = (t for t in names.topics("q", 1, 1_000_000) if t.name == names.delayed("q"))
        Broker(kafka).create({topic.name: 1}, topic.config)
        log = KafkaLog(kafka, topic.name, lambda: SqliteStore(tmp_path / "0.sqlite"))
        yield log
        log.close()
