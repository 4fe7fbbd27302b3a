"""Durations as people write them: ``timedelta``, seconds, or text such as ``"5m"``."""

from __future__ import annotations

import re
from datetime import timedelta
from math import inf, isfinite

#: What a duration may be written as: a ``timedelta``, seconds, or text with a unit.
Duration = timedelta | int | float | str

_EXPECTED = 'a timedelta, a number of seconds, or text such as "500ms", "30s", "5m", "2h", "7d"'

#: Seconds in one of each unit.
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

#: Seconds from which on a whole number is more than a float can be.
_ENDLESS = 10**300

_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def seconds(value: Duration) -> float:
    """The length of a duration in seconds.

    >>> seconds("5m"), seconds(2), seconds("1h30m")
    (300.0, 2.0, 5400.0)

    Raises:
        ValueError: the text is not a duration, or the length is negative or not finite.
    """
    if isinstance(value, timedelta):
        length = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration; expected {_EXPECTED}")
    elif isinstance(value, str):
        text = value.strip()
        parts = _TEXT.findall(text)
        if not parts or _TEXT.sub("", text).strip():
            raise ValueError(f"{value!r} is not a duration; expected {_EXPECTED}")
        length = sum(float(number) * UNITS[unit] for number, unit in parts)
    else:
        length = float(value) if abs(value) < _ENDLESS else inf
    if not isfinite(length) or length < 0:
        raise ValueError(f"{value!r} is not a duration; expected a length of zero or more, not for ever")
    return length


def spoken(length: float) -> str:
    """Seconds as a person would write them, in the largest unit that leaves a whole number.

    >>> spoken(300.0), spoken(0.25), spoken(90.5)
    ('5m', '250ms', '90.5s')
    """
    if 0 < length < 1:
        return f"{length * 1000:g}ms"
    for unit in ("d", "h", "m"):
        if length and length % UNITS[unit] == 0:
            return f"{length / UNITS[unit]:.0f}{unit}"
    return f"{length:.3f}".rstrip("0").rstrip(".") + "s"
