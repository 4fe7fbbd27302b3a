"""Reads a topic from outside any group, up to where it ended when the reading began."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ..core.ports import Headers, Record
from ..errors import BrokerError
from .client import opened, reader_options, reason, retried
from .message import headers_of
from .survey import UNREADABLE, surveyed

#: Seconds for which the ends of a partition are asked for.
_ENDS_TIMEOUT = 15.0
#: Seconds without a record after which the broker is taken for away.
_PATIENCE = 30.0
#: Seconds of one wait for a record.
_TICK = 0.2
#: Records taken from the client at a time.
_HANDFUL = 500


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition: from ``first`` on, up to ``end`` and without it."""

    first: int
    end: int

    def clipped(self, *, first: int = 0, end: int | None = None) -> Span:
        """What of it is from ``first`` on and before ``end``."""
        last = self.end if end is None else min(self.end, end)
        return Span(max(self.first, min(first, last)), max(self.first, last))


class LoggedRecord(Record, Protocol):
    """A record with its partition."""

    def partition(self) -> int: ...


class _Message:
    """A message of the client whose headers can be asked for at any time."""

    __slots__ = ("_message", "key", "offset", "partition", "timestamp", "value")

    def __init__(self, message: Any) -> None:
        self._message = message
        self.key = message.key
        self.offset = message.offset
        self.partition = message.partition
        self.timestamp = message.timestamp
        self.value = message.value

    def __len__(self) -> int:
        return len(self._message)

    def headers(self) -> Headers:
        return headers_of(self._message)


class Log:
    """The log of a topic. Close it, or use it in a ``with``.

    Only what is committed is seen. In memory are some megabytes of it at a time.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user.
        topic: the topic; it must exist.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, Any], topic: str) -> None:
        self._bootstrap = bootstrap
        self._extra = extra
        self._topic = topic
        options = {
            **reader_options(bootstrap, extra),
            # What is read was there before, so nothing is gained by waiting; and each assignment takes
            # effect only after the request that is under way.
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 10,
            "queued.min.messages": 10_000,
            "queued.max.messages.kbytes": 4_096,
            # Counted as compressed; records that repeat each other unpack to many times of it.
            "fetch.message.max.bytes": 65_536,
            "check.crcs": True,
        }
        self._trouble = options["error_cb"]
        self._client = opened(Client, options)

    def __enter__(self) -> Self:
        """Nothing is done yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def spans(self, partitions: Iterable[int]) -> dict[int, Span]:
        """What there is to read now, by partition.

        Raises:
            BrokerError: the broker does not tell.
        """
        until = time.monotonic() + _ENDS_TIMEOUT
        return {number: Span(*self._ends(number, until)) for number in partitions}

    def _ends(self, number: int, until: float) -> tuple[int, int]:
        """The first offset of a partition, and the one after the last that is committed."""
        part = TopicPartition(self._topic, number)
        try:
            low, high = retried(lambda: self._client.get_watermark_offsets(part, timeout=5.0), until=until)
        except KafkaException as error:
            raise BrokerError(
                f"{self._topic}[{number}] cannot be read, because Kafka at {self._bootstrap} did not tell "
                f"where it ends: {reason(error)}"
            ) from None
        return low, high

    def read(self, spans: Mapping[int, Span]) -> Iterator[LoggedRecord]:
        """Read these spans, each in order; several partitions are read at a time.

        Records that the topic's retention removes meanwhile are left out. One reading at a time: a new
        one ends the one before.

        Raises:
            BrokerError: the broker is away for too long, or refuses.
        """
        ends = {number: span.end for number, span in spans.items() if span.first < span.end}
        self._client.unassign()
        self._client.incremental_assign([self._at(number, spans[number].first) for number in ends])
        at = {number: spans[number].first for number in ends}
        heard = time.monotonic()
        while ends:
            first = self._client.poll(_TICK)
            if first is None:
                if time.monotonic() - heard > _PATIENCE:
                    raise self._silent()
                continue
            messages: list[Any] = [first, *self._client.consume(_HANDFUL, 0)]
            doubtful: set[int] = set()
            for message in messages:
                number = message.partition()
                end = ends.get(number)
                if end is None or number in doubtful:
                    continue
                if message.error() is not None:
                    if message.error().code() in UNREADABLE:
                        self._read_again(number, message.offset(), at[number])
                        doubtful.add(number)  # what comes behind it is not to be trusted
                        continue
                    if not self._ended(message, end):
                        continue
                    del ends[number]
                else:
                    at[number] = message.offset() + 1
                    if message.offset() < end:
                        yield _Message(message)
                    if message.offset() >= end - 1:
                        del ends[number]
                # After the yield: who reads may take its time.
                heard = time.monotonic()

    def _ended(self, message: Any, end: int) -> bool:
        """Take a message that tells of a condition; whether its partition has no more to read."""
        error = message.error()
        match error.code():
            case KafkaError._PARTITION_EOF:
                # Of a replica that lags it may come before the end that the leader told.
                return bool(message.offset() >= end)
            case KafkaError._AUTO_OFFSET_RESET:
                return self._skip_removed(message.partition(), end)
            case code if code == KafkaError.TOPIC_AUTHORIZATION_FAILED or error.fatal():
                raise BrokerError(f"{self._topic}[{message.partition()}] cannot be read: {reason(error)}")
        self._trouble.last = error
        return False

    def _read_again(self, number: int, first: int, position: int) -> None:
        """Look whether a batch can be read after all, and if so, read it.

        Raises:
            BrokerError: it cannot.
        """
        found = surveyed(self._bootstrap, self._extra, (self._topic, number), first)
        begin = max(first, position)
        if found is not None and found.end > begin:
            raise BrokerError(
                f"{self._topic}[{number}] cannot be read on: offsets {begin} to {found.end - 1} are in a "
                f"batch that is damaged, or unpacks to too much: {found.reason}. Nobody knows what is in it. "
                "See “Records that cannot be read” in docs/reliability.md."
            )
        self._client.incremental_unassign([TopicPartition(self._topic, number)])
        self._client.incremental_assign([self._at(number, begin)])

    def _skip_removed(self, number: int, end: int) -> bool:
        """Go on where the log begins now; a seek does not recover from that, assigning anew does."""
        low, _ = self._ends(number, time.monotonic() + _ENDS_TIMEOUT)
        self._client.incremental_unassign([TopicPartition(self._topic, number)])
        if low >= end:
            return True
        self._client.incremental_assign([self._at(number, low)])
        return False

    def _at(self, number: int, offset: int) -> TopicPartition:
        return TopicPartition(self._topic, number, offset)

    def _silent(self) -> BrokerError:
        last = self._trouble.last
        why = f" The last trouble: {reason(last)}." if last is not None else ""
        return BrokerError(
            f"reading {self._topic} broke off: nothing came from Kafka at {self._bootstrap} for "
            f"{_PATIENCE:g} s.{why}"
        )
