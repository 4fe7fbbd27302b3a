"""Which Kafka the tests use, and what they say when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.distribution import KAFKA_VERSION, Distribution, cache_directory, distribution
from tests.servers.failure import ServerMissingError
from tests.servers.machine import Machine
from tests.servers.ports import free_ports
from tests.servers.shared import SharedKafka
from tests.servers.source import Given, find

ROOT = Path(__file__).resolve().parents[2]


def test_a_given_kafka_wins_and_nothing_else_is_looked_for() -> None:
    def must_not_look() -> Machine:
        raise AssertionError("the machine was searched although KJOBS_TEST_KAFKA is set")

    assert find({"KJOBS_TEST_KAFKA": "127.0.0.1:19092"}, must_not_look) == Given("127.0.0.1:19092")


def test_a_given_kafka_that_does_not_answer_is_named() -> None:
    (port,) = free_ports(1)
    with (
        SharedKafka(source=Given(f"127.0.0.1:{port}")) as shared,
        pytest.raises(
            ServerMissingError, match=f"KJOBS_TEST_KAFKA is set to 127.0.0.1:{port}, and no Kafka answers"
        ),
    ):
        shared.bootstrap()


def test_with_nothing_to_run_one_a_sentence_says_what_to_install() -> None:
    with pytest.raises(ServerMissingError) as missing:
        find({}, Machine)
    sentence = str(missing.value)
    assert "found no Java 17 or newer and no Maven and no Docker engine" in sentence
    assert "apt-get install openjdk-17-jre-headless maven" in sentence
    assert "KJOBS_TEST_KAFKA" in sentence
    assert "\n" not in sentence


def test_java_needs_maven_only_to_fill_the_cache(tmp_path: Path) -> None:
    java = Machine(java=Path("/opt/java/bin/java"))
    assert distribution(java, tmp_path / "empty") is None
    assert distribution(java, tmp_path) == Distribution(Path("/opt/java/bin/java"), tmp_path)


def test_the_cache_can_be_moved() -> None:
    assert cache_directory({}) == ROOT / ".cache" / f"kafka-{KAFKA_VERSION}"
    assert cache_directory({"KJOBS_CACHE": "/var/cache/x"}) == Path(f"/var/cache/x/kafka-{KAFKA_VERSION}")


def test_docker_and_maven_bring_the_same_kafka() -> None:
    assert f"image: apache/kafka:{KAFKA_VERSION}\n" in (ROOT / "compose.yaml").read_text()
