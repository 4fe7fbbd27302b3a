"""Stores what jobs under test save with ``checkpoint()``: at once, in memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from ..core.commands import SaveAnswered
from ..core.events import SaveAsked
from ..core.partition import Entry
from ..worker.saves import judge


class MemorySaver:
    """A :class:`kjobs.core.ports.Saver` that has its answer when it has asked.

    Args:
        ask: has the scheduler see to what is asked for, and what comes of it told to :meth:`answer`.
    """

    def __init__(self, ask: Callable[[SaveAsked], None]) -> None:
        self._ask = ask
        self._numbers = count()
        self._answers: dict[int, SaveAnswered] = {}

    def save(self, entry: Entry, state: bytes) -> None:
        """Have a state saved."""
        asked = SaveAsked(entry, state, next(self._numbers))
        self._ask(asked)
        judge(self._answers.pop(asked.asker, None))

    async def asave(self, entry: Entry, state: bytes) -> None:
        """Have a state saved."""
        self.save(entry, state)

    def answer(self, answered: SaveAnswered) -> None:
        """Take what came of it."""
        self._answers[answered.asked.asker] = answered
