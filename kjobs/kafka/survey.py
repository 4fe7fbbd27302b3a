"""How far a batch reaches that the client has and cannot read: found by trying, with a client of its own.

The client tells where such a batch begins, and nobody tells where it ends. Reading from within gives the same
error; from behind it, what follows. So the end is where the one turns into the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ..core.events import Place
from ..errors import BrokerError
from .client import opened, reader_options, reason, retried

#: What the client says of a batch that it cannot read, however often it fetches it: the checksum is wrong;
#: it cannot be unpacked, or only to more than the client takes; it is packed in a way that nobody knows.
UNREADABLE = frozenset({KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED})

#: Seconds for the answer to one reading.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A batch that cannot be read: its offsets are ``[first, end)``.

    Attributes:
        reason: what the client says of it.
    """

    first: int
    end: int
    reason: str


class Survey:
    """Looks at the log of one partition from outside any group.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user: how much the client unpacks may be one of them.
        place: the partition.
    """

    def __init__(self, bootstrap: str, extra: Mapping[str, Any], place: Place) -> None:
        self._place = place
        self._client = opened(
            Client,
            {
                **reader_options(bootstrap, extra),
                "fetch.wait.max.ms": 10,
                "fetch.error.backoff.ms": 10,
                "fetch.message.max.bytes": 32_768,
                "check.crcs": True,
            },
        )

    def find(self, first: int) -> Unreadable | None:
        """How far the batch reaches that begins at ``first``; None if it can be read after all.

        Raises:
            BrokerError: Kafka does not answer.
        """
        said: list[str] = []

        def is_within(offset: int) -> bool:
            error = self._read(offset)
            # An error at another offset is about another batch: this one has ended by then.
            within = error is not None and error[0] == first
            if error is not None and within and not said:
                said.append(error[1])
            return within

        try:
            _, high = retried(
                lambda: self._client.get_watermark_offsets(TopicPartition(*self._place), timeout=_PATIENCE),
                until=time.monotonic() + _PATIENCE,
            )
        except KafkaException as error:
            raise self._silent(reason(error)) from None
        if not is_within(first):
            return None
        return Unreadable(first, border(first, high, is_within), said[0])

    def _read(self, offset: int) -> tuple[int, str] | None:
        """Read from an offset on: None if that can be done, or where what cannot be read is, and why."""
        self._client.assign([TopicPartition(*self._place, offset)])
        until = time.monotonic() + _PATIENCE
        last = "no answer"
        while time.monotonic() < until:
            message = self._client.poll(0.1)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return None
            # Only the first one counts: behind a wrong checksum the client stumbles through the batch.
            if error.code() in UNREADABLE:
                return message.offset() or 0, reason(error)
            last = reason(error)
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                break  # retention has removed it meanwhile: who reads it will be told so
        raise self._silent(last)

    def _silent(self, why: str) -> BrokerError:
        topic, number = self._place
        return BrokerError(f"where the unreadable batch of {topic}[{number}] ends is not known: {why}")

    def close(self) -> None:
        """Disconnect."""
        with suppress(KafkaException):
            self._client.close()


def border(inside: int, end: int, is_within: Callable[[int], bool]) -> int:
    """The first offset behind a stretch that ``inside`` is in.

    Args:
        inside: is within.
        end: is not; nor is anything behind an offset that is not.
        is_within: whether an offset is.
    """
    step = 1
    while inside + step < end:
        if not is_within(inside + step):
            end = inside + step
            break
        inside += step
        step *= 2
    while end - inside > 1:
        middle = (inside + end) // 2
        if is_within(middle):
            inside = middle
        else:
            end = middle
    return end


def surveyed(bootstrap: str, extra: Mapping[str, Any], place: Place, first: int) -> Unreadable | None:
    """How far the batch reaches that begins at ``first``; None if it can be read after all.

    Raises:
        BrokerError: Kafka does not answer.
    """
    survey = Survey(bootstrap, extra, place)
    try:
        return survey.find(first)
    finally:
        survey.close()
