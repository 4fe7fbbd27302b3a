"""The wire form of a call: what is read for ever, what is written, and what is no call."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kjobs.core.envelope import VERSION, Envelope, Malformed, Outgoing, decode
from tests.core.goldens import Golden, golden, goldens


def plain(envelope: Envelope) -> dict[str, Any]:
    """An envelope's fields, with its arguments read as plain JSON."""
    fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    return {**fields, **{name: msgspec.json.decode(fields[name]) for name in ("args", "kwargs")}}


def test_there_are_golden_envelopes_of_every_version() -> None:
    assert {found.name.partition("/")[0] for found in goldens()} == {
        f"v{version}" for version in range(1, VERSION + 1)
    }


@pytest.mark.parametrize("known", goldens(), ids=lambda known: known.name)
def test_golden_envelopes_decode_for_ever(known: Golden) -> None:
    assert plain(decode(known.wire)) == known.decoded


def test_a_job_and_its_arguments_are_enough() -> None:
    envelope = decode(b'{"job":"mail.send","args":[7]}')
    assert plain(envelope) == {
        "job": "mail.send",
        "id": "",
        "args": [7],
        "kwargs": {},
        "at": 0,
        "due": None,
        "expires": None,
        "v": 1,
    }


def test_what_is_written_is_what_this_version_promised() -> None:
    plainly = Outgoing(
        "01936f2e7c1a7b3e9d5a4c2b1f0e8d7c",
        "shop.mail.send_email",
        (7,),
        {"template": "welcome"},
        1795452627661,
    )
    assert msgspec.json.encode(plainly) == golden("v1/kjobs-0.1.0").wire
    timed = Outgoing(
        "01936f2e7c1a7b3e9d5a4c2b1f0e8d7c",
        "shop.mail.send_email",
        (),
        {},
        1795452627661,
        1795452632661,
        1795456232661,
    )
    assert msgspec.json.encode(timed) == golden("v1/kjobs-0.1.0-timed").wire


# --- what is no call ----------------------------------------------------------------------------------

MALFORMED = {
    "no value": None,
    "empty": b"",
    "white space": b"  \n",
    "random bytes": bytes(range(255, 155, -1)),
    "NUL bytes": b"\0" * 64,
    "text": b"hello",
    "truncated": b'{"job":"mail.send","args":[7',
    "truncated in a text": b'{"job":"mail.se',
    "something behind it": b'{"job":"j"} {"job":"k"}',
    "bad UTF-8 in the job": b'{"job":"mail.\xff\xfe"}',
    "bad UTF-8 in the id": b'{"job":"j","id":"\xc3\x28"}',
    "half a surrogate pair": b'{"job":"\\ud800"}',
    "UTF-16": '{"job":"j"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"job":"j"}',
    "100,000 lists": b'{"job":"j","args":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 open lists": b"[" * 100_000,
    "100,000 objects": b'{"job":"j","x":' + b'{"a":' * 100_000,
    "a million digits for a time": b'{"job":"j","at":' + b"9" * 1_000_000 + b"}",
    "a million digits for a version": b'{"job":"j","v":' + b"9" * 1_000_000 + b"}",
    "NaN": b'{"job":"j","args":[NaN]}',
    "Infinity": b'{"job":"j","args":[-Infinity]}',
    "a list": b'["job"]',
    "a number": b"7",
    "null": b"null",
    "a text": b'"job"',
    "no job": b'{"args":[7]}',
    "the job is null": b'{"job":null}',
    "the job is a number": b'{"job":7}',
    "the id is a number": b'{"job":"j","id":7}',
    "the time is a text": b'{"job":"j","at":"now"}',
    "the time is a fraction": b'{"job":"j","at":1.5}',
    "due is a text": b'{"job":"j","due":"tomorrow"}',
    "due is a list": b'{"job":"j","due":[]}',
    "expires is true": b'{"job":"j","expires":true}',
    "single quotes": b"{'job':'j'}",
    "a comma too many": b'{"job":"j",}',
    "a comment": b'{"job":"j"} // mail',
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "version 0": b'{"job":"j","v":0}',
    "version -1": b'{"job":"j","v":-1}',
    "version 2": b'{"job":"j","v":2}',
    "a version of text": b'{"job":"j","v":"1"}',
    "no version": b'{"job":"j","v":null}',
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_call_is_malformed_and_nothing_else(value: bytes | None) -> None:
    with pytest.raises(Malformed) as caught:
        decode(value)
    assert 10 < len(str(caught.value)) < 500
    assert caught.value.__cause__ is None


def test_a_newer_version_says_which_and_that_the_worker_is_older() -> None:
    with pytest.raises(Malformed, match="version 3 of the wire format, newer than this worker's 1"):
        decode(b'{"job":"j","v":3}')
    with pytest.raises(Malformed, match="version 0 of the wire format does not exist"):
        decode(b'{"job":"j","v":0}')
    with pytest.raises(Malformed, match="no value"):
        decode(None)


# --- fuzz ---------------------------------------------------------------------------------------------


def read(value: bytes) -> Envelope | None:
    """The envelope, or None; any other end is an error."""
    try:
        return decode(value)
    except Malformed:
        return None


@given(st.binary(max_size=300))
@example(b'{"job":"j","args":[1,]}')
def test_any_bytes_are_a_call_or_malformed(value: bytes) -> None:
    read(value)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A golden envelope in which something was overwritten, cut out, repeated or put in."""
    value = bytearray(draw(st.sampled_from(goldens())).wire)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(value)))
        until = draw(st.integers(at, len(value)))
        value[at:until] = draw(st.binary(max_size=4) | st.just(bytes(value[at:until]) * 2))
    return bytes(value)


@given(damaged())
def test_damaged_calls_are_a_call_or_malformed(value: bytes) -> None:
    read(value)


#: The last millisecond that a ``datetime`` knows; what is beyond may be refused.
LAST = 253_402_300_799_999

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, LAST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["job", "id", "args", "kwargs", "at", "due", "expires", "v"]) | st.text(max_size=4)


@given(st.dictionaries(names, json, max_size=8))
def test_an_object_is_a_call_exactly_if_its_fields_are_of_the_right_types(fields: dict[str, Any]) -> None:
    def whole(value: Any) -> bool:
        return type(value) is int

    right = (
        type(fields.get("job")) is str
        and type(fields.get("id", "")) is str
        and whole(fields.get("at", 0))
        and (fields.get("due") is None or whole(fields["due"]))
        and (fields.get("expires") is None or whole(fields["expires"]))
        and fields.get("v", 1) == 1
        and type(fields.get("v", 1)) is int
    )
    found = read(msgspec.json.encode(fields))
    assert (found is not None) == right
    if found is not None:
        assert plain(found) == {
            **plain(Envelope(fields["job"])),
            **{name: value for name, value in fields.items() if name in Envelope.__struct_fields__},
        }


@given(json, st.dictionaries(st.text(max_size=5), json, max_size=3))
def test_what_is_written_is_read_again(argument: Any, named: dict[str, Any]) -> None:
    written = msgspec.json.encode(Outgoing("i", "j", (argument, argument), named, 5, 6, None))
    assert plain(decode(written)) == {
        "job": "j",
        "id": "i",
        "args": [argument, argument],
        "kwargs": named,
        "at": 5,
        "due": 6,
        "expires": None,
        "v": 1,
    }
