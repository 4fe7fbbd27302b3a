"""The cluster an app works with: what kind it is, its topics, and whether its queues are drained."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import Settings
from ..core.topics import Names, Topic
from ..errors import UnknownQueue
from .admin import Admin


class Cluster:
    """A cluster and an app's topics in it.

    Raises:
        BrokerError: it cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self.admin = Admin(settings.bootstrap_servers, settings.kafka)
        self.embedded = self.admin.cluster_id().startswith("mockCluster")
        self.partitions = self.admin.partitions()

    def plan(self, queues: Sequence[str]) -> list[Topic]:
        """The topics that are missing for these queues, as they should be."""
        settings = self._settings
        wanted: list[Topic] = []
        for queue in queues:
            # Companions have as many partitions as the queue itself, whoever made that.
            count = self.partitions.get(self._names.queue(queue), settings.partitions)
            wanted += self._names.topics(queue, count, settings.max_size)
        return [topic for topic in wanted if topic.name not in self.partitions]

    def ensure(self, queues: Sequence[str]) -> None:
        """Make sure that the topics of these queues exist, and create them where that is allowed.

        Raises:
            UnknownQueue: one is missing, and is not to be created.
            BrokerError: one could not be created.
        """
        missing = self.plan(queues)
        if not missing:
            return
        if not (self._settings.create_topics or self.embedded):
            names = ", ".join(topic.name for topic in missing)
            raise UnknownQueue(
                f"these topics do not exist: {names}. Without them calls could be neither taken nor buried. Create "
                f"them with `kjobs topics apply MODULE`, or start with --create-topics."
            )
        self.admin.create(missing, self._settings.replication)
        self.partitions |= {topic.name: topic.partitions for topic in missing}

    def drained(self, topics: Sequence[str]) -> bool:
        """Whether the group has finished everything in these topics.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        places = [(topic, number) for topic in topics for number in range(self.partitions[topic])]
        ends = self.admin.ends(places)
        committed = self.admin.committed(self._settings.group, places)
        # A group starts at the first offset of a partition it has never committed.
        return all(committed.get(place, low) >= high for place, (low, high) in ends.items())
