"""Moments at which calls are due, in ms since the epoch: the same ones for every job system."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

#: Seconds from now until a call is due that only waits.
FAR = 365 * 24 * 60 * 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scattered(count: int, begin_ms: int, seconds: float) -> list[int]:
    """So many moments of a stretch, in the order of chance."""
    chance = random.Random(3)
    return [begin_ms + chance.randrange(max(1, int(seconds * 1000))) for _ in range(count)]


def moment(due_ms: int) -> datetime:
    """The moment as a datetime, to the millisecond: a division would lose some."""
    return _EPOCH + timedelta(milliseconds=due_ms)
