"""A dead letter, as it is read from its record. The headers are described in ``docs/wire-format.md``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ..core.envelope import Malformed, decode
from ..core.ports import Headers
from ..kafka.log import LoggedRecord

#: More digits than any number in a header of kjobs has.
_LONGEST_NUMBER = 18


class State(StrEnum):
    """What was done about a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A call that was given up on, with its bytes as they were enqueued.

    Attributes:
        id: the call's id; made of its topic, partition and offset if it had none.
        job: the job's name; None if the value cannot be read.
        queue: the queue it died in.
        key: the ordering key as text.
        reason: why it was given up: one of :class:`kjobs.core.outcome.Reason`, or that of a later version.
        error: the full name of the last exception's class.
        message: what that exception said.
        traceback: where it was raised, if that was kept.
        attempts: how often it failed.
        partition: the partition of the dead letter topic, and of the queue.
        offset: the letter's offset in the dead letter topic.
        failed_at: when it was given up.
        enqueued_at: when the call was enqueued.
        value: the record's value, to the byte.
        record_key: the record's key, to the byte.
        headers: all headers of the record: the call's and, beginning with ``kj-``, those of its death.
        replay_of: the dead letter it was replayed from, as ``topic[partition]@offset``, if it was.
        replays: how often the call was replayed before this death.
        state: whether it was replayed or discarded since.
    """

    id: str
    job: str | None
    queue: str
    key: str | None
    reason: str
    error: str
    message: str
    traceback: str | None
    attempts: int
    partition: int
    offset: int
    failed_at: datetime | None
    enqueued_at: datetime | None
    value: bytes | None
    record_key: bytes | None
    headers: Headers
    replay_of: str | None
    replays: int
    state: State

    @property
    def place(self) -> str:
        """Where it is in the dead letter topic, as ``partition@offset``; names it as well as its id does."""
        return f"{self.partition}@{self.offset}"

    @property
    def call_headers(self) -> Headers:
        """The headers that the call had, without those that kjobs wrote."""
        return [(name, value) for name, value in self.headers if not name.startswith("kj-")]


def dead_letter(record: LoggedRecord, *, topic: str, queue: str, state: State) -> DeadLetter:
    """Read a dead letter.

    Args:
        record: of the dead letter topic; whoever wrote it, this does not fail.
        topic: the name of the dead letter topic.
        queue: its queue.
        state: what its settlement says.
    """
    headers = record.headers() or ()
    kj = {name: readable(value) for name, value in headers if name.startswith("kj-") and value is not None}
    written_ms = record.timestamp()[1]
    return DeadLetter(
        id=kj.get("kj-id") or f"{topic}-{record.partition()}-{record.offset()}",
        job=kj.get("kj-job"),
        queue=queue,
        key=None if (key := record.key()) is None else readable(key),
        reason=kj.get("kj-reason", ""),
        error=kj.get("kj-error", ""),
        message=kj.get("kj-message", ""),
        traceback=kj.get("kj-traceback"),
        attempts=number(kj.get("kj-attempts")) or 0,
        partition=record.partition(),
        offset=record.offset(),
        failed_at=moment(number(kj.get("kj-failed-at")) or written_ms),
        enqueued_at=moment(_enqueued_ms(record.value()) or number(kj.get("kj-timestamp"))),
        value=record.value(),
        record_key=key,
        headers=headers,
        replay_of=kj.get("kj-replay-of"),
        replays=number(kj.get("kj-replays")) or 0,
        state=state,
    )


def readable(raw: bytes) -> str:
    """Bytes as text; those that are none are spelled out."""
    return raw.decode("utf-8", "backslashreplace")


def last(headers: Headers, name: str) -> str | None:
    """The last header of this name as text: kjobs writes its own after those the call came with."""
    found = next((value for other, value in reversed(headers) if other == name), None)
    return None if found is None else readable(found)


def number(digits: str | None) -> int | None:
    """A whole number of zero or more from a header, or None."""
    if digits is None or len(digits) > _LONGEST_NUMBER or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def _enqueued_ms(value: bytes | None) -> int | None:
    try:
        return decode(value).at
    except Malformed:
        return None


def moment(ms: int | None) -> datetime | None:
    """A time in milliseconds since the epoch, or None if it is none."""
    try:
        return None if not ms or ms < 0 else datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
