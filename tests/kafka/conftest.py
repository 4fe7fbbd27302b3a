"""Scenarios on the broker that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.scenario import Scenario
from tests.servers.kafka import Kafka


@pytest.fixture
def protocol() -> str:
    """The group protocol; tests that matter for both are parametrised with this name."""
    return "classic"


@pytest.fixture
def scenario(kafka: str, topic_prefix: str, tmp_path: Path, protocol: str) -> Iterator[Scenario]:
    """A scenario; its processes are ended afterwards, and their last words printed for a failure."""
    scene = Scenario(kafka, topic_prefix, tmp_path, protocol)
    yield scene
    scene.close()
    print(scene.tails())


@pytest.fixture
def private_scenario(
    private_kafka: Kafka, topic_prefix: str, tmp_path: Path, protocol: str
) -> Iterator[Scenario]:
    """A scenario on a broker of its own, to kill and freeze."""
    scene = Scenario(private_kafka.bootstrap, topic_prefix, tmp_path, protocol)
    yield scene
    private_kafka.resume()
    scene.close()
    print(scene.tails())
