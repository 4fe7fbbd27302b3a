"""What the core expects of the world around it, as protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: A record's headers as Kafka keeps them: ordered, names may repeat, values may be null.
Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """One record of a queue topic; ``confluent_kafka.Message`` is one."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers | None: ...

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""
        ...

    def __len__(self) -> int:
        """Bytes of the value."""
        ...


class DeferredStore(Protocol):
    """Where calls wait that must not wait in a worker's memory: long delays and long retries.

    Deferring is *acknowledged before the offset is finished*: ``put`` returns only once the call
    survives the loss of this process. No store is built yet; waits beyond
    :data:`kjobs.core.policy.LONGEST_WAIT_IN_LANE` are refused instead.
    """

    def put(self, call_id: str, record: Record, *, due: float, failures: int) -> None:
        """Keep a call until ``due`` (epoch seconds), replacing one of the same id."""
        ...

    def take(self, now: float, limit: int) -> Sequence[tuple[str, Record, int]]:
        """Up to ``limit`` calls that are due: id, record, failures so far."""
        ...

    def remove(self, call_id: str) -> bool:
        """Forget a call; False if it was not waiting."""
        ...
