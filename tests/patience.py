"""Waiting for things that happen elsewhere: a look every few milliseconds, and an end to patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds for anything that has no limit of its own; a busy machine needs most of them.
PATIENCE = 45.0
_PAUSE = 0.02


def until(
    look: Callable[[], T | None],
    what: str,
    *,
    seconds: float = PATIENCE,
    told: Callable[[], str] | None = None,
) -> T:
    """Call ``look`` until it returns something true, and return that.

    Args:
        look: looks whether it has happened.
        what: names it, for the failure.
        seconds: after which the test fails.
        told: more to say about the failure.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            more = "" if told is None else f"\n{told()}"
            raise AssertionError(f"not within {seconds:g} s: {what}{more}")
        time.sleep(_PAUSE)
