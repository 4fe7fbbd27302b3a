"""Follows partitions of a topic from given offsets on, without a group.

For one thread. Nothing is waited for: what the client has fetched by itself is taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ..core.events import Place
from ..errors import BrokerError
from .client import opened, reader_options, reason
from .doubts import Doubts
from .survey import UNREADABLE, Unreadable, surveyed

log = logging.getLogger("kjobs.kafka")

#: Seconds between two log lines about the same trouble with a partition.
_QUIET = 10.0


class Tail:
    """A reader of the ends of logs.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user.
        group: under which offsets are noted; it has no members.
        embedded: the broker is the embedded one.
        on_unreadable: told of what cannot be read and is stepped over.
    """

    def __init__(
        self,
        bootstrap: str,
        extra: Mapping[str, Any],
        *,
        group: str,
        embedded: bool,
        on_unreadable: Callable[[Place, Unreadable], None] = lambda place, found: None,
    ) -> None:
        self._on_unreadable = on_unreadable
        self._doubts = Doubts(partial(surveyed, bootstrap, extra))
        self._client = opened(
            Client,
            {
                **reader_options(bootstrap, extra),
                "group.id": group,
                "fetch.wait.max.ms": 10 if embedded else 100,
                "fetch.queue.backoff.ms": 10,
                # Little of each partition, however many there are, and enough to be fast.
                "queued.min.messages": 2_000,
                "queued.max.messages.kbytes": 1_024,
                "fetch.message.max.bytes": 262_144,
                "check.crcs": True,
                # It has no group that would miss it, whatever the user's own limit for workers is.
                "max.poll.interval.ms": 86_400_000,
            },
        )
        self._known: set[str] = set()
        #: What is read next of each partition that is followed.
        self._assigned: dict[Place, int] = {}
        self._said: dict[tuple[Place, int], float] = {}

    def follow(self, place: Place, offset: int) -> None:
        """Read a partition from an offset on."""
        self.leave(place)
        if place[0] not in self._known:
            # The client finds out about a topic that it does not know yet only once in a second.
            with suppress(KafkaException):
                self._client.list_topics(place[0], timeout=1.0)
            self._known.add(place[0])
        self._client.incremental_assign([TopicPartition(*place, offset)])
        self._assigned[place] = offset

    def leave(self, place: Place) -> None:
        """Read a partition no more."""
        if place in self._assigned:
            del self._assigned[place]
            self._doubts.forget(place)
            self._client.incremental_unassign([TopicPartition(*place)])

    def read(
        self, most: int, timeout: float = 0.0
    ) -> tuple[dict[Place, list[Any]], dict[Place, int], set[Place]]:
        """What there is; waits up to ``timeout`` seconds for something to be.

        Returns:
            Records by partition, in the order of the log; how far each partition is read by that; and the
            partitions whose log does not have the offset that was to be read next.

        Raises:
            BrokerError: the client cannot go on.
        """
        records: dict[Place, list[Any]] = {}
        positions: dict[Place, int] = {}
        lost: set[Place] = set()
        if not self._assigned:
            return records, positions, lost
        if self._doubts:
            self._step_over()
        messages: list[Any] = []
        if timeout and (first := self._client.poll(timeout)) is not None:
            messages.append(first)
        messages += self._client.consume(most, 0)
        wary = bool(self._doubts)
        again: set[Place] = set()
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            if place not in self._assigned or place in again:
                continue
            error = message.error()
            if wary and self._beyond_doubt(place, message, positions):
                again.add(place)
                continue
            if error is None:
                records.setdefault(place, []).append(message)
                positions[place] = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                positions[place] = message.offset() or 0
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                lost.add(place)
            elif error.code() in UNREADABLE:
                wary = True
                if self._doubts.raise_(place, message.offset() or 0):
                    self._trouble(place, error)
            else:
                self._trouble(place, error)
        self._assigned.update(positions)
        return records, positions, lost

    def _beyond_doubt(self, place: Place, message: Any, positions: Mapping[Place, int]) -> bool:
        """Whether a message comes from behind a batch in doubt, which is to be read or given up first."""
        doubtful = self._doubts.about(place)
        error = message.error()
        if doubtful is None or (error is not None and error.code() in UNREADABLE):
            return False
        begin = max(doubtful, positions.get(place, self._assigned[place]))
        if (message.offset() or 0) <= begin:
            if error is None and message.offset() >= doubtful:
                self._doubts.forget(place)  # this time it could be read
            return False
        self._doubts.leapt(place)
        self._go_on(place, begin)
        return True

    def _step_over(self) -> None:
        """Go on behind batches of which it is known that they cannot be read, and how far they reach."""
        for place, first, found in self._doubts.settled():
            begin = max(first, self._assigned[place])
            if found is None or found.end <= begin:
                self._go_on(place, begin)
                continue
            self._go_on(place, found.end)
            self._on_unreadable(place, replace(found, first=begin))

    def _go_on(self, place: Place, offset: int) -> None:
        self._client.incremental_unassign([TopicPartition(*place)])
        self._client.incremental_assign([TopicPartition(*place, offset)])
        self._assigned[place] = offset

    def _trouble(self, place: Place, error: KafkaError) -> None:
        if error.fatal():
            raise BrokerError(f"the reader of the deferred store's log cannot go on: {reason(error)}")
        now = time.monotonic()
        if now - self._said.get((place, error.code()), float("-inf")) >= _QUIET:
            self._said[place, error.code()] = now
            log.error("%s[%d]: %s", *place, reason(error), extra={"event": "kafka.trouble"})

    def note(self, offsets: Sequence[tuple[Place, int]]) -> None:
        """Tell the broker from which offsets on records are still needed; it may answer when it likes."""
        try:
            self._client.commit(
                offsets=[TopicPartition(*place, offset) for place, offset in offsets], asynchronous=True
            )
        except KafkaException as error:
            log.debug("offsets of the deferred store's log not noted: %s", reason(error))

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
