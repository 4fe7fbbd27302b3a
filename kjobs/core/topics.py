"""The topics of a queue: their names, how many partitions they have, what they keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_DAY_MS = 24 * 60 * 60 * 1000
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_COMPANIONS = (".delayed", ".dead")

#: How long the log of the deferred store keeps both versions of a call that was replaced, and the tombstones
#: of those that ended. A worker's copy of it that is older than the latter must be made anew.
COMPACTION_LAG_MS = 60 * 60 * 1000
TOMBSTONES_MS = 7 * _DAY_MS

#: Kafka's own limit for a topic's name.
_LONGEST = 249

#: Dead letters carry headers that the call did not have; the topic lets them be that much larger.
DEAD_LETTER_ALLOWANCE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be: its name, partitions and settings."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def check_queue(name: str) -> str:
    """Return the name of a queue if it is one.

    Raises:
        ValueError: it is empty, too long, has characters that a topic's name cannot have, or ends like
            a queue's companion topic.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"queue {name!r}: a queue's name may have letters, digits, '.', '_' and '-' only")
    if name.endswith(_COMPANIONS):
        raise ValueError(f"queue {name!r}: names that end in .delayed or .dead belong to companion topics")
    if name == "control":
        raise ValueError("queue 'control': this name belongs to the control topic")
    return name


@dataclass(frozen=True, slots=True)
class Names:
    """Names topics by queue and queues by topic, under one prefix."""

    prefix: str = "kjobs"

    def queue(self, queue: str) -> str:
        """The topic that holds a queue's calls."""
        return f"{self.prefix}.{queue}"

    def delayed(self, queue: str) -> str:
        """The topic that is the deferred store's log; partitions match those of the queue."""
        return f"{self.prefix}.{queue}.delayed"

    def dead(self, queue: str) -> str:
        """The topic that holds a queue's dead letters; partitions match those of the queue."""
        return f"{self.prefix}.{queue}.dead"

    def is_dead(self, topic: str) -> bool:
        """Whether a topic holds dead letters."""
        return topic.startswith(f"{self.prefix}.") and topic.endswith(".dead")

    def is_delayed(self, topic: str) -> bool:
        """Whether a topic is the log of a deferred store."""
        return topic.startswith(f"{self.prefix}.") and topic.endswith(".delayed")

    def queue_of(self, topic: str) -> str:
        """The queue that a topic belongs to."""
        name = topic.removeprefix(f"{self.prefix}.")
        for companion in _COMPANIONS:
            name = name.removesuffix(companion)
        return name

    def check(self, queue: str) -> str:
        """Return the queue's name if all its topics' names are allowed.

        Raises:
            ValueError: see :func:`check_queue`; or the names would be too long for Kafka.
        """
        check_queue(queue)
        length = len(self.prefix) + 1 + len(queue) + max(map(len, _COMPANIONS))
        if length > _LONGEST:
            raise ValueError(
                f"queue {queue!r}: its topics' names would have {length} characters; Kafka allows {_LONGEST}"
            )
        return queue

    def topics(self, queue: str, partitions: int, largest: int) -> list[Topic]:
        """The topics a queue needs, as they should be.

        Args:
            queue: the queue's name.
            partitions: how many partitions its topics have.
            largest: bytes of the largest call.
        """
        room = largest + DEAD_LETTER_ALLOWANCE
        return [
            Topic(
                self.queue(queue),
                partitions,
                {
                    "cleanup.policy": "delete",
                    "retention.ms": str(7 * _DAY_MS),
                    "max.message.bytes": str(room),
                },
            ),
            Topic(
                self.delayed(queue),
                partitions,
                {
                    # Never delete: a call that is delayed by a year must be there after a year.
                    "cleanup.policy": "compact",
                    "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
                    "delete.retention.ms": str(TOMBSTONES_MS),
                    "segment.bytes": str(64 * 1024 * 1024),
                    # Enqueuers' clocks are compared with the broker's.
                    "message.timestamp.type": "LogAppendTime",
                    "max.message.bytes": str(room + DEAD_LETTER_ALLOWANCE),
                },
            ),
            Topic(
                self.dead(queue),
                partitions,
                {
                    "cleanup.policy": "delete",
                    "retention.ms": str(30 * _DAY_MS),
                    "max.message.bytes": str(room + DEAD_LETTER_ALLOWANCE),
                },
            ),
        ]
