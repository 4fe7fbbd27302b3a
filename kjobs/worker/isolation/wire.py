"""What a worker and a cell say to each other, through a socket that only they have.

Nothing is pickled: a call is the bytes that Kafka has of it, and an error is what people read of it.
"""

from __future__ import annotations

import socket

import msgspec

_LENGTH = 4


class Order(msgspec.Struct, frozen=True, tag=True):
    """Run a call.

    Attributes:
        topic, partition, offset, key, value, headers, timestamp_ms: its record.
        queue: its queue.
        failures: failed attempts so far.
        epoch, position: for its fencing token.
        memory: bytes of address space; None for no limit.
        cpu: seconds of processor time; None for no limit.
        state: what the call has saved of how far it is; None if nothing.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int
    queue: str
    failures: int
    epoch: int
    position: int
    memory: int | None = None
    cpu: float | None = None
    state: bytes | None = None


class SaveAnswered(msgspec.Struct, frozen=True, tag=True):
    """What became of a state that was to be saved.

    Attributes:
        number: of the request.
        error: the kind of what is to be raised; "" if it is saved.
        text: what that is to say.
        definite: it is known not to be saved.
    """

    number: int
    error: str = ""
    text: str = ""
    definite: bool = True


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """The call that runs should end soon."""


class Trouble(msgspec.Struct, frozen=True):
    """An error, as it can be told.

    Attributes:
        module, name: of its class.
        text: its message.
        trace: its traceback, with everything that led to it.
    """

    module: str
    name: str
    text: str
    trace: str


class Begun(msgspec.Struct, frozen=True, tag=True):
    """From here on the call runs: a cell that ends before this has not touched it."""


class Save(msgspec.Struct, frozen=True, tag=True):
    """The job wants a state to be saved.

    Attributes:
        number: of the request, for its answer.
        state: as JSON.
    """

    number: int
    state: bytes


class Succeeded(msgspec.Struct, frozen=True, tag=True):
    """The job returned."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The job raised.

    Attributes:
        retry: the job's policy, or its own word, is to try again.
        discard: the policy is to forget it.
        retry_in: seconds after which the job itself asked to be tried again.
    """

    trouble: Trouble
    retry: bool
    discard: bool
    retry_in: float | None = None


class Snoozed(msgspec.Struct, frozen=True, tag=True):
    """The job asked to be run again after so many seconds."""

    delay: float


class Discarded(msgspec.Struct, frozen=True, tag=True):
    """The job asked for the call to be forgotten."""

    why: str


class Condemned(msgspec.Struct, frozen=True, tag=True):
    """The call cannot succeed, or the job said so."""

    reason: str
    trouble: Trouble


Answer = Succeeded | Failed | Snoozed | Discarded | Condemned
Request = Order | Cancel | SaveAnswered
Report = Begun | Save | Answer

_encode = msgspec.msgpack.Encoder().encode
_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_report: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def send(to: socket.socket, message: Request | Report) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    body = _encode(message)
    to.sendall(len(body).to_bytes(_LENGTH, "big") + body)


def receive_request(of: socket.socket) -> Request | None:
    """The next message of the worker; None if it is gone."""
    body = _receive(of)
    return None if body is None else _request.decode(body)


def receive_report(of: socket.socket) -> Report | None:
    """The next message of the cell; None if it is gone, or says what nobody understands."""
    body = _receive(of)
    try:
        return None if body is None else _report.decode(body)
    except msgspec.MsgspecError:
        return None


def _receive(of: socket.socket) -> bytes | None:
    head = _exactly(of, _LENGTH)
    return None if head is None else _exactly(of, int.from_bytes(head, "big"))


def _exactly(of: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = of.recv(count - len(parts))
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
