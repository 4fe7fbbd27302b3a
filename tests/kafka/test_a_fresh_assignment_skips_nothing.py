"""What the first poll after an assignment brings is taken whole, in whatever runs it comes.

No broker is needed: the messages are made up, as a client hands them out that reads several partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError

from kjobs.core.events import Event, Fetched, Place, Skipped
from kjobs.kafka.consumer import Consumer

_ONE, _TWO = ("topic", 1), ("topic", 2)


class _Error(NamedTuple):
    number: int

    def code(self) -> int:
        return self.number


@dataclass(frozen=True)
class _Message:
    place: Place
    at: int
    failure: _Error | None = None

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.at

    def error(self) -> _Error | None:
        return self.failure


class _Client:
    """Hands out one batch, after it has said that a partition was assigned."""

    def __init__(self, messages: list[_Message]) -> None:
        self._messages = messages
        self.assign: Any = None
        self.sought: list[tuple[Place, int]] = []

    def poll(self, _: float) -> _Message | None:
        self.assign()
        self.assign = lambda: None
        return self._messages.pop(0) if self._messages else None

    def consume(self, count: int, _: float) -> list[_Message]:
        return self._messages[:count]

    def seek(self, part: Any) -> None:
        self.sought.append(((part.topic, part.partition), part.offset))


def _end(place: Place, offset: int) -> _Message:
    return _Message(place, offset, _Error(KafkaError._PARTITION_EOF))


def _first_poll(messages: list[_Message], starts: dict[Place, int]) -> tuple[list[Event], _Client]:
    consumer = Consumer(
        {"bootstrap.servers": "127.0.0.1:1", "group.id": "nobody"},
        None,  # type: ignore[arg-type]
        listener=lambda event: None,
        on_revoke=lambda places: None,
        on_resume=lambda place, found: None,
        on_unreadable=lambda place, found: None,
        position=lambda place: None,
        survey=lambda place, first: None,
    )
    client = _Client(messages)
    client.assign = lambda: consumer._fresh.update(starts)
    consumer._client.close()
    consumer._client = client  # type: ignore[assignment]
    return consumer.poll(0.0, 1000), client


def _offsets(events: list[Event], place: Place) -> list[Any]:
    found: list[Any] = []
    for event in events:
        if isinstance(event, Fetched) and event.place == place:
            found += [record.offset() for record in event.records]
        elif isinstance(event, Skipped) and event.place == place:
            found.append(f"end {event.offset}")
    return found


def test_two_runs_of_one_partition_are_both_taken() -> None:
    batch = [_Message(_TWO, 1), _Message(_ONE, 5), _Message(_TWO, 2), _end(_TWO, 3)]
    events, client = _first_poll(batch, {_ONE: 5, _TWO: 1})
    # Dropping the second run and believing the end would lose offset 2 for ever.
    assert _offsets(events, _TWO) == [1, 2, "end 3"]
    assert _offsets(events, _ONE) == [5]
    assert not client.sought


@pytest.mark.parametrize(
    "batch",
    [
        [_Message(_TWO, 7), _Message(_TWO, 8)],
        [_end(_TWO, 9)],
        [_Message(_TWO, 8), _end(_TWO, 9)],
    ],
)
def test_what_was_fetched_before_is_dropped_and_its_end_is_not_believed(batch: list[_Message]) -> None:
    events, client = _first_poll(batch, {_TWO: 1})
    assert not _offsets(events, _TWO)
    assert set(client.sought) == {(_TWO, 1)}


def test_what_comes_after_the_outdated_is_taken() -> None:
    batch = [_Message(_TWO, 8), _Message(_ONE, 5), _Message(_TWO, 1), _Message(_TWO, 2), _end(_TWO, 3)]
    events, _ = _first_poll(batch, {_ONE: 5, _TWO: 1})
    assert _offsets(events, _TWO) == [1, 2, "end 3"]
