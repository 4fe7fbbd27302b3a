"""Sends a call's arguments over the wire and back, as enqueueing and running do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kjobs.core.arguments import Arguments, encode_other
from kjobs.core.envelope import Outgoing, decode

_encode = msgspec.json.Encoder(enc_hook=encode_other).encode


def sent(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The value of a record with these arguments."""
    return _encode(Outgoing("id", "job", args, kwargs, 1))


def over_the_wire(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the function will be called with by a worker.

    Raises:
        Mismatch: the call is refused when it is enqueued.
    """
    arguments = Arguments(function)
    arguments.check(args, kwargs)
    value = sent(args, kwargs)
    arguments.verify(args, kwargs, value)
    envelope = decode(value)
    # A worker of its own, which has seen no other call.
    return Arguments(function).restore(envelope.args, envelope.kwargs)


def received(function: Callable[..., Any], args: bytes, kwargs: bytes = b"{}") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the function is called with for arguments that somebody else has written.

    Raises:
        Mismatch: they do not fit.
    """
    envelope = decode(b'{"job":"j","args":' + args + b',"kwargs":' + kwargs + b"}")
    return Arguments(function).restore(envelope.args, envelope.kwargs)
