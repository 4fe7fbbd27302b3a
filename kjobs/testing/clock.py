"""The clock of a test: it stands still until it is told to go on."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from ..core.duration import Duration, seconds

#: Milliseconds by which sums of floats may miss a whole one.
_ROUNDING = 0.01


class FrozenClock:
    """What delays, expiries, deadlines and backoffs go by. It starts at the present, in whole milliseconds.

    >>> queue.clock.advance("5m")
    """

    def __init__(self) -> None:
        self._instant = time.time_ns() // 1_000_000 / 1000

    def __repr__(self) -> str:
        return f"<FrozenClock at {self.now.isoformat()}>"

    @property
    def now(self) -> datetime:
        """The present."""
        return moment(self._instant)

    def advance(self, duration: Duration) -> None:
        """Let time pass. Nothing runs by that alone: calls that are due now wait for ``drain()``.

        Raises:
            ValueError: it is not a duration.
        """
        self._instant = _snapped(self._instant + seconds(duration))

    # --- for the stepper ---------------------------------------------------------------------------

    @property
    def instant(self) -> float:
        """The present, in epoch seconds."""
        return self._instant

    @property
    def milliseconds(self) -> int:
        """The present, in whole ms since the epoch, rounded down: nothing is early."""
        return int(self._instant * 1000)

    def reach(self, instant: float) -> None:
        """Let time pass until ``instant`` (epoch seconds), if that is still to come."""
        self._instant = max(self._instant, _snapped(instant), instant)


def moment(instant: float) -> datetime:
    """Epoch seconds as a datetime, in whole milliseconds."""
    return datetime.fromtimestamp(round(instant * 1000) / 1000, UTC)


def _snapped(instant: float) -> float:
    """The instant, on the millisecond that it only misses because floats are rounded.

    A call is due at a whole millisecond, and whether it is due is asked in milliseconds: a clock that stood
    a hair before it would never get there.
    """
    whole = round(instant * 1000)
    if abs(instant * 1000 - whole) > _ROUNDING:
        return instant
    snapped = whole / 1000
    return snapped if snapped * 1000 >= whole else math.nextafter(snapped, math.inf)
