"""What a log of the deferred store holds, and what of it is of use."""

from __future__ import annotations

from kjobs.core.deferred import Answered, Change, End, Move, Row, Verdict
from kjobs.deferred import wire
from kjobs.deferred.room import Room

LARGE = bytes(100_000)


class Log:
    """A log of which a room hears."""

    def __init__(self) -> None:
        self.room = Room()
        self.end = 0

    def write(self, change: Change) -> int:
        """Append a record; returns its offset."""
        written = wire.written(change)
        offset, self.end = self.end, self.end + 1
        read = wire.change(written.key, written.value, written.headers, offset)
        self.room.take(read, written.key, written.value, written.headers)
        return offset


def call(name: str, value: bytes = LARGE, of: int = -1) -> Row:
    """A call."""
    return Row(id=name, value=value, due_ms=1, of=of)


def test_a_log_is_crowded_when_it_is_large_and_much_of_it_is_of_no_use() -> None:
    log = Log()
    log.write(call("long", b"{}"))
    for number in range(30):
        of = log.write(call(f"n{number}"))
        assert log.room.crowded is (number > 19)  # 2 MiB, and 8 of 21 are of use
        if number % 5 < 3:
            log.write(End(id=f"n{number}", of=of))


def test_a_log_of_calls_that_wait_is_not_crowded_however_large() -> None:
    log = Log()
    for number in range(40):
        log.write(call(f"n{number}"))
    assert not log.room.crowded
    for number in range(0, 40, 4):
        log.write(End(id=f"n{number}"))
    assert not log.room.crowded


def test_what_may_be_dropped_is_not_counted() -> None:
    log = Log()
    offsets = [log.write(call("same")) for _ in range(40)]
    assert log.room.crowded
    log.room.forget(offsets[-1])
    assert not log.room.crowded


def test_the_oldest_are_those_with_the_oldest_last_record() -> None:
    log = Log()
    for name in "abc":
        log.write(call(name, b"{}"))
    log.write(call("a", b"{}"))
    log.write(End(id="b", of=0))  # it ends what was before
    assert log.room.oldest() == ["b", "c", "a"]
    log.write(call("b", b"{}", of=0))  # so does this
    log.write(Move(request="r", id="a", due_ms=5))
    log.write(Answered(request="a", verdict=Verdict.GONE))
    assert log.room.oldest() == ["b", "c", "a"]
    log.write(End(id="b", request="q"))
    log.write(End(id="nobody"))
    assert log.room.oldest() == ["c", "a"]


def test_the_oldest_are_a_handful_and_one_at_least() -> None:
    log = Log()
    for number in range(9):
        log.write(call(f"n{number}"))
    assert log.room.oldest() == ["n0", "n1"]
    log = Log()
    log.write(call("huge", bytes(900_000)))
    log.write(call("n", b"{}"))
    assert log.room.oldest() == ["huge"]
