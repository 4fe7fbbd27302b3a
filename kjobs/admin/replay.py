"""What is written to replay or discard dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..kafka.transaction import Write
from .deadletter import DeadLetter
from .settlement import Settlement

#: Letters written together at most, and the bytes of their values and headers after which they are enough.
_LETTERS = 500
_BYTES = 4 * 1024 * 1024


def replayed_call(letter: DeadLetter, topic: str, dead_topic: str) -> Write:
    """The call of a letter as it was enqueued, for the partition that it died in.

    So calls of one key come in the order of their deaths, be the key null. Each goes on where it was.
    """
    origin = f"{dead_topic}[{letter.partition}]@{letter.offset}"
    headers = [
        *letter.call_headers,
        *((name, value) for name, value in letter.headers if name == "kj-state"),
        ("kj-replay-of", origin.encode()),
        ("kj-replays", str(letter.replays + 1).encode()),
    ]
    about = f"letter {letter.place}"
    return Write(topic, letter.partition, letter.record_key, letter.value, headers, about)


def note(letter: DeadLetter, settlement: Settlement, dead_topic: str) -> Write:
    """The record that says of a letter what was done about it."""
    about = f"the settlement of letter {letter.place}"
    return Write(dead_topic, letter.partition, letter.record_key, None, settlement.headers, about)


def batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Group letters into those that are written together."""
    batch: list[DeadLetter] = []
    size = 0
    for letter in letters:
        batch.append(letter)
        size += len(letter.value or b"") + sum(len(value or b"") for _, value in letter.headers)
        if len(batch) == _LETTERS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
