"""Asks a broker how many bytes of its disk a topic takes: the client has no word for that."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_DESCRIBE_LOG_DIRS, _VERSION = 35, 1
_SECONDS = 10.0


def of(bootstrap: str, topic: str, partitions: int) -> int:
    """The bytes of a topic's first partitions, on the first of the servers.

    Raises:
        OSError: it did not answer, or not so that it can be understood.
    """
    try:
        return _added(_asked(bootstrap, _wanted(topic, partitions)))
    except (struct.error, UnicodeDecodeError) as error:
        raise OSError(f"the sizes of {topic} cannot be read: {error}") from None


def _wanted(topic: str, partitions: int) -> bytes:
    name = topic.encode()
    return struct.pack(f">ih{len(name)}si{partitions}i", 1, len(name), name, partitions, *range(partitions))


def _added(data: bytes) -> int:
    answer = _Answer(data)
    answer.number(">i")  # how long to hold back
    total = 0
    for _ in range(answer.number(">i")):
        answer.number(">h")  # an error of that directory
        answer.text()
        for _ in range(answer.number(">i")):
            answer.text()
            for _ in range(answer.number(">i")):
                answer.number(">i")
                total += answer.number(">q")
                answer.number(">q")  # how far a copy is behind
                answer.number(">?")
    return total


def _asked(bootstrap: str, body: bytes) -> bytes:
    host, _, port = bootstrap.split(",")[0].strip().rpartition(":")
    request = struct.pack(">hhih", _DESCRIBE_LOG_DIRS, _VERSION, 1, -1) + body
    with socket.create_connection((host, int(port)), _SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack(">i", stream.read(4))
            return stream.read(length)[4:]


@dataclass(slots=True)
class _Answer:
    """An answer that is read from the front."""

    data: bytes
    at: int = 0

    def number(self, form: str) -> int:
        (found,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(found)

    def text(self) -> str:
        length = self.number(">h")
        self.at += length
        return self.data[self.at - length : self.at].decode()
