"""What others wrote, and times, as people and as programs are shown them."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import msgspec

from ..admin.deadletter import readable
from .table import escaped


def or_dash(text: str | None, longest: int) -> str:
    """A text in a table; a dash for none."""
    return escaped(text, longest=longest) if text else "-"


def when(time: datetime | None) -> str:
    """A time by the clock of this machine."""
    return "-" if time is None else time.astimezone().isoformat(" ", "seconds")


def value_text(value: bytes | None) -> str:
    """A record's value: JSON with line breaks, or the text, or what of it is text."""
    if value is None:
        return "null: the record has no value"
    try:
        return msgspec.json.format(value.decode("utf-8"), indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return readable(value) or "empty"


def bytes_json(name: str, raw: bytes | None) -> dict[str, str | None]:
    """Bytes as a field of a JSON object; those that are no text are there in base64, under another name."""
    if raw is None:
        return {name: None}
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(raw).decode()}


def iso(time: datetime | None) -> str | None:
    """A time for JSON."""
    return None if time is None else time.isoformat(timespec="milliseconds")


def json_line(value: Any) -> str:
    """A JSON object in one line."""
    return json.dumps(value)
