"""Makes ids of calls: UUIDs that sort by time, different in every process."""

from __future__ import annotations

import os
import random
import time
from typing import Protocol

from .core.identity import head, tail


class IdSource(Protocol):
    """What makes ids: the wall clock's, or those of a test."""

    def new_id(self) -> tuple[str, int]:
        """A new id for a call, and the time (ms since the epoch)."""
        ...


class Ids:
    """Ids by the wall clock."""

    def __init__(self) -> None:
        # Of its own: a program that seeds the module's generator must not make the ids of another.
        self._random = random.Random()  # noqa: S311 - ids are not secrets
        os.register_at_fork(after_in_child=self._random.seed)
        self._latest = (0, head(0))

    def new_id(self) -> tuple[str, int]:
        """A new id for a call, and the time (ms since the epoch)."""
        now_ms = time.time_ns() // 1_000_000
        made_for, beginning = self._latest
        if made_for != now_ms:  # ids of one millisecond begin alike, and many are made in one
            beginning = head(now_ms)
            self._latest = (now_ms, beginning)
        return beginning + tail(self._random.getrandbits(76)), now_ms
