"""The worker's clock: wall time that never jumps."""

from __future__ import annotations

import time


class Clock:
    """Epoch seconds, counted from one reading of the wall clock by the monotonic one.

    A wall clock that is set back or forth while the worker runs would fire waits early or late, and
    would end or stretch the lease.
    """

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()

    def now(self) -> float:
        """The present, in epoch seconds."""
        return time.monotonic() + self._anchor

    def monotonic(self, instant: float) -> float:
        """An instant of this clock as ``time.monotonic()`` counts."""
        return instant - self._anchor
