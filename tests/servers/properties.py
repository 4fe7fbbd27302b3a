"""The configuration of a test broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # One broker cannot replicate; Kafka's defaults ask for three.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions of the internal topics: they are created, loaded and closed faster.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    # A deleted topic must stay deleted, and a misspelt one must be an error.
    "auto.create.topics.enable": "false",
    # Rebalances, lost members and their time limits within a test's patience.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    # A killed broker may register again only after its old session: by default that makes a restart 11 s.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "250",
    # Retention and compaction act within a second or so instead of minutes.
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.cleaner.backoff.ms": "200",
    "log.segment.delete.delay.ms": "1000",
}


def server_properties(
    port: int, controller_port: int, data: Path, overrides: Mapping[str, str]
) -> dict[str, str]:
    """All properties of a broker on these loopback ports; overrides win over everything."""
    return {
        **_FIXED,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "log.dirs": str(data),
        **overrides,
    }


def written(properties: Mapping[str, str]) -> str:
    """Properties as the text of a Java properties file."""
    return "".join(f"{name}={value}\n" for name, value in properties.items())
