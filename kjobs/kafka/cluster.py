"""The cluster an app works with: what kind it is, its topics, and whether its queues are drained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.topics import Names, Topic
from ..errors import UnknownQueue
from .admin import Admin
from .embedded import create_topics, is_embedded


@dataclass(frozen=True, slots=True)
class Defaults:
    """What new topics are like.

    Attributes:
        partitions: how many a queue has.
        replication: replicas; None for the brokers' default.
        largest: bytes of the largest call.
    """

    partitions: int
    replication: int | None
    largest: int


class Cluster:
    """A cluster and an app's topics in it.

    Raises:
        BrokerError: it cannot be reached.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, Any], names: Names, defaults: Defaults) -> None:
        self.bootstrap = bootstrap
        self.names = names
        self.admin = Admin(bootstrap, extra)
        self.embedded = is_embedded(self.admin.cluster_id())
        self.partitions = self.admin.partitions()
        self._defaults = defaults

    def missing(self, queues: Sequence[str]) -> list[Topic]:
        """The topics that these queues need and do not have, as they should be."""
        wanted: list[Topic] = []
        for queue in queues:
            # Companions have as many partitions as the queue itself, whoever made that.
            count = self.partitions.get(self.names.queue(queue), self._defaults.partitions)
            wanted += self.names.topics(queue, count, self._defaults.largest)
        return [topic for topic in wanted if topic.name not in self.partitions]

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics.

        Raises:
            BrokerError: one could not be created.
        """
        if not topics:
            return
        if self.embedded:
            create_topics(self.bootstrap, {topic.name: topic.partitions for topic in topics})
        else:
            self.admin.create(topics, self._defaults.replication)
        self.partitions |= {topic.name: topic.partitions for topic in topics}

    def ensure(self, queues: Sequence[str], *, create: bool) -> None:
        """Make sure that the topics of these queues exist.

        Args:
            queues: the queues.
            create: create those that do not; the embedded broker's are always created.

        Raises:
            UnknownQueue: one is missing, and is not to be created.
            BrokerError: one could not be created.
        """
        missing = self.missing(queues)
        if missing and not (create or self.embedded):
            names = ", ".join(topic.name for topic in missing)
            raise UnknownQueue(
                f"these topics do not exist: {names}. Without them calls can neither be taken nor buried. "
                "Create them with `kjobs topics apply MODULE`, or start the worker with --create-topics."
            )
        self.create(missing)

    def drained(self, group: str, topics: Sequence[str]) -> bool:
        """Whether a group has finished everything in these topics.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        places = [(topic, number) for topic in topics for number in range(self.partitions[topic])]
        ends = self.admin.ends(places)
        committed = self.admin.committed(group, places)
        # A group starts at the first offset of a partition it has never committed.
        return all(committed.get(place, low) >= high for place, (low, high) in ends.items())
