"""Records of the deferred store's log, byte by byte, and what is made of those of others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kjobs.core.deferred import QUEUED, Answered, Change, End, Move, Row, Verdict
from kjobs.deferred import wire

CALL = b'{"id":"a","job":"j"}'

#: Every kind of record with every header, as it must be written for ever, and what it says.
GOLDEN = {
    "a call that an enqueuer delays": (
        b"a",
        CALL,
        [
            ("trace", b"1"),
            ("trace", None),
            ("kj-due", b"1700000000000"),
            ("kj-key", b"k\xff"),
            ("kj-since", b"9"),
        ],
        Row(
            id="a",
            value=CALL,
            due_ms=1_700_000_000_000,
            key=b"k\xff",
            since_ms=9,
            headers=[("trace", b"1"), ("trace", None)],
            offset=5,
        ),
    ),
    "a call that lets others pass": (
        b"a",
        CALL,
        [("kj-due", b"7"), ("kj-key", b"k"), ("kj-relaxed", b"1"), ("kj-since", b"7")],
        Row(id="a", value=CALL, due_ms=7, key=b"k", relaxed=True, since_ms=7, offset=5),
    ),
    "a call of the queue that waits for a retry": (
        b"a@41",
        CALL,
        [
            ("kj-due", b"7"),
            ("kj-key", b""),
            ("kj-since", b"3"),
            ("kj-of", b"40"),
            ("kj-failures", b"2"),
            ("kj-rank", b"41"),
            ("kj-topic-id", b"fGQ-x_0"),
            ("kj-owner", b"12.4be0"),
        ],
        Row(
            id="a@41",
            value=CALL,
            due_ms=7,
            key=b"",
            failures=2,
            since_ms=3,
            rank=(41, QUEUED),
            topic_id="fGQ-x_0",
            owner=(12, "4be0"),
            of=40,
            offset=5,
        ),
    ),
    "a call that has saved how far it is, and whose process has crashed": (
        b"a@41",
        CALL,
        [
            ("kj-due", b"7"),
            ("kj-since", b"3"),
            ("kj-of", b"40"),
            ("kj-crashes", b"2"),
            ("kj-rank", b"41"),
            ("kj-topic-id", b"t"),
            ("kj-state", b'{"page":7}'),
            ("kj-owner", b"12.4be0"),
        ],
        Row(
            id="a@41",
            value=CALL,
            due_ms=7,
            crashes=2,
            since_ms=3,
            rank=(41, QUEUED),
            topic_id="t",
            owner=(12, "4be0"),
            state=b'{"page":7}',
            of=40,
            offset=5,
        ),
    ),
    "a delayed call in its place, that was moved": (
        b"a",
        CALL,
        [
            ("kj-due", b"7"),
            ("kj-key", b"k"),
            ("kj-since", b"3"),
            ("kj-expires", b"8"),
            ("kj-of", b"0"),
            ("kj-rank", b"-4503599627370491.3"),
            ("kj-topic-id", b""),
            ("kj-owner", b"1.w"),
        ],
        Row(
            id="a",
            value=CALL,
            due_ms=7,
            key=b"k",
            since_ms=3,
            expires_ms=8,
            rank=(5 - (1 << 52), 3),
            owner=(1, "w"),
            of=0,
            offset=5,
        ),
    ),
    "a record of the queue that had no value": (
        b"q-0-3@3",
        b"",
        [
            ("kj-due", b"0"),
            ("kj-null", b"1"),
            ("kj-since", b"3"),
            ("kj-rank", b"3"),
            ("kj-topic-id", b"t"),
            ("kj-owner", b"1.w"),
        ],
        Row(
            id="q-0-3@3",
            value=None,
            due_ms=0,
            since_ms=3,
            rank=(3, QUEUED),
            topic_id="t",
            owner=(1, "w"),
            offset=5,
        ),
    ),
    "an end": (
        b"a",
        None,
        [("kj-of", b"4"), ("kj-owner", b"1.w")],
        End(id="a", of=4, owner=(1, "w"), offset=5),
    ),
    "somebody cancels": (b"a", None, [("kj-request", b"r")], End(id="a", request="r", offset=5)),
    "somebody cancels and does not ask": (b"a", None, [], End(id="a", offset=5)),
    "somebody wants another time": (
        b"r",
        b"",
        [("kj-move", b"a@41"), ("kj-due", b"9")],
        Move(request="r", id="a@41", due_ms=9, offset=5),
    ),
    "an answer": (
        b"r",
        None,
        [("kj-answer", b"started")],
        Answered(request="r", verdict=Verdict.STARTED, offset=5),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_records_are_written_as_ever(name: str) -> None:
    key, value, headers, change = GOLDEN[name]
    record = wire.written(change)
    assert (record.key, record.value, list(record.headers)) == (key, value, headers)


@pytest.mark.parametrize("name", GOLDEN)
def test_records_are_read_as_ever(name: str) -> None:
    key, value, headers, change = GOLDEN[name]
    assert wire.change(key, value, headers, 5) == change


@pytest.mark.parametrize("verdict", Verdict)
def test_every_answer_can_be_told(verdict: Verdict) -> None:
    answer = Answered(request="r", verdict=verdict, offset=5)
    assert _through(answer) == answer


# --- anything at all ---------------------------------------------------------------------------------

_bytes = st.binary(max_size=12)
#: Text that an id may be: what is not UTF-8 in the log is no text either.
_ids = _bytes.map(wire.name_text)
_numbers = st.integers(-(1 << 61), 1 << 61)
_naturals = st.integers(0, 1 << 61)
_owners = st.just((0, "")) | st.tuples(_naturals, st.text("0123456789abcdef", min_size=1, max_size=8))
_plain = st.lists(st.tuples(st.text("abc-", max_size=4), st.none() | _bytes), max_size=3)
_keyed = st.one_of(
    st.fixed_dictionaries({"key": st.none(), "relaxed": st.just(value=False)}),
    st.fixed_dictionaries({"key": _bytes, "relaxed": st.booleans()}),
)
_ranked = st.one_of(
    st.fixed_dictionaries({"rank": st.none(), "topic_id": st.just("")}),
    st.fixed_dictionaries(
        {
            "rank": st.tuples(_numbers, _naturals | st.just(QUEUED)),
            "topic_id": st.text("abc-_", max_size=6),
        }
    ),
)


def _row(keyed: dict[str, Any], ranked: dict[str, Any], headers: list[Any], **rest: Any) -> Row:
    return Row(**keyed, **ranked, headers=headers or None, **rest)


_rows = st.builds(
    _row,
    _keyed,
    _ranked,
    _plain,
    id=_ids,
    value=st.none() | _bytes,
    due_ms=_numbers,
    failures=_naturals,
    since_ms=_numbers,
    owner=_owners,
    expires_ms=st.none() | _numbers,
    of=st.integers(-1, 1 << 61),
)
_ends = st.builds(End, id=_ids, of=st.none() | _naturals, owner=_owners, request=st.just(""))
_wishes = st.builds(End, id=_ids, request=_ids)
_moves = st.builds(Move, request=_ids.filter(bool), id=_ids, due_ms=_numbers)
_answers = st.builds(Answered, request=_ids, verdict=st.sampled_from(Verdict))


def _through(change: Change, offset: int = 5) -> Change:
    record = wire.written(change)
    return wire.change(record.key, record.value, record.headers, offset)


@settings(max_examples=500)
@given(st.one_of(_rows, _ends, _wishes, _moves, _answers), _naturals)
def test_what_is_written_is_read(change: Change, offset: int) -> None:
    assert _through(change, offset) == replace(change, offset=offset)


_kj = [
    wire.DUE,
    wire.KEY,
    wire.RELAXED,
    wire.FAILURES,
    wire.SINCE,
    wire.RANK,
    wire.TOPIC_ID,
    wire.OWNER,
    wire.EXPIRES,
    wire.NULL,
    wire.OF,
    wire.REQUEST,
    wire.MOVE,
    wire.ANSWER,
]
_odd = st.one_of(
    st.none(),
    _bytes,
    st.integers().map(lambda number: b"%d" % number),
    st.tuples(st.integers(), st.integers()).map(lambda pair: b"%d.%d" % pair),
    st.sampled_from(
        [b"9" * 5_000, b"1.", b".1", b"1.2.3", b"-0", b" 7 ", b"1_0", b"0x1", "٣".encode(), b"moved"]
    ),
)


@settings(max_examples=1_000)
@given(
    key=st.none() | _bytes,
    value=st.none() | _bytes | st.sampled_from([CALL, b'{"job":"j","due":9}', b'{"job":"j","due":1e99}']),
    headers=st.lists(st.tuples(st.sampled_from(_kj) | st.text(max_size=3), _odd), max_size=6),
    offset=_naturals,
)
def test_whatever_a_record_says_it_is_a_change_that_every_store_can_keep(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], offset: int
) -> None:
    change = wire.change(key, value, headers, offset)
    assert change.offset == offset
    assert isinstance(change, End | Answered) is (value is None)
    if isinstance(change, Row):
        numbers = (change.due_ms, change.since_ms, change.of, change.owner[0], *(change.rank or ()))
        assert max(map(abs, numbers)) < 1 << 62
        assert change.failures >= 0
        assert change.of >= -1
        # And it can be written once more, as the same.
        again = _through(change, offset)
        assert isinstance(again, Row)
        assert (again.id, again.due_ms, again.rank) == (change.id, change.due_ms, change.rank)


# --- records of others -------------------------------------------------------------------------------


def test_a_call_of_somebody_else_is_due_as_its_value_says() -> None:
    value = b'{"job":"j","due":1700000000000}'
    change = wire.change(b"a", value, [], 5)
    assert change == Row(id="a", value=value, due_ms=1_700_000_000_000, since_ms=1_700_000_000_000, offset=5)


def test_its_header_counts_more_than_its_value() -> None:
    change = wire.change(b"a", b'{"job":"j","due":1700000000000}', [("kj-due", b"9")], 5)
    assert isinstance(change, Row)
    assert (change.due_ms, change.since_ms) == (9, 9)


@pytest.mark.parametrize("value", [b"", b"no call", b'{"job":"j"}', b'{"job":"j","due":-1}', b"\xff"])
def test_a_record_that_says_no_time_is_due_at_once(value: bytes) -> None:
    change = wire.change(b"a", value, [], 5)
    assert change == Row(id="a", value=value, due_ms=0, offset=5)


def test_a_key_alone_is_a_call_that_will_be_found_out() -> None:
    assert wire.change(b"a", b"", [], 5) == Row(id="a", value=b"", due_ms=0, offset=5)


def test_records_without_a_key_are_calls_of_their_own() -> None:
    first, second = (wire.change(None, CALL, [], offset) for offset in (5, 6))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.id, second.id) == ("@5", "@6")


def test_an_empty_key_is_one() -> None:
    call = wire.change(b"", CALL, [], 5)
    assert isinstance(call, Row)
    assert call.id == ""
    assert wire.written(End(id=call.id, of=5, owner=(1, "w"))).key == b"", "it could never be removed"


def test_a_header_that_comes_twice_counts_as_the_last_says() -> None:
    change = wire.change(b"a", CALL, [("kj-due", b"1"), ("x", b""), ("kj-due", b"2")], 5)
    assert isinstance(change, Row)
    assert (change.due_ms, change.headers) == (2, [("x", b"")])


def test_an_answer_that_nobody_knows_is_one() -> None:
    assert wire.change(b"r", None, [("kj-answer", b"later")], 5) == Answered(
        request="r", verdict=Verdict.UNKNOWN, offset=5
    )


def test_a_wish_for_another_time_that_nobody_could_be_answered_is_none() -> None:
    for key in (None, b""):
        assert isinstance(wire.change(key, b"", [("kj-move", b"a"), ("kj-due", b"9")], 5), Row)


def test_headers_of_a_call_cannot_make_it_something_else() -> None:
    """A record of the queue may have any headers, and is written to the log with them."""
    odd = [(name, b"1") for name in _kj] + [("mine", b"2")]
    call = Row(id="a@3", value=CALL, due_ms=7, rank=(3, QUEUED), topic_id="t", owner=(1, "w"), headers=odd)
    assert _through(call) == replace(call, headers=[("mine", b"2")], offset=5)


def test_a_call_that_has_no_value_is_no_tombstone() -> None:
    call = Row(id="a@3", value=None, due_ms=7, rank=(3, QUEUED), topic_id="t", owner=(1, "w"))
    assert wire.written(call).value is not None
    assert _through(call) == replace(call, offset=5)


def test_an_enqueuers_headers_are_its_own_and_kjobs() -> None:
    assert wire.delayed(7, None, relaxed=False, headers=None) == [("kj-due", b"7")]
    assert wire.delayed(7, None, relaxed=True, headers=None) == [("kj-due", b"7")]
    assert wire.delayed(7, b"k", relaxed=True, headers=(("a", b"1"),)) == [
        ("a", b"1"),
        ("kj-due", b"7"),
        ("kj-key", b"k"),
        ("kj-relaxed", b"1"),
    ]
