"""Delayed calls as text: a line of a table, whole, or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ..admin.deadletter import readable
from ..admin.delayedcall import DelayedCall
from ..core.duration import UNITS
from .shown import bytes_json, iso, or_dash, value_text, when
from .table import block, escaped, table

_TITLES = ("id", "job", "key", "state", "failed", "due", "in", "place")

#: Characters of what others name, in a table; whole they are in `show` and with --json.
_ID = 48
_NAME = 40
_KEY = 24


def listing(calls: Iterable[DelayedCall], now: datetime) -> Iterator[str]:
    """The lines of a table of calls."""
    return table(_TITLES, (_row(call, now) for call in calls))


def _row(call: DelayedCall, now: datetime) -> tuple[str, ...]:
    return (
        escaped(call.id, longest=_ID),
        or_dash(call.job, _NAME),
        or_dash(call.key, _KEY),
        call.state,
        str(call.attempts),
        "-" if call.due is None else f"{call.due.astimezone():%Y-%m-%d %H:%M:%S}",
        away(call.due, now),
        call.place,
    )


def away(time: datetime | None, now: datetime) -> str:
    """How far a time is from now, in the two units that matter.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> away(noon + timedelta(hours=50, minutes=7), noon), away(noon - timedelta(seconds=3), noon)
    ('2d 2h', '3s ago')
    """
    if time is None:
        return "-"
    left = (time - now).total_seconds()
    if abs(left) < 1:
        return "now"
    rest = int(abs(left))
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(UNITS[unit]))
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    told = " ".join(part for part in parts[:2] if part)
    return told if left > 0 else f"{told} ago"


def whole(call: DelayedCall, now: datetime) -> str:
    """All there is to say of a call."""
    due = when(call.due)
    told = {
        "id": call.id,
        "job": call.job or "-",
        "queue": call.queue,
        "key": "-" if call.key is None else call.key,
        "order": "-" if call.key is None else "relaxed" if call.relaxed else "strict",
        "state": call.state,
        "due": due if call.due is None else f"{due} ({_spoken(away(call.due, now))})",
        "failed": {0: "never", 1: "once"}.get(call.attempts, f"{call.attempts} times"),
        "enqueued": when(call.enqueued_at),
        "expires": when(call.expires),
        "place": call.place,
        "record": call.record_id,
    }
    parts = ["\n".join(f"{name:<10}{escaped(text)}" for name, text in told.items())]
    headers = [
        f"{escaped(name)}: {'null' if value is None else escaped(readable(value))}"
        for name, value in call.headers
    ]
    for title, text in (("headers", "\n".join(headers)), ("value", value_text(call.value))):
        if text:
            parts.append(f"{title}\n{block(text)}")
    return "\n\n".join(parts)


def _spoken(distance: str) -> str:
    return distance if distance == "now" or distance.endswith("ago") else f"in {distance}"


def as_json(call: DelayedCall) -> dict[str, Any]:
    """A call as a JSON object. Bytes that are no text are there in base64, under another name."""
    return {
        "id": call.id,
        "job": call.job,
        "queue": call.queue,
        **bytes_json("key", call.record_key),
        "order": None if call.record_key is None else "relaxed" if call.relaxed else "strict",
        "state": call.state,
        "due": iso(call.due),
        "attempts": call.attempts,
        "enqueued_at": iso(call.enqueued_at),
        "expires": iso(call.expires),
        "partition": call.partition,
        "offset": call.offset,
        "record": call.record_id,
        "args": call.args,
        "kwargs": call.kwargs,
        **bytes_json("value", call.value),
        "headers": [{"name": name, **bytes_json("value", value)} for name, value in call.headers],
    }
