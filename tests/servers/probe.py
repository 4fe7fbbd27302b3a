"""Asks a broker over a plain socket whether it works: an answered request, not an open port."""

from __future__ import annotations

import socket
import struct

_API_VERSIONS = 18
_FIND_COORDINATOR = 10
_GROUP = b"kjobs-probe"


def answers(bootstrap: str, timeout: float = 2.0) -> bool:
    """Whether one of the servers answers Kafka's ApiVersions request."""
    return any(_request(server, _API_VERSIONS, b"", timeout) is not None for server in bootstrap.split(","))


def serves_groups(bootstrap: str, timeout: float = 2.0) -> bool:
    """Whether the broker names a coordinator for a group.

    This needs the controller, and makes the broker create its offsets topic if it has none: afterwards topics
    can be created and the first consumer need not wait for that.
    """
    body = struct.pack(">h", len(_GROUP)) + _GROUP
    answer = _request(bootstrap, _FIND_COORDINATOR, body, timeout)
    return answer is not None and answer[:2] == b"\x00\x00"


def _request(server: str, api: int, body: bytes, timeout: float) -> bytes | None:
    """The answer to a version 0 request, without its length and correlation id; None if there is none."""
    host, _, port = server.strip().rpartition(":")
    header = struct.pack(">hhih", api, 0, 1, -1)
    try:
        with socket.create_connection((host, int(port)), timeout) as connection:
            connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
            with connection.makefile("rb") as stream:
                (length,) = struct.unpack(">i", stream.read(4))
                answer = stream.read(length)
    except (OSError, ValueError, struct.error):
        return None
    return answer[4:] if len(answer) == length else None
