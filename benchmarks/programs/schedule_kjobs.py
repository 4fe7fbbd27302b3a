"""Schedules calls with kjobs and prints how long it took until they were acknowledged.

``python -m benchmarks.programs.schedule_kjobs QUEUE one SECONDS``: in an hour, one call after the other
``… QUEUE many COUNT TIMES``: in an hour, the median of so many ``delay_many``
``… QUEUE far COUNT``: in a year, in handfuls
``… QUEUE together free|keyed COUNT DUE``: no-op calls, all at one moment
``… QUEUE scattered COUNT BEGIN SECONDS``: at moments of a stretch; they tell how late they begin
``… QUEUE latecomers COUNT DUE``: the same at one moment
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

from kjobs import default_app

from .jobs import free, late, noop, note
from .moments import FAR, moment, scattered
from .workload import TEXT, USERS

#: Calls of one ``delay_many`` where there are very many.
_HANDFUL = 100_000


def one(queue: str, seconds: float) -> dict[str, float]:
    """Schedule one call after the other for some time."""
    delay = note.options(queue=queue, delay="1h").delay
    delay(0, TEXT)  # The producer is opened and the topic looked up with the first call of a process.
    count, begun = 0, time.monotonic()
    until = begun + seconds
    while time.monotonic() < until:
        delay(count % USERS, TEXT)
        count += 1
    return {"count": count, "seconds": time.monotonic() - begun, "more": 1}


def many(queue: str, count: int, times: int) -> dict[str, float]:
    """Schedule so many calls at once, some times."""
    schedule = note.options(queue=queue, delay="1h")
    schedule.delay(0, TEXT)
    calls = [(number % USERS, TEXT) for number in range(count)]
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        schedule.delay_many(calls)
        taken.append(time.monotonic() - begun)
    return {"count": count, "seconds": statistics.median(taken), "more": 1 + count * (times - 1)}


def far(queue: str, count: int) -> dict[str, float]:
    """Schedule calls that wait while others are measured."""
    schedule = note.options(queue=queue, delay=FAR)
    begun = time.monotonic()
    for first in range(0, count, _HANDFUL):
        schedule.delay_many((n % USERS, TEXT) for n in range(first, min(count, first + _HANDFUL)))
    return {"count": count, "seconds": time.monotonic() - begun, "more": 0}


def together(queue: str, kind: str, count: int, due_ms: int) -> dict[str, float]:
    """Schedule no-op calls for one moment: without a key, or each with one of its own."""
    job = noop if kind == "keyed" else free
    begun = time.monotonic()
    job.options(queue=queue, at=moment(due_ms)).delay_many((number,) for number in range(count))
    return {"count": count, "seconds": time.monotonic() - begun, "more": 0}


def scatter(queue: str, count: int, begin_ms: int, seconds: float) -> dict[str, float]:
    """Schedule calls for moments of a stretch; every other one has a key of its own."""
    begun = time.monotonic()
    for number, due_ms in enumerate(scattered(count, begin_ms, seconds)):
        key = str(number) if number % 2 else None
        late.options(queue=queue, at=moment(due_ms), key=key).delay(due_ms)
    return {"count": count, "seconds": time.monotonic() - begun, "more": 0}


def latecomers(queue: str, count: int, due_ms: int) -> dict[str, float]:
    """Schedule calls for one moment that tell how late they begin."""
    begun = time.monotonic()
    late.options(queue=queue, at=moment(due_ms)).delay_many((due_ms,) for _ in range(count))
    return {"count": count, "seconds": time.monotonic() - begun, "more": 0}


_WAYS: dict[str, Callable[..., dict[str, float]]] = {
    "one": lambda queue, seconds: one(queue, float(seconds)),
    "many": lambda queue, count, times: many(queue, int(count), int(times)),
    "far": lambda queue, count: far(queue, int(count)),
    "together": lambda queue, kind, count, due_ms: together(queue, kind, int(count), int(due_ms)),
    "scattered": lambda queue, count, begin, seconds: scatter(queue, int(count), int(begin), float(seconds)),
    "latecomers": lambda queue, count, due_ms: latecomers(queue, int(count), int(due_ms)),
}

if __name__ == "__main__":
    _, queue, way, *rest = sys.argv
    found = _WAYS[way](queue, *rest)
    default_app.close()
    print(json.dumps(found))
