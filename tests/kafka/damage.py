"""Batches of records that no client can read: written by hand, or damaged in the files of a broker."""

from __future__ import annotations

import enum
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.proof.history import Place

#: The request, in a version that knows zstd.
_PRODUCE, _VERSION = 0, 7
_SECONDS = 20.0
#: Of a batch's header: where the checksum is, and where what it covers begins.
_CRC_AT, _COVERED_FROM = 17, 21
_ATTRIBUTES_AT, _LAST_DELTA_AT, _RECORDS_AT = 21, 23, 61
#: Bytes of one block of a zstd frame, at most.
_BLOCK = 128 * 1024


class Codec(enum.IntEnum):
    """How the records of a batch are compressed."""

    ZSTD = 4
    UNKNOWN = 7


class Harm(enum.Enum):
    """What is done to a batch in a log's file."""

    #: A bit of its records is another one.
    FLIPPED = enum.auto()
    #: It says to be compressed in a way that nobody knows; its checksum is right.
    UNKNOWN_CODEC = enum.auto()
    #: It says to be compressed with zstd, and is not; its checksum is right.
    NOT_ZSTD = enum.auto()


class Batch(NamedTuple):
    """A batch in a log's file: the offsets of its first and last record, and where it is."""

    first: int
    last: int
    at: int
    size: int


# --- by hand ------------------------------------------------------------------------------------------


def bomb(sizes: Sequence[int], key: bytes = b"bomb") -> bytes:
    """A small batch whose records have values of so many bytes when they are unpacked.

    It is in order: a broker takes it. A client that limits what it unpacks does not.
    """
    frame = bytearray(struct.pack("<IBB", 0xFD2FB528, 0, 0x58))  # no size told, a window of 2 MiB
    blocks: list[bytes] = []
    for delta, size in enumerate(sizes):
        head = b"\0" + _varint(0) + _varint(delta) + _varint(len(key)) + key + _varint(size)
        length = _varint(len(head) + size + 1)
        blocks.append(_block(0, length + head, len(length + head)))
        for begun in range(0, size, _BLOCK):
            blocks.append(_block(1, b"\0", min(_BLOCK, size - begun)))
        blocks.append(_block(0, b"\0", 1))  # no headers
    blocks.append(_block(0, b"", 0, last=True))
    frame += b"".join(blocks)
    return batch(len(sizes), bytes(frame), Codec.ZSTD)


def batch(count: int, records: bytes, codec: Codec) -> bytes:
    """A batch of so many records, with a checksum that is right."""
    now_ms = int(time.time() * 1000)  # of an older one a broker would soon let go
    covered = struct.pack(">hiqqqhii", codec, count - 1, now_ms, now_ms, -1, -1, -1, count) + records
    rest = struct.pack(">ibI", 0, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(rest)) + rest


def produce(bootstrap: str, place: Place, records: bytes) -> int:
    """Send a batch to a broker as it is.

    Returns:
        The offset of its first record.

    Raises:
        OSError: the broker refuses it; the code is Kafka's.
    """
    topic = place[0].encode()
    body = struct.pack(">hhiih", -1, -1, int(_SECONDS * 1000), 1, len(topic)) + topic
    body += struct.pack(">iii", 1, place[1], len(records)) + records
    header = struct.pack(">hhih", _PRODUCE, _VERSION, 1, -1)
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), _SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(length)
    # Correlation id, one topic with its name, one partition.
    error, first = struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(topic) + 4 + 4)
    if error:
        raise OSError(error, "the broker refused the batch")
    return int(first)


# --- in files -----------------------------------------------------------------------------------------


def batches(log: Path) -> Iterator[Batch]:
    """The batches in a log's file."""
    content, at = log.read_bytes(), 0
    while at < len(content):
        first, length = struct.unpack_from(">qi", content, at)
        (delta,) = struct.unpack_from(">i", content, at + _LAST_DELTA_AT)
        yield Batch(first, first + delta, at, 12 + length)
        at += 12 + length


def harm(log: Path, which: Batch, how: Harm) -> None:
    """Damage a batch. The broker must not run."""
    content = bytearray(log.read_bytes())
    end = which.at + which.size
    if how is Harm.FLIPPED:
        content[(which.at + _RECORDS_AT + end) // 2] ^= 0x10
    else:
        codec = Codec.ZSTD if how is Harm.NOT_ZSTD else Codec.UNKNOWN
        content[which.at + _ATTRIBUTES_AT + 1] = content[which.at + _ATTRIBUTES_AT + 1] & ~7 | codec
        right = crc32c(content[which.at + _COVERED_FROM : end])
        content[which.at + _CRC_AT : which.at + _COVERED_FROM] = struct.pack(">I", right)
    log.write_bytes(content)


# --- parts --------------------------------------------------------------------------------------------


def crc32c(data: bytes | bytearray) -> int:
    """The checksum of a batch."""
    found = 0xFFFFFFFF
    for byte in data:
        found = _TABLE[(found ^ byte) & 0xFF] ^ (found >> 8)
    return found ^ 0xFFFFFFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_row(byte) for byte in range(256)]


def _varint(number: int) -> bytes:
    left = number << 1  # none is negative here
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def _block(kind: int, content: bytes, size: int, *, last: bool = False) -> bytes:
    """A block of a zstd frame: 0 for bytes as they are, 1 for one that is repeated."""
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + content
