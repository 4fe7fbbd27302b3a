"""A call as the bytes that Redis keeps of it.

In front is what the scripts read: the kind, when it is due, how far the queue must have been read, the offset
of the record it goes on from, and, of a call with a rank, its member in the order of all lanes. What follows
is for Python only.
"""

from __future__ import annotations

import struct

import msgspec

from kjobs.core.deferred import Row

_HEAD = struct.Struct(">BdddI")
_LENGTH = struct.Struct(">I")
_RANK = struct.Struct(">QQQ")
_NUMBER = struct.Struct(">Q")
#: Makes negative numbers sort before positive ones when they are compared as bytes.
_BIAS = 1 << 63


class _Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    id: bytes  # what others wrote into the log need not be UTF-8
    value: bytes | None
    due_ms: int
    key: bytes | None
    relaxed: bool
    failures: int
    since_ms: int
    rank: tuple[int, int] | None
    topic_id: str
    owner: tuple[int, str]
    expires_ms: int | None
    headers: list[tuple[str, bytes | None]] | None
    of: int
    offset: int
    crashes: int
    state: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def name_bytes(name: str) -> bytes:
    """An id as it is in the log."""
    return name.encode("utf-8", "surrogateescape")


def name_text(name: bytes) -> str:
    """An id as kjobs has it."""
    return name.decode("utf-8", "surrogateescape")


def number_bytes(number: int) -> bytes:
    """A place or a turn, so that bytes compare as numbers do."""
    return _NUMBER.pack(number + _BIAS)


def number(data: bytes) -> int:
    """A place or a turn, from the first bytes of a member."""
    found: int = _NUMBER.unpack_from(data)[0]
    return found - _BIAS


def lane_prefix(key: bytes) -> bytes:
    """What all members of a lane begin with, and those of no other."""
    return _LENGTH.pack(len(key)) + key


def packed(row: Row) -> bytes:
    """A call as bytes."""
    # A call that lets others pass has a rank as well, if it came from the queue, but no lane.
    member = b""
    if row.rank is not None:
        place, turn = row.rank
        member = lane_prefix(row.key or b"") + _RANK.pack(place + _BIAS, turn + _BIAS, row.offset)
    rest = _Packed(
        name_bytes(row.id),
        row.value,
        row.due_ms,
        row.key,
        row.relaxed,
        row.failures,
        row.since_ms,
        row.rank,
        row.topic_id,
        row.owner,
        row.expires_ms,
        None if row.headers is None else list(row.headers),
        row.of,
        row.offset,
        row.crashes,
        row.state,
    )
    return _HEAD.pack(row.kind, row.due_ms, row.needs, row.of, len(member)) + member + _encode(rest)


def unpacked(data: bytes) -> Row:
    """A call from its bytes."""
    length = _LENGTH.unpack_from(data, _HEAD.size - _LENGTH.size)[0]
    found = _decode(memoryview(data)[_HEAD.size + length :])
    return Row(
        id=name_text(found.id),
        value=found.value,
        due_ms=found.due_ms,
        key=found.key,
        relaxed=found.relaxed,
        failures=found.failures,
        since_ms=found.since_ms,
        rank=found.rank,
        topic_id=found.topic_id,
        owner=found.owner,
        expires_ms=found.expires_ms,
        headers=found.headers,
        crashes=found.crashes,
        state=found.state,
        of=found.of,
        offset=found.offset,
    )
