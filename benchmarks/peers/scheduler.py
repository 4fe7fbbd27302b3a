"""Schedules calls of another job system, in its own way, and prints how long that took.

``python -m benchmarks.peers.scheduler SYSTEM far COUNT``: in a year
``… SYSTEM together COUNT DUE``: all at one moment (ms since the epoch)
``… SYSTEM scattered COUNT BEGIN SECONDS``: at random moments of a stretch
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import repeat
from typing import Any

from benchmarks.programs.moments import FAR, moment, scattered

#: Calls of arq that are under way at a time: one after the other, each would wait for two answers.
_AT_A_TIME = 50


def scheduler(system: str) -> Callable[[int], object]:
    """What schedules one call for a moment."""
    later = import_module(f"benchmarks.peers.{system}_app").later
    if system == "celery":
        return lambda due_ms: later.apply_async((due_ms,), eta=moment(due_ms))
    if system == "dramatiq":
        return lambda due_ms: later.send_with_options(args=(due_ms,), delay=max(0, due_ms - _now_ms()))
    return lambda due_ms: later.schedule(args=(due_ms,), eta=moment(due_ms))


def schedule(system: str, moments: Sequence[int]) -> float:
    """Schedule a call for each moment; the seconds that took, without those of connecting."""
    if system == "arq":
        return asyncio.run(_schedule_with_arq(moments))
    one = scheduler(system)
    begun = time.monotonic()
    for due_ms in moments:
        one(due_ms)
    return time.monotonic() - begun


async def _schedule_with_arq(moments: Sequence[int]) -> float:
    pool = await import_module("benchmarks.peers.arq_app").connected()
    begun = time.monotonic()
    for first in range(0, len(moments), _AT_A_TIME):
        some = moments[first : first + _AT_A_TIME]
        await asyncio.gather(*(pool.enqueue_job("later", due, _defer_until=moment(due)) for due in some))
    seconds = time.monotonic() - begun
    await pool.aclose()
    return seconds


def _now_ms() -> int:
    return int(time.time() * 1000)


def main(system: str, way: str, count: int, *rest: str) -> dict[str, Any]:
    """Schedule so many calls."""
    moments: Sequence[int]
    match way:
        case "far":
            moments = list(repeat(_now_ms() + FAR * 1000, count))
        case "together":
            moments = list(repeat(int(rest[0]), count))
        case _:
            moments = scattered(count, int(rest[0]), float(rest[1]))
    return {"count": count, "seconds": schedule(system, moments)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])))
