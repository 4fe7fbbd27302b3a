"""States that jobs want to be saved, on their way to the owner, and on the way back what became of them.

A job asks in its own thread or task and waits; the owner takes what was asked for, lets the scheduler see to
it, and passes the answer on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from ..core.commands import SaveAnswered
from ..core.deferred import Fate
from ..core.events import SaveAsked
from ..core.partition import Entry
from ..errors import CheckpointFailed, CheckpointRefused

#: Seconds that a job waits for an answer.
PATIENCE = 15.0
#: Seconds that a thread waits in one go: only between two waits it can be told that its time is up.
_SLICE = 0.1


class _Asker:
    """Who waits for an answer."""

    __slots__ = ("answered", "asked", "gone", "wake")

    def __init__(self, asked: SaveAsked, wake: Callable[[], object]) -> None:
        self.asked = asked
        self.wake = wake
        self.answered: SaveAnswered | None = None
        self.gone = False


class Saves:
    """What the jobs of a worker want to be saved; a :class:`kjobs.core.ports.Saver`.

    Args:
        tell: wakes the owner; from any thread.
        patience: seconds that a job waits for an answer.
    """

    def __init__(self, tell: Callable[[], None], patience: float = PATIENCE) -> None:
        self._tell = tell
        self._patience = patience
        self._numbers = count()
        self._inbox: deque[_Asker] = deque()
        self._askers: dict[int, _Asker] = {}

    # --- the job's side --------------------------------------------------------------------------

    def save(self, entry: Entry, state: bytes) -> None:
        """Have a state saved, and wait for that; in the thread that runs the call."""
        done = threading.Lock()
        done.acquire()
        asker = self._ask(entry, state, done.release)
        try:
            until = time.monotonic() + self._patience
            while not done.acquire(timeout=_SLICE) and time.monotonic() < until:
                pass
        finally:
            self._leave(asker)
        judge(asker.answered, self._patience)

    async def asave(self, entry: Entry, state: bytes) -> None:
        """Have a state saved, and wait for that, in a task."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        asker = self._ask(entry, state, lambda: loop.call_soon_threadsafe(done.set))
        waiting = asyncio.ensure_future(done.wait())
        try:
            await asyncio.wait([waiting], timeout=self._patience)
        finally:
            waiting.cancel()
            self._leave(asker)
        judge(asker.answered, self._patience)

    def _ask(self, entry: Entry, state: bytes, wake: Callable[[], object]) -> _Asker:
        asker = _Asker(SaveAsked(entry, state, next(self._numbers)), wake)
        self._askers[asker.asked.asker] = asker
        self._inbox.append(asker)
        self._tell()
        return asker

    def _leave(self, asker: _Asker) -> None:
        asker.gone = True
        self._askers.pop(asker.asked.asker, None)

    # --- the owner's side ------------------------------------------------------------------------

    def take(self) -> list[_Asker]:
        """Who has asked since the last time.

        To be called before the ends of attempts are collected, and looked at after that: who has asked and
        stopped waiting before its attempt ended is gone by then.
        """
        return [self._inbox.popleft() for _ in range(len(self._inbox))]

    def answer(self, answered: SaveAnswered) -> None:
        """Pass an answer on, if somebody waits for it."""
        asker = self._askers.get(answered.asked.asker)
        if asker is not None:
            asker.answered = answered
            with suppress(RuntimeError):  # its event loop is closed
                asker.wake()


def judge(answered: SaveAnswered | None, patience: float = PATIENCE) -> None:
    """Raise what comes of an answer; None if there was none in time.

    Raises:
        CheckpointError: the state is not known to be saved.
    """
    if answered is None:
        raise CheckpointFailed(
            f"checkpoint(): it is not known after {patience:g} s whether the state is stored. It may be, or "
            "may be yet. Is Kafka away? If the call has to begin again, it may begin with the state before.",
            definite=False,
        )
    match answered.fate:
        case Fate.SAVED:
            return
        case Fate.REFUSED:
            raise CheckpointRefused(
                f"checkpoint(): {answered.why}. The state is not stored, and the attempt should end."
            )
        case Fate.FAILED:
            raise CheckpointFailed(f"checkpoint(): the state is not stored: {answered.why}", definite=True)
        case Fate.UNKNOWN:
            raise CheckpointFailed(
                f"checkpoint(): {answered.why}, while the state was being stored. It may be stored, or not.",
                definite=False,
            )
