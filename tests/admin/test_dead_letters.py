"""What is made of records, without a broker."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.admin.deadletter import DeadLetter, State, dead_letter
from kjobs.admin.filters import Filter
from kjobs.admin.replay import batches, note, replayed_call
from kjobs.admin.settlement import Fold, Settlement, settlement, whoami
from kjobs.kafka.log import Span

if TYPE_CHECKING:
    from kjobs.core.ports import Headers


@dataclass
class Stored:
    """A record as the log holds it."""

    place: tuple[int, int] = (0, 0)
    key_: bytes | None = None
    value_: bytes | None = None
    headers_: Headers | None = field(default_factory=list)
    written: int = 0

    def partition(self) -> int:
        return self.place[0]

    def offset(self) -> int:
        return self.place[1]

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> Headers | None:
        return self.headers_

    def timestamp(self) -> tuple[int, int]:
        return 1, self.written

    def __len__(self) -> int:
        return len(self.value_ or b"")


def read(record: Stored, state: State = State.OPEN) -> DeadLetter:
    """A record as a letter."""
    return dead_letter(record, topic="k.mail.dead", queue="mail", state=state)


# --- reading -------------------------------------------------------------------------------------------

_names = st.sampled_from(
    ["kj-id", "kj-attempts", "kj-failed-at", "kj-timestamp", "kj-replays", "kj-settles", "kj-settled-at", "x"]
)
_values = st.none() | st.binary(max_size=20) | st.integers().map(lambda number: str(number).encode())
_records = st.builds(
    Stored,
    st.tuples(st.integers(0, 9), st.integers(0, 99)),
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=20) | st.just(b'{"job":"a","at":99999999999999999}'),
    st.none() | st.lists(st.tuples(_names, _values)),
    st.integers(-1, 2**63 - 1),
)


@given(_records)
def test_no_record_is_too_strange_to_be_read(record: Stored) -> None:
    letter = read(record)
    assert letter.id
    assert (letter.value, letter.record_key) == (record.value_, record.key_)
    Filter(since=datetime.now(UTC)).matches(letter)
    found = settlement(record)
    assert found is None or found.offset < record.offset()


def test_of_several_headers_of_a_name_the_last_counts() -> None:
    """A call may come with headers of that name; those of its death are written after them."""
    letter = read(Stored(headers_=[("kj-replays", b"7"), ("kj-id", b"forged"), ("kj-id", b"true")]))
    assert (letter.id, letter.replays) == ("true", 7)


# --- writing -------------------------------------------------------------------------------------------


def test_a_settlement_is_read_as_it_was_written() -> None:
    letter = read(Stored((3, 17), b"\xff", b"value"))
    at = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)
    written = Settlement(17, State.REPLAYED, at, "ann@host")
    record = note(letter, written, "k.mail.dead")
    assert (record.topic, record.partition, record.key, record.value) == ("k.mail.dead", 3, b"\xff", None)
    assert settlement(Stored((3, 20), headers_=record.headers)) == written


@pytest.mark.parametrize(
    ("settled", "state"),
    [(b"replayed", State.REPLAYED), (b"discarded", State.DISCARDED), (b"archived", State.DISCARDED)],
)
def test_a_settled_letter_is_not_open_whatever_was_done(settled: bytes, state: State) -> None:
    found = settlement(Stored((0, 5), headers_=[("kj-settles", b"4"), ("kj-settled", settled)]))
    assert found is not None
    assert found.state is state


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, [("kj-settles", b"5"), ("kj-settled", b"replayed")]),  # itself
        (None, [("kj-settles", b"6"), ("kj-settled", b"replayed")]),  # what is not there yet
        (None, [("kj-settles", b"-1"), ("kj-settled", b"replayed")]),
        (None, [("kj-settles", None)]),
        (None, [("kj-settled", b"replayed")]),
        (b"", [("kj-settles", b"4"), ("kj-settled", b"replayed")]),
        (b"{}", [("kj-settles", b"4"), ("kj-settled", b"replayed")]),
    ],
)
def test_what_is_no_settlement(value: bytes | None, headers: Headers) -> None:
    assert settlement(Stored((0, 5), value_=value, headers_=headers)) is None


def test_a_replay_counts_and_leaves_the_headers_of_the_death_behind() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("traceparent", b"00-1"),
        ("kj-replay-of", b"k.mail.dead[3]@9"),
        ("kj-replays", b"4"),
        ("kj-reason", b"rejected"),
        ("x", None),
    ]
    letter = read(Stored((3, 17), b"7", b"value", headers))
    call = replayed_call(letter, "k.mail", "k.mail.dead")
    assert (call.topic, call.partition, call.key, call.value) == ("k.mail", 3, b"7", b"value")
    assert call.headers == [
        ("traceparent", b"00-1"),
        ("x", None),
        ("kj-replay-of", b"k.mail.dead[3]@17"),
        ("kj-replays", b"5"),
    ]


@pytest.mark.parametrize(
    ("size", "sizes"), [(10, [500, 500, 200]), (1024 * 1024, [4] * 300), (0, [500, 500, 200])]
)
def test_batches_are_bounded_by_letters_and_by_bytes(size: int, sizes: list[int]) -> None:
    letter = read(Stored(value_=bytes(size)))
    assert [len(batch) for batch in batches([letter] * 1200)] == sizes


def test_who_settles_is_named() -> None:
    assert whoami() == f"{getpass.getuser()}@{socket.gethostname()}"


def test_who_has_no_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr(getpass, "getuser", nobody)
    user, _, _ = whoami().partition("@")
    assert user.isdigit()


# --- folding -------------------------------------------------------------------------------------------


def test_the_fold_knows_the_state_of_each_letter() -> None:
    fold = Fold({0: Span(10, 20), 1: Span(0, 5)})

    def settle(place: tuple[int, int], offset: int, state: State) -> None:
        headers = Settlement(offset, state, None, "").headers
        fold.take(Stored(place, headers_=headers))

    for offset in (10, 11, 12):
        fold.take(Stored((0, offset), value_=b"x"))
    fold.take(Stored((1, 0), value_=None))  # a letter of a tombstone
    settle((0, 14), 11, State.REPLAYED)
    settle((0, 15), 12, State.DISCARDED)
    settle((0, 16), 3, State.DISCARDED)  # of one that retention removed
    assert [fold.state(0, offset) for offset in (10, 11, 12)] == [
        State.OPEN,
        State.REPLAYED,
        State.DISCARDED,
    ]
    assert fold.state(1, 0) is State.OPEN
    assert fold.ends == {0: 13, 1: 1}


# --- filters -------------------------------------------------------------------------------------------


def test_times_without_zone_are_refused() -> None:
    with pytest.raises(ValueError, match=r"since=2026-01-01 00:00:00: the time has no time zone"):
        Filter(since=datetime(2026, 1, 1))


def test_bounds_in_time_are_half_open() -> None:
    letter = read(Stored(headers_=[("kj-failed-at", b"1795527108240")]))
    at = letter.failed_at
    assert at is not None
    assert Filter(since=at).matches(letter)
    assert not Filter(until=at).matches(letter)


@pytest.mark.parametrize(
    ("error", "asked", "matches"),
    [
        ("builtins.ValueError", "ValueError", True),
        ("builtins.ValueError", "builtins.ValueError", True),
        ("builtins.ValueError", "Error", False),
        ("shop.mail.Bounce", "mail.Bounce", True),
        ("shop.mail.Bounce", "ail.Bounce", False),
        ("ValueError", "ValueError", True),
        ("", "ValueError", False),
    ],
)
def test_an_error_is_named_by_the_end_of_its_name(error: str, asked: str, matches: bool) -> None:
    letter = read(Stored(headers_=[("kj-error", error.encode())]))
    assert Filter(error=asked).matches(letter) is matches


def test_a_key_is_compared_as_bytes() -> None:
    assert Filter(key="é").matches(read(Stored(key_="é".encode())))
    assert not Filter(key="").matches(read(Stored(key_=None)))
    assert Filter(key="").matches(read(Stored(key_=b"")))
    assert not Filter(key="\\xff").matches(read(Stored(key_=b"\xff")))
