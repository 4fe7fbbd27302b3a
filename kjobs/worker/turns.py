"""Entries that wait for a slot, by queue: queues take turns, as often as their weights say.

Without this a queue with a backlog would fill the line in front of the slots, and what comes to another one
would wait for thousands of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from ..core.partition import Entry


class Turns:
    """Stride scheduling: of those that have something, the queue that has been served least for its weight.

    See Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource Management",
    1995.

    Args:
        weights: by topic, how often it is served in comparison with the others.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._strides = {topic: 1.0 / weight for topic, weight in weights.items()}
        #: What each has been served, counted in strides.
        self._passed = dict.fromkeys(weights, 0.0)
        self._lines: dict[str, deque[Entry]] = {topic: deque() for topic in weights}
        self._now = 0.0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._lines.values())

    def put(self, entries: Iterable[Entry]) -> None:
        """Let entries wait behind others of their queues."""
        for entry in entries:
            topic = entry.partition.place[0]
            line = self._lines[topic]
            if not line:
                # Who had nothing to do has saved up nothing.
                self._passed[topic] = max(self._passed[topic], self._now)
            line.append(entry)
            self._count += 1

    def take(self, most: int) -> list[Entry]:
        """The next entries, at most so many."""
        taken: list[Entry] = []
        lines, passed = self._lines, self._passed
        while self._count and len(taken) < most:
            topic = min((topic for topic, line in lines.items() if line), key=passed.__getitem__)
            self._now = passed[topic]
            passed[topic] += self._strides[topic]
            taken.append(lines[topic].popleft())
            self._count -= 1
        return taken

    def recall(self) -> list[Entry]:
        """Take everything back."""
        taken = list(self)
        for line in self._lines.values():
            line.clear()
        self._count = 0
        return taken
