"""What a worker process tells its supervisor: one JSON object a line, through a socket that both hold.

The supervisor answers by signals. Each side sees the other's end by the socket's: a worker process without
a supervisor stops in order.
"""

from __future__ import annotations

import msgspec

from ..health.process import UNKNOWN, Vitals


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The jobs are imported and the settings are known, with what the app's code says of them.

    Attributes:
        processes: worker processes there are to be.
        grace: seconds it waits for running calls when it stops.
        watchdog: seconds without a sign after which it is to be killed; 0 for never.
        recycle_calls: attempts after which it is to be replaced; 0 for never.
        recycle_age: seconds after which it is to be replaced; 0 for never.
        recycle_size: bytes of memory at which it is to be replaced; 0 for never.
        health: host and port at which probes are to be answered, if they are.
    """

    processes: int
    grace: float
    watchdog: float
    recycle_calls: int
    recycle_age: float
    recycle_size: int
    health: tuple[str, int] | None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Its partitions are its own, and their stores are caught up."""

    partitions: int


class Beat(msgspec.Struct, frozen=True, tag=True):
    """The owner thread is alive.

    Attributes:
        calls: attempts it has made.
        size: bytes of memory it has.
    """

    calls: int
    size: int
    vitals: Vitals = UNKNOWN


Message = Hello | Ready | Beat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encoded(message: Message) -> bytes:
    """A message as a line."""
    return _encoder.encode(message) + b"\n"


def decoded(line: bytes) -> Message:
    """The message of a line.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _decoder.decode(line)
