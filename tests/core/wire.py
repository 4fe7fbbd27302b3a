"""Sends a call's arguments over the wire and back, as enqueueing and running do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kjobs import App
from kjobs.core.arguments import Arguments
from kjobs.core.envelope import decode
from kjobs.job import Job, Options

_app = App()

Arrived = tuple[tuple[Any, ...], dict[str, Any]]


def over_the_wire(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Arrived:
    """What the function will be called with by a worker.

    Raises:
        ArgumentError: the call is refused when it is enqueued.
    """
    call = Job(function, _app, name="job").compose(args, kwargs, Options())
    envelope = decode(call.value)
    # A worker of its own, which has seen no other call.
    return Arguments(function).restore(envelope.args, envelope.kwargs)


def received(function: Callable[..., Any], args: bytes, kwargs: bytes = b"{}") -> Arrived:
    """What the function is called with for arguments that somebody else has written.

    Raises:
        Mismatch: they do not fit.
    """
    envelope = decode(b'{"job":"j","args":' + args + b',"kwargs":' + kwargs + b"}")
    return Arguments(function).restore(envelope.args, envelope.kwargs)
