"""In place of the Kafka client's consumer: one that reads logs in memory, some batches of which it cannot."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from kjobs.core.events import Place

#: What a client takes for an offset when it looks into a damaged batch.
NONSENSE = 8_680_820_740_569_200_760


@dataclass(frozen=True)
class Said:
    """A message of the client."""

    place: Place
    at: int
    code: int | None = None
    text: str = ""

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code, self.text)

    def key(self) -> bytes | None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def value(self) -> bytes:
        return b"%d" % self.at

    def __len__(self) -> int:
        return 1


@dataclass
class Batch:
    """Records from ``first`` up to ``end``.

    Attributes:
        code: what is wrong with it, if anything is.
        times: how often it cannot be read.
        gone: how many records at its beginning compaction has removed.
    """

    first: int
    end: int
    code: int | None = None
    times: float = float("inf")
    gone: int = 0


@dataclass
class FakeLogs:
    """Logs of several partitions.

    Attributes:
        leaps: having failed to read a batch, the client goes on with the next one.
        stumbles: having failed to read a batch, the client takes what is in it for an offset.
    """

    batches: dict[Place, list[Batch]]
    leaps: bool = False
    stumbles: bool = False
    clients: list[FakeReader] = field(default_factory=list)

    def reader(self, options: dict[str, Any]) -> FakeReader:
        """In place of ``confluent_kafka.Consumer``."""
        self.clients.append(FakeReader(self))
        return self.clients[-1]

    def end(self, place: Place) -> int:
        return self.batches[place][-1].end

    def read(self, place: Place, offset: int) -> tuple[list[Said], int]:
        """What a fetch gives, and where the next one is."""
        if offset > self.end(place):
            return [Said(place, offset, KafkaError._AUTO_OFFSET_RESET)], -1
        for batch in self.batches[place]:
            if offset >= batch.end:
                continue
            if batch.code is not None and batch.times > 0:
                batch.times -= 1
                said = [Said(place, batch.first, batch.code, "damaged")]
                if self.stumbles:
                    return [*said, Said(place, NONSENSE, KafkaError._NOT_IMPLEMENTED)], NONSENSE + 1
                return said, batch.end if self.leaps else offset
            return [
                Said(place, at) for at in range(max(offset, batch.first + batch.gone), batch.end)
            ], batch.end
        return [Said(place, offset, KafkaError._PARTITION_EOF)], -1


class FakeReader:
    """Reads these logs; a fetch is what one batch gives."""

    def __init__(self, logs: FakeLogs) -> None:
        self._logs = logs
        self._next: dict[Place, int] = {}
        self._queue: deque[Said] = deque()
        self.callbacks: dict[str, Any] = {}

    def subscribe(self, topics: Sequence[str], on_assign: Any, **callbacks: Any) -> None:
        """The group gives it everything."""
        self.callbacks = callbacks
        on_assign(self, [TopicPartition(*place) for place in self._logs.batches])

    def committed(self, parts: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(part.topic, part.partition, -1001) for part in parts]

    def get_watermark_offsets(self, part: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self._logs.end((part.topic, part.partition))

    def assign(self, parts: Iterable[TopicPartition]) -> None:
        self.unassign()
        self.incremental_assign(parts)

    def unassign(self) -> None:
        self._next.clear()
        self._queue.clear()

    def incremental_assign(self, parts: Iterable[TopicPartition]) -> None:
        for part in parts:
            self._next[part.topic, part.partition] = part.offset

    def incremental_unassign(self, parts: Iterable[TopicPartition]) -> None:
        gone = {(part.topic, part.partition) for part in parts}
        for place in gone:
            del self._next[place]
        self._queue = deque(said for said in self._queue if said.place not in gone)

    @property
    def following(self) -> set[Place]:
        """The partitions that it reads."""
        return set(self._next)

    def seek(self, part: TopicPartition) -> None:
        raise AssertionError("a seek does not recover from everything")

    def resume(self, parts: Iterable[TopicPartition]) -> None: ...
    def list_topics(self, topic: str, timeout: float) -> None: ...
    def close(self) -> None: ...

    def poll(self, timeout: float = 0) -> Said | None:
        if not self._queue:
            for place, offset in list(self._next.items()):
                if offset >= 0:
                    said, self._next[place] = self._logs.read(place, offset)
                    self._queue += said
        return self._queue.popleft() if self._queue else None

    def consume(self, most: int, timeout: float) -> list[Said]:
        found: list[Said] = []
        while len(found) < most and (said := self.poll()) is not None:
            found.append(said)
        return found
