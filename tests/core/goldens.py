"""Reads the golden envelopes: calls as released versions wrote them, with what they mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True)
class Golden:
    """An envelope that must decode for ever.

    Attributes:
        name: version and file.
        wire: the record's value.
        decoded: its fields as they are read, arguments as plain JSON.
    """

    name: str
    wire: bytes
    decoded: dict[str, Any]


def goldens() -> list[Golden]:
    """All of them."""
    return [_read(path) for path in sorted(_FOLDER.glob("v*/*.json"))]


def golden(name: str) -> Golden:
    """One of them, such as ``v1/minimal``."""
    return _read(_FOLDER / f"{name}.json")


def _read(path: Path) -> Golden:
    found = json.loads(path.read_text(encoding="utf-8"))
    return Golden(f"{path.parent.name}/{path.stem}", found["wire"].encode(), found["decoded"])
