"""Lets so many calls of a kind through at a time; the others wait aside, and no slot waits with them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable

from ..core.partition import Entry


class Turnstile:
    """Counts running calls by what they have in common. All methods may be called by any thread.

    Attributes:
        again: takes an entry that may be tried again; set by whoever runs entries.
    """

    def __init__(self) -> None:
        self.again: Callable[[Entry], None] = lambda entry: None
        self._running: dict[Hashable, int] = {}
        self._aside: dict[Hashable, deque[Entry]] = {}
        #: Entries that were first in their line when they were called: they do not go to the end again.
        self._called: set[int] = set()
        self._lock = threading.Lock()

    def enter(self, token: Hashable, most: int, entry: Entry) -> bool:
        """Let a call through, or set it aside.

        Args:
            token: what it has in common with those that it counts with.
            most: how many of them may run.
            entry: the call.
        """
        with self._lock:
            first = id(entry) in self._called
            self._called.discard(id(entry))
            running = self._running.get(token, 0)
            if running < most:
                self._running[token] = running + 1
                return True
            line = self._aside.setdefault(token, deque())
            if first:
                line.appendleft(entry)
            else:
                line.append(entry)
            return False

    def leave(self, token: Hashable) -> None:
        """A call that was let through has ended."""
        with self._lock:
            self._running[token] -= 1
            if not self._running[token]:
                del self._running[token]
            line = self._aside.get(token)
            entry = line.popleft() if line else None
            if line is not None and not line:
                del self._aside[token]
            if entry is not None:
                self._called.add(id(entry))
        if entry is not None:
            self.again(entry)

    def recall(self) -> list[Entry]:
        """Take back everything that was set aside."""
        with self._lock:
            lines, self._aside = self._aside, {}
            self._called.clear()
        return [entry for line in lines.values() for entry in line]
