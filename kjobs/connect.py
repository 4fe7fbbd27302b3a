"""Opens what the settings describe: a cluster, a producer. Imports the client only when that is done."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from .config import Settings
from .core.topics import Names

if TYPE_CHECKING:
    from .kafka.cluster import Cluster
    from .kafka.producer import Producer


def delayed_group(group: str) -> str:
    """Under which name a group's workers tell the embedded broker what they need of delayed calls."""
    return f"{group}.delayed"


def open_cluster(settings: Settings) -> Cluster:
    """The cluster that the settings name.

    Raises:
        BrokerError: it cannot be reached.
    """
    from .kafka.cluster import Cluster, Defaults

    return Cluster(
        settings.bootstrap_servers,
        settings.kafka,
        Names(settings.prefix),
        Defaults(settings.partitions, settings.replication, settings.max_size),
    )


def open_producer(settings: Settings) -> Producer:
    """A producer for the cluster that the settings name; it creates topics where they allow that.

    Raises:
        ConfigError: a Kafka option is wrong.
    """
    from .kafka.embedded.accounts import SPARED_BY_CALLS
    from .kafka.producer import Producer

    names = Names(settings.prefix)

    def ensure(topic: str) -> int:
        cluster = open_cluster(settings)
        if not (settings.create_topics or cluster.embedded):
            return 0
        cluster.create(cluster.missing([names.queue_of(topic)]))
        return cluster.partitions.get(topic, 0)

    def groups(topic: str) -> Collection[str]:
        # Nobody finishes dead letters, so they would fill the embedded broker for good.
        if names.is_dead(topic):
            return ()
        return (delayed_group(settings.group) if names.is_delayed(topic) else settings.group,)

    def spared(topic: str) -> int:
        return SPARED_BY_CALLS if names.is_delayed(topic) else 0

    return Producer(settings.bootstrap_servers, settings.kafka, ensure=ensure, groups=groups, spared=spared)
