"""Many records, and one wait for the fate of all of them."""

from __future__ import annotations

import threading
from typing import Any

from confluent_kafka import KafkaError

from ..core.ports import Headers
from ..errors import EnqueueError, QueueFull
from .failures import enqueue_error
from .producer import Delivery, Producer

#: Records handed to the client at a time. One by one, its threads would send each as soon as it comes.
_CHUNK = 500


class Tally:
    """Counts deliveries; knows nothing else of them, so that they can refer to it."""

    def __init__(self) -> None:
        self._count = 0
        self._wanted = -1
        self._reached = threading.Event()

    def __call__(self, delivery: Delivery) -> None:
        """One more is known. Reports are taken by one thread at a time, so counting needs no lock."""
        self._count += 1
        if self._count == self._wanted:
            self._reached.set()

    def wait(self, wanted: int, timeout: float) -> None:
        """Wait until so many are known."""
        self._wanted = wanted
        if self._count < wanted:
            self._reached.wait(timeout)


class Shipment:
    """Records that are sent together.

    Args:
        producer: sends them.
        timeout: seconds that room for a record, and then the wait, may take.
    """

    def __init__(self, producer: Producer, timeout: float) -> None:
        self._producer = producer
        self._timeout = timeout
        self._deliveries: list[Delivery | EnqueueError] = []
        self._topic = ""
        self._chunk: list[dict[str, Any]] = []
        self._chunk_deliveries: list[Delivery] = []
        self._sent = 0
        self._known = Tally()

    def add(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        headers: Headers | None,
        call_id: str,
        *,
        by: bytes | None = None,
        kind: type[Delivery] = Delivery,
    ) -> None:
        """One more record; what becomes of it is told by :meth:`wait`. See :meth:`Producer.send`."""
        delivery = kind(topic, call_id, self._known)
        self._deliveries.append(delivery)
        if topic != self._topic or headers is not None:
            self._flush()
        if headers is not None or self._producer.guarded or topic != self._topic:
            self._add_alone(delivery, value, key, headers, by)
            return
        self._chunk.append({"value": value, "key": key, "callback": delivery})
        self._chunk_deliveries.append(delivery)
        if len(self._chunk) == _CHUNK:
            self._flush()

    def refuse(self, error: EnqueueError) -> None:
        """One more record, which is not to be sent."""
        self._deliveries.append(error)

    def wait(self) -> list[Delivery | EnqueueError]:
        """Wait for the fate of all, in their order; one that is not known in time is an error, too."""
        self._flush()
        self._known.wait(self._sent, self._timeout)
        return [self._fate(delivery) for delivery in self._deliveries]

    def _fate(self, delivery: Delivery | EnqueueError) -> Delivery | EnqueueError:
        if isinstance(delivery, EnqueueError) or delivery.partition >= 0:
            return delivery
        return delivery.error or self._producer.unanswered(delivery.topic, delivery.call_id, self._timeout)

    def _add_alone(
        self, delivery: Delivery, value: bytes, key: bytes | None, headers: Headers | None, by: bytes | None
    ) -> None:
        """Send one record by itself: it has headers, is the first of its topic, or must be let in."""
        self._sent += 1
        try:
            self._producer.post(delivery, value, key, headers, self._timeout, by)
        except EnqueueError as error:
            self._sent -= 1
            delivery.error = error
        else:
            self._topic = delivery.topic  # it exists: the next ones can go together

    def _flush(self) -> None:
        chunk, deliveries = self._chunk, self._chunk_deliveries
        if not chunk:
            return
        self._chunk, self._chunk_deliveries = [], []
        self._sent += len(chunk)
        self._producer.put_many(self._topic, chunk, self._timeout)
        for record, delivery in zip(chunk, deliveries, strict=True):
            if (error := record.get("_error")) is not None:
                self._sent -= 1
                delivery.error = self._not_taken(error, delivery)

    def _not_taken(self, error: KafkaError, delivery: Delivery) -> EnqueueError:
        if error.code() == KafkaError._QUEUE_FULL:
            return QueueFull(
                f"call {delivery.call_id} for {delivery.topic} is not enqueued: this process has too many "
                "records waiting to be sent, and Kafka takes them more slowly than they come, or is away.",
                call_id=delivery.call_id,
            )
        return enqueue_error(error, delivery.topic, delivery.call_id)
