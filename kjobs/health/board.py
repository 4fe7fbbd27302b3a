"""What is told of worker processes, between those who look after them and those who ask."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .process import Process


class Board:
    """What was last told of the processes, by whoever looks after them."""

    def __init__(self) -> None:
        self._told: tuple[float, Sequence[Process]] = (time.monotonic(), ())

    def tell(self, processes: Sequence[Process]) -> None:
        """These are all, and so they are now."""
        self._told = (time.monotonic(), tuple(processes))

    def read(self) -> tuple[float, Sequence[Process]]:
        """Seconds since the last word, and what it was."""
        at, processes = self._told
        return time.monotonic() - at, processes
