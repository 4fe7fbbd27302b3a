"""Enqueues calls of another job system, in its own way.

``python -m benchmarks.peers.feeder SYSTEM noop|latency COUNT`` or ``… SYSTEM pause COUNT SECONDS``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

_EVERY = 0.01


def enqueuer(system: str, task: str) -> Callable[[Any], object]:
    """What enqueues one call of a task."""
    found = getattr(import_module(f"benchmarks.peers.{system}_app"), task)
    enqueue: Callable[[Any], object]
    match system:
        case "celery":
            enqueue = found.delay
        case "dramatiq":
            enqueue = found.send
        case _:
            enqueue = found
    return enqueue


def main(system: str, task: str, count: int, seconds: float) -> None:
    """Enqueue so many calls; those whose latency is taken at 100 a second."""
    enqueue = enqueuer(system, task)
    begun = time.monotonic()
    for number in range(count):
        match task:
            case "noop":
                enqueue(number)
            case "pause":
                enqueue(seconds)
            case _:
                time.sleep(max(0.0, begun + number * _EVERY - time.monotonic()))
                enqueue(time.monotonic_ns())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]) if len(sys.argv) > 4 else 0.0)
    print("enqueued")
