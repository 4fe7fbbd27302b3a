"""What is enqueued: drawn, and pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TypeVar

from tests.torture.layout import QUEUES, Queue

T = TypeVar("T")

#: What calls are told to do, with how often of a thousand.
_SCRIPTS = {
    "ok": 912,
    "fail ok": 30,
    "fail fail ok": 10,
    "loud ok": 3,
    "soon ok": 3,
    "soon fail ok": 1,
    "later ok": 3,
    "later fail ok": 1,
    "fail": 5,
    "fatal": 4,
    "dead": 4,
    "discard": 10,
    "snooze": 12,
    "exit ok": 2,
    "interrupt ok": 2,
    "huge ok": 2,
}
#: The same for calls that run in a process of their own.
_PRESSED = {"ok": 780, "fail ok": 60, "segv": 30, "exit0": 30, "once-kill ok": 60, "once-exit1 ok": 40}
#: How long calls take, of a thousand.
_LENGTHS = {0.0: 700, 0.002: 200, 0.01: 80, 0.1: 18, 0.8: 2}
#: Which jobs are called, of a thousand; in a queue for isolated ones it is always that.
_JOBS = {"act": 780, "drift": 170, "yielding": 40, "hurry": 10}
#: The queue whose calls run in processes of their own.
PRESSING = "media"

_KEYS = 400
_BUNCH = 60


@dataclass(frozen=True, slots=True)
class Draw:
    """A call to be enqueued.

    Attributes:
        many: it is one of several that are sent with ``delay_many``.
        wish: afterwards it is to be delayed by so many seconds (not negative), or cancelled (negative).
    """

    job: str
    queue: str
    key: str | None
    script: str = "ok"
    length: float = 0.0
    delay: float | None = None
    expires: float | None = None
    many: bool = False
    wish: float | None = None


class Draws:
    """Draws calls.

    Args:
        name: of the caller; its keys are its own, because who shares one with others knows no order.
        rng: where from.
    """

    def __init__(self, name: str, rng: random.Random) -> None:
        self._name = name
        self._rng = rng

    def bunch(self) -> list[Draw]:
        """The calls that are sent next, together."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.30:
            return [self._call(self._queue())]
        if kind < 0.36:
            return [self._delayed()]
        size = rng.randint(2, _BUNCH)
        if kind < 0.50:
            queue = self._queue(pressing=False)
            key = self._key(queue)
            return [
                Draw("act", queue.name, key, self._of(_SCRIPTS), self._length(), many=True)
                for _ in range(size)
            ]
        return [self._call(self._queue(pressing=size < 10)) for _ in range(size)]

    def _call(self, queue: Queue) -> Draw:
        rng = self._rng
        if queue.name == PRESSING:
            return Draw("press", queue.name, self._key(queue), self._of(_PRESSED), self._length())
        job = self._of(_JOBS)
        expires = 5.0 if rng.random() < 0.01 else None
        delay = rng.uniform(0.05, 8.0) if rng.random() < 0.03 else None
        key = self._key(queue)
        return Draw(job, queue.name, key, self._of(_SCRIPTS), self._length(), delay, expires)

    def _delayed(self) -> Draw:
        rng = self._rng
        queue = self._queue(pressing=False)
        delay = rng.choice((0.0, rng.uniform(0.05, 2.0), rng.uniform(1.0, 12.0)))
        wish = None
        if rng.random() < 0.2:
            wish = -1.0 if rng.random() < 0.6 else rng.uniform(0.1, 5.0)
        job = self._of(_JOBS)
        return Draw(job, queue.name, self._key(queue), self._of(_SCRIPTS), 0.0, delay=delay, wish=wish)

    def _queue(self, *, pressing: bool = True) -> Queue:
        while True:
            (found,) = self._rng.choices(QUEUES, [queue.share for queue in QUEUES])
            if pressing or found.name != PRESSING:
                return found

    def _key(self, queue: Queue) -> str | None:
        if not queue.keyed or self._rng.random() < 0.2:
            return None
        return f"{self._name}-{int(_KEYS * self._rng.random() ** 3)}"  # a few of them are hot

    def _length(self) -> float:
        return self._of(_LENGTHS)

    def _of(self, weights: dict[T, int]) -> T:
        return self._rng.choices(list(weights), list(weights.values()))[0]
