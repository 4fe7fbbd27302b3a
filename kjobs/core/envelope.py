"""A call's wire form: one JSON object in the record's value. See ``docs/wire-format.md``.

The value is written once, when the call is enqueued, and never again: a retried or dead call carries
the bytes it was enqueued with.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

#: The version of the format that this code writes, and the highest it reads.
VERSION = 1

#: The last millisecond that a ``datetime`` knows, since the epoch: the year 9999 ends.
LATEST = 253_402_300_799_999
#: Milliseconds since the epoch.
Moment = Annotated[int, msgspec.Meta(ge=0, le=LATEST)]

_NO_ARGS = msgspec.Raw(b"[]")
_NO_KWARGS = msgspec.Raw(b"{}")


class Malformed(ValueError):
    """The value of a record is not a call; the message says what is wrong with it."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A call as it was read. ``args`` and ``kwargs`` are JSON still: the job knows their types.

    Attributes:
        job: the name of the job, looked up in the registry and nowhere else.
        id: the call's id; "" if the enqueuer gave none.
        at: when it was enqueued (ms since the epoch); 0 if not told.
        due: not to be started before (ms since the epoch), or None.
        expires: not to be started after (ms since the epoch), or None.
        v: the format's version.
    """

    job: str
    id: str = ""
    args: msgspec.Raw = _NO_ARGS
    kwargs: msgspec.Raw = _NO_KWARGS
    at: Moment = 0
    due: Moment | None = None
    expires: Moment | None = None
    v: int = VERSION


class Outgoing(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A call as it is written; the order of the fields is the order on the wire."""

    id: str
    job: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    at: int
    due: int | None = None
    expires: int | None = None


_read = msgspec.json.Decoder(Envelope).decode


def decode(value: bytes | None) -> Envelope:
    """Read a record's value.

    >>> decode(b'{"job":"mail.send","args":[7]}').job
    'mail.send'

    Raises:
        Malformed: it is missing, not JSON, not a call, or of a version this code does not know.
    """
    if value is None:
        raise Malformed("the record has no value (a tombstone)")
    try:
        envelope = _read(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(f"the record's value is not a call: {error}") from None
    if envelope.v != VERSION:
        if envelope.v < 1:
            raise Malformed(f"version {envelope.v} of the wire format does not exist")
        raise Malformed(
            f"the call is in version {envelope.v} of the wire format, newer than this worker's {VERSION}"
        )
    return envelope
