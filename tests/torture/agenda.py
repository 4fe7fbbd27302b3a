"""What is to be done when: one thread keeps the time, a few others do it."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Self

_HANDS = 12


class Agenda:
    """Does things at their times. What is left when it ends is done at once."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = count()
        self._changed = threading.Condition()
        self._closing = False
        self._pool = ThreadPoolExecutor(_HANDS, thread_name_prefix="nemesis")
        self._doing: list[Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="agenda", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Do something at a moment (monotonic seconds), or as soon as it is over."""
        with self._changed:
            heapq.heappush(self._heap, (moment, next(self._ticket), action))
            self._changed.notify()

    def close(self) -> None:
        """Do what is left, and wait for all of it.

        Raises:
            Exception: what one of the actions has raised.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._pool.shutdown(wait=True)
        for done in self._doing:
            done.result()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or (self._heap[0][0] > time.monotonic() and not self._closing):
                    if not self._heap and self._closing and all(done.done() for done in self._doing):
                        return
                    wait = self._heap[0][0] - time.monotonic() if self._heap else 0.5
                    self._changed.wait(max(0.0, min(wait, 0.5)))
                _, _, action = heapq.heappop(self._heap)
            self._doing.append(self._pool.submit(action))
