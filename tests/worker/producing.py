"""A producer that sends nothing: a test says what becomes of each record."""

from __future__ import annotations

from collections.abc import Callable

from kjobs.core.ports import Headers
from kjobs.errors import EnqueueError
from kjobs.kafka.producer import Delivery


class Sent:
    """One record that was handed to the producer."""

    def __init__(
        self, delivery: Delivery, value: bytes | None, key: bytes | None, headers: Headers, partition: int
    ):
        self.delivery, self.value, self.key, self.partition = delivery, value, key, partition
        self.raw = list(headers)
        self.headers = {name: (text or b"").decode("utf-8", "replace") for name, text in headers}

    def acknowledge(self, error: EnqueueError | None = None) -> None:
        """Tell its fate, as the producer's thread does."""
        self.delivery.error = error
        self.delivery.done(self.delivery)


class FakeProducer:
    """Takes records; refuses those for which ``trouble`` gives an error."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.trouble: Callable[[Sent], Exception | None] = lambda sent: None

    def put(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        *,
        partition: int = -1,
    ) -> None:
        record = Sent(delivery, value, key, headers or (), partition)
        error = self.trouble(record)
        if error is not None:
            raise error
        self.sent.append(record)
