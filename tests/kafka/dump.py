"""The topics after a run, as a plain consumer reads them: the truth that a history is judged against."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

from kjobs.core.deferred import Answered, End, Move, Row
from kjobs.deferred import wire
from tests.kafka.broker import Broker, Found
from tests.proof import history as h

#: The fields of a call that must have a type if they are there; what else is in it is nobody's business.
_TYPES: dict[str, type] = {"job": str, "id": str, "at": int, "due": int, "expires": int, "v": int}

#: One half of a character, as an escape may have it; what stands for a byte that is no UTF-8 is let pass.
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def queue_dump(broker: Broker, topic: str) -> list[h.AnyEvent]:
    """The records of a queue topic."""
    return [logged(record) for record in broker.read(topic)]


def logged(record: Found) -> h.Logged:
    """A record of a queue topic."""
    return h.Logged(
        time.monotonic(),
        place=record.place,
        offset=record.offset,
        call=call_of(record),
        key=record.key,
        value_digest=digest(record.value),
        headers=record.headers,
    )


def dead_dump(broker: Broker, topic: str) -> list[h.AnyEvent]:
    """The records of a dead letter topic."""
    return [dead_logged(record) for record in broker.read(topic)]


def dead_logged(record: Found) -> h.DeadLogged:
    """A record of a dead letter topic."""
    said = {name: (value or b"").decode() for name, value in record.headers if name.startswith("kj-")}
    return h.DeadLogged(
        time.monotonic(),
        place=record.place,
        offset=record.offset,
        call=said["kj-id"] if said.get("kj-job") else None,
        key=record.key,
        value_digest=digest(record.value),
        headers=record.headers,
        source=(said["kj-topic"], int(said["kj-partition"]), int(said["kj-offset"])),
    )


def delayed_dump(broker: Broker, topic: str, anchor: float) -> list[h.AnyEvent]:
    """The records of the deferred store's log, as they were appended.

    Args:
        broker: where it is.
        topic: the log.
        anchor: what the wall clock is ahead of the history's, which the broker's stamps are turned into.
    """
    return [delayed_logged(record, anchor) for record in broker.read(topic)]


def delayed_logged(record: Found, anchor: float) -> h.DelayedLogged:
    """A record of the deferred store's log; see :func:`delayed_dump`."""
    at = record.timestamp_ms / 1000 - anchor
    change = wire.change(record.key, record.value, record.headers, record.offset)
    match change:
        case Row():
            return h.DelayedLogged(
                at,
                "worker" if change.owner[1] else "",
                place=record.place,
                offset=record.offset,
                name=change.id,
                what="call",
                call=call_of(record),
                due=change.due_ms / 1000 - anchor,
                rank=change.rank,
                failures=change.failures,
                epoch=change.owner[0],
                of=change.of if change.of >= 0 else None,
                value_digest=digest(change.value),
            )
        case End():
            inc = "worker" if change.owner[1] else ""
            return h.DelayedLogged(
                at,
                inc,
                place=record.place,
                offset=record.offset,
                name=change.id,
                what="end",
                of=change.of,
                request=change.request,
            )
        case Move():
            return h.DelayedLogged(
                at,
                place=record.place,
                offset=record.offset,
                name=change.id,
                what="move",
                due=change.due_ms / 1000 - anchor,
                request=change.request,
            )
        case Answered():
            return h.DelayedLogged(
                at,
                "worker",
                place=record.place,
                offset=record.offset,
                name=change.request,
                what="answer",
                request=change.request,
                verdict=change.verdict.value,
            )


def final_commits(broker: Broker, group: str, topic: str) -> list[h.AnyEvent]:
    """What the group has committed of a topic."""
    committed = broker.committed(group, broker.places(topic))
    return [
        h.FinalCommit(time.monotonic(), place=place, offset=offset) for place, offset in committed.items()
    ]


def call_of(record: Found) -> str | None:
    """The id of the call that a record is; None if it is no call. Read without kjobs, by its wire format."""
    try:
        # Bytes that are no UTF-8 make nonsense of arguments, and not of the call.
        text = (record.value or b"").decode(errors="surrogateescape")
        call = json.loads(text, parse_int=_whole, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(call, dict)
        or not call.get("job")
        or _HALF.search(json.dumps(call, ensure_ascii=False))
    ):
        return None
    for field, kind in _TYPES.items():
        value = call.get(field)
        if field in call and type(value) is not kind and not (value is None and field in ("due", "expires")):
            return None
        if kind is str and not _utf8(value or ""):
            return None
    if call.get("v", 1) != 1:
        return None
    topic, number = record.place
    return call.get("id") or f"{topic}-{number}-{record.offset}"


def digest(value: bytes | None) -> str:
    """A value in few characters."""
    return "none" if value is None else hashlib.sha256(value).hexdigest()[:20]


def _utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(text: str) -> Any:
    # A million digits are a number in JSON, and nothing that Python would count with.
    return int(text) if len(text) < 20 else text


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
