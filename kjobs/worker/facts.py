"""What a call is, for events and log lines."""

from __future__ import annotations

from typing import Any

from ..core.envelope import Envelope, Malformed, decode
from ..core.partition import Entry

#: Characters of a key where it stands for all its calls.
_LONGEST_KEY = 100
#: Characters of a call's name, id and key in a log line.
_LONGEST_LABEL = 500


def facts(entry: Entry, queue: str, attempt: int, envelope: Envelope | None = None) -> dict[str, Any]:
    """The fields that every event about a call has.

    Args:
        entry: the call.
        queue: its queue.
        attempt: which attempt the event is about.
        envelope: the call as it was read; read here if not given. A record that is no call has neither
            id nor job.
    """
    if envelope is None:
        try:
            envelope = decode(entry.record.value())
        except Malformed:
            envelope = None
    topic, number = entry.partition.place
    return {
        "id": (envelope.id if envelope else "") or f"{topic}-{number}-{entry.offset}",
        "job": envelope.job if envelope else "",
        "queue": queue,
        "key": None if entry.key is None else entry.key.decode("utf-8", "replace"),
        "partition": number,
        "offset": entry.offset,
        "attempt": attempt,
        "epoch": entry.partition.epoch,
    }


def fields(event: str, call: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The ``extra`` of a log line about a call; no field clashes with those of ``logging``."""
    return {
        "event": event,
        **{("call_id" if name == "id" else name): value for name, value in call.items()},
        **more,
    }


def label(call: dict[str, Any]) -> str:
    """A call as log lines name it."""
    key = "" if call["key"] is None else f" key={call['key']!r}"
    return one_line(f"{call['job'] or 'record'} {call['id']}{key}", _LONGEST_LABEL)


def shown_key(key: bytes) -> str:
    """A key for people: what is no UTF-8, and what cannot be printed, as escapes; cut if it is long."""
    # No character has more than four bytes, so that none is cut in two before the end of what is shown.
    text = key[: 4 * _LONGEST_KEY + 4].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= _LONGEST_KEY else f"{shown[:_LONGEST_KEY]}…"


def one_line(text: str, most: int) -> str:
    """A text of whoever wrote the record, or the job, so that it cannot look like another log line."""
    shown = text[:most]
    return shown if shown.isprintable() else "".join(c if c.isprintable() else " " for c in shown)
