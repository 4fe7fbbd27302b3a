"""The reader of the logs' ends, on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kjobs.core.events import Place
from kjobs.kafka.tail import Tail
from tests.kafka.broker import Broker
from tests.patience import until


class Reading:
    """A tail, and everything that it has read."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.broker = Broker(bootstrap)
        self.topic = f"{prefix}.log"
        self.broker.create({self.topic: 2})
        self.tail = Tail(bootstrap, {}, group=f"{prefix}.group", embedded=False)
        self.values: list[tuple[int, bytes]] = []
        self.positions: dict[int, int] = {}
        self.lost: set[Place] = set()

    def place(self, number: int = 0) -> Place:
        return self.topic, number

    def write(self, *values: bytes, number: int = 0) -> None:
        for value in values:
            self.broker.write(self.place(number), value)

    def until(self, number: int, position: int) -> list[bytes]:
        """Read until a partition is read so far; gives what was read of it."""

        def look() -> bool:
            records, positions, lost = self.tail.read(100, 0.05)
            for place, found in records.items():
                self.values += [(place[1], record.value()) for record in found]
            self.positions.update({place[1]: at for place, at in positions.items()})
            self.lost |= lost
            return self.positions.get(number) == position

        until(look, f"partition {number} is read up to {position}", told=lambda: repr(self.__dict__))
        return [value for at, value in self.values if at == number]


@pytest.fixture
def reading(kafka: str, topic_prefix: str) -> Iterator[Reading]:
    reading = Reading(kafka, topic_prefix)
    yield reading
    reading.tail.close()


def test_nothing_is_read_of_what_is_not_followed(reading: Reading) -> None:
    reading.write(b"a")
    assert reading.tail.read(10, 0.0) == ({}, {}, set())


def test_an_empty_log_is_read_to_its_end(reading: Reading) -> None:
    reading.tail.follow(reading.place(), 0)
    assert reading.until(0, 0) == []


def test_records_come_in_their_order_from_an_offset_on(reading: Reading) -> None:
    reading.write(b"a", b"b", b"c")
    reading.tail.follow(reading.place(), 1)
    assert reading.until(0, 3) == [b"b", b"c"]
    reading.write(b"d")
    assert reading.until(0, 4) == [b"b", b"c", b"d"]


def test_partitions_are_followed_and_left_one_by_one(reading: Reading) -> None:
    reading.write(b"a", number=0)
    reading.write(b"b", number=1)
    reading.tail.follow(reading.place(0), 0)
    assert reading.until(0, 1) == [b"a"]
    reading.tail.follow(reading.place(1), 0)
    assert reading.until(1, 1) == [b"b"]
    reading.tail.leave(reading.place(0))
    reading.write(b"c", number=0)
    reading.write(b"d", number=1)
    assert reading.until(1, 2) == [b"b", b"d"]
    assert reading.positions[0] == 1
    reading.tail.leave(reading.place(0))  # it is no matter that it is not followed
    reading.tail.follow(reading.place(0), 1)
    assert reading.until(0, 2) == [b"a", b"c"]


def test_a_log_can_be_read_again(reading: Reading) -> None:
    reading.write(b"a", b"b")
    reading.tail.follow(reading.place(), 0)
    reading.until(0, 2)
    reading.positions.clear()
    reading.tail.follow(reading.place(), 0)
    assert reading.until(0, 2) == [b"a", b"b", b"a", b"b"]


@pytest.mark.parametrize("offset", [0, 9], ids=["before its beginning", "beyond its end"])
def test_a_log_that_does_not_have_what_is_to_be_read_next_is_told(reading: Reading, offset: int) -> None:
    reading.write(b"a", b"b", b"c")
    reading.broker.delete_records(reading.place(), 2)
    reading.tail.follow(reading.place(), offset)

    def look() -> Any:
        return reading.tail.read(10, 0.05)[2]

    assert until(look, "it is told") == {reading.place()}
    reading.tail.follow(reading.place(), 2)
    assert reading.until(0, 3) == [b"c"]
