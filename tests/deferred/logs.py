"""Logs for the suite: one that is made up, and one that is a real topic of a real Kafka."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kjobs.core.deferred import End, Row
from kjobs.core.ports import Applied, DeferredStore
from kjobs.deferred import wire
from kjobs.kafka.message import headers_of
from kjobs.kafka.producer import Delivery, Producer
from kjobs.kafka.tail import Tail
from tests.patience import until


class MadeUpLog:
    """A log that is nothing but a count of offsets.

    Args:
        open_store: opens the store; the second time as the next owner would.
    """

    def __init__(self, open_store: Callable[[], DeferredStore]) -> None:
        self._open = open_store
        self.store = open_store()
        self._end = 0
        self._applied = Applied()

    def write(self, *changes: Row | End) -> Sequence[Any]:
        """Put changes into the log."""
        known = [msgspec.structs.replace(change, offset=self._end + at) for at, change in enumerate(changes)]
        self._end += len(known)
        self._applied = self.store.apply(known, self._end)
        return known

    def applied(self) -> Applied:
        """What the store said of the last changes."""
        return self._applied

    def reopen(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = self._open()


class KafkaLog:
    """A partition of a compacted topic: changes are written by a producer, and read back by a tail.

    Args:
        bootstrap: the broker.
        topic: a topic that exists.
        open_store: opens the store; the second time as the next owner would.
    """

    def __init__(self, bootstrap: str, topic: str, open_store: Callable[[], DeferredStore]) -> None:
        self._open = open_store
        self.store = open_store()
        self._place = (topic, 0)
        self._producer = Producer(bootstrap, {})
        self._tail = Tail(bootstrap, {}, group=topic, embedded=False)
        self._tail.follow(self._place, self.store.position)
        self._applied = Applied()

    def write(self, *changes: Row | End) -> Sequence[Any]:
        """Put changes into the log, and read them from there."""
        known = threading.Event()
        left = len(changes)
        offsets: dict[int, int] = {}

        def delivered(at: int) -> Callable[[Delivery], None]:
            def done(delivery: Delivery) -> None:
                nonlocal left
                assert delivery.error is None, delivery.error
                offsets[at] = delivery.offset
                left -= 1
                if not left:
                    known.set()

            return done

        for at, change in enumerate(changes):
            record = wire.written(change)
            delivery = Delivery(self._place[0], change.id, delivered(at))
            self._producer.put(delivery, record.value, record.key, record.headers, partition=self._place[1])
        assert known.wait(30.0), "not acknowledged"
        return self._read([offsets[at] for at in range(len(changes))])

    def _read(self, offsets: Sequence[int]) -> Sequence[Any]:
        found: dict[int, Any] = {}
        position = self.store.position

        def look() -> bool:
            nonlocal position
            records, positions, _ = self._tail.read(2_000, 0.05)
            for record in records.get(self._place, ()):
                change = wire.change(record.key(), record.value(), headers_of(record), record.offset())
                found[record.offset()] = change
            position = positions.get(self._place, position)
            return position > max(offsets)

        until(look, "what was written is read")
        self._applied = self.store.apply([found[at] for at in sorted(found)], position)
        return [found[at] for at in offsets]

    def applied(self) -> Applied:
        """What the store said of the last changes."""
        return self._applied

    def reopen(self) -> None:
        """Close the store and open it again, and go on reading where it was."""
        self.store.close()
        self.store = self._open()
        self._tail.follow(self._place, self.store.position)

    def close(self) -> None:
        """Disconnect."""
        self.store.close()
        self._tail.close()
        self._producer.close(5.0)


def rows_of(store: Any) -> Mapping[str, Row]:
    """Everything in a store in memory, by id."""
    return {row.id: row for row in store.rows}
