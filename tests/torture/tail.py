"""Reads the logs of the deferred stores while they are written: what is in them, and what waits still."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Self

from confluent_kafka import Consumer, TopicPartition

from tests.kafka.broker import Broker, found
from tests.kafka.dump import delayed_logged
from tests.proof import history as h

_JOIN_SECONDS = 30.0


class Tail:
    """A plain consumer that belongs to no group, at the brokers' own doors.

    Args:
        broker: to read from.
        places: the partitions of the logs.
        recorder: takes their records.
    """

    def __init__(self, broker: Broker, places: Sequence[h.Place], recorder: h.Recorder) -> None:
        self._broker = broker
        self._recorder = recorder
        self._places = list(places)
        self._read: dict[h.Place, int] = dict.fromkeys(places, 0)
        #: By partition, the calls that wait: the name of each, and the offset of its record.
        self._waiting: dict[h.Place, dict[str, int]] = {place: {} for place in places}
        self._anchor = time.time() - time.monotonic()
        self._lock = threading.Lock()
        self._more = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tail", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(_JOIN_SECONDS)

    def follow(self, place: h.Place) -> None:
        """Read another partition, too."""
        with self._lock:
            if place not in self._read:
                self._read[place], self._waiting[place] = 0, {}
                self._places.append(place)
                self._more = True

    def waiting(self) -> list[tuple[h.Place, str]]:
        """What waits, of everything that was read."""
        with self._lock:
            return [(place, name) for place, names in self._waiting.items() for name in names]

    def behind(self) -> int:
        """How many offsets have not been read yet."""
        ends = self._broker.ends(self._places)
        with self._lock:
            return sum(max(0, end - self._read[place]) for place, end in ends.items())

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._broker.bootstrap,
                "group.id": "tail",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition(*place, 0) for place in self._places])
        while not self._closing.is_set():
            if self._more:
                with self._lock:
                    self._more = False
                    consumer.assign([TopicPartition(*place, read) for place, read in self._read.items()])
            messages: list[Any] = consumer.consume(500, 0.2)
            events: list[h.DelayedLogged] = []
            for message in messages:
                place = (message.topic(), message.partition())
                if message.error() is None:
                    event = delayed_logged(found(message), self._anchor)
                    events.append(event)
                    self._take(event)
                    with self._lock:
                        self._read[place] = message.offset() + 1
                elif message.offset() is not None and message.offset() >= 0:
                    # At the end; what is left out on the way are marks of transactions.
                    with self._lock:
                        self._read[place] = max(self._read[place], message.offset())
            if events:
                self._recorder.record(*events)
        consumer.close()

    def _take(self, event: h.DelayedLogged) -> None:
        if event.what not in ("call", "end"):
            return
        with self._lock:
            waiting = self._waiting[event.place]
            former = waiting.get(event.name)
            if event.of is not None and former is not None and event.of < former:
                return  # it goes on from a record that was replaced
            waiting.pop(event.name, None)
            if event.what == "call":
                waiting[event.name] = event.offset
