"""The jobs that are measured. Each tells of its execution by appending to a file, with one system call."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from kjobs import Snooze, current, job

from . import mark


@job(name="bench.noop", key="number")
def noop(number: int) -> None:
    """Do nothing."""
    mark.one()


@job(name="bench.free")
def free(number: int) -> None:
    """Do nothing, in whatever order."""
    mark.one()


@job(name="bench.pause")
def pause(seconds: float) -> None:
    """Wait as for a disk, a database, a web service."""
    time.sleep(seconds)
    mark.one()


@job(name="bench.busy")
def busy(rounds: int) -> None:
    """Compute something, in Python, and tell in which process."""
    mark.number(os.getpid())
    for number in range(rounds):
        number * number


@job(name="bench.async_pause")
async def async_pause(seconds: float) -> None:
    """Wait in the event loop."""
    await asyncio.sleep(seconds)
    mark.one()


@job(name="bench.latency")
def latency(at: int) -> None:
    """Tell how long ago the call was enqueued; ``at`` in nanoseconds of CLOCK_MONOTONIC."""
    mark.number(time.monotonic_ns() - at)


@job(name="bench.late")
def late(due_ms: int) -> None:
    """Tell how long ago the call was due."""
    mark.number(time.time_ns() - due_ms * 1_000_000)


@job(name="bench.in_turn")
def in_turn(number: int) -> None:
    """Tell which call begins; one that is none sleeps, and all behind it wait."""
    if number < 0:
        raise Snooze("1h")
    mark.number(number)


@job(name="bench.remember")
def remember(number: int) -> None:
    """Tell which call begins, and take 10 ms."""
    mark.number(number)
    time.sleep(0.01)


@job(name="bench.where")
def where() -> None:
    """Tell of which partition a call begins, and when; take a millisecond."""
    mark.number(current().partition << 48 | time.monotonic_ns() // 1000)
    time.sleep(0.001)


@job(name="bench.burst")
def burst(number: int) -> None:
    """End the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@job(name="bench.crack", isolate=True)
def crack(number: int) -> None:
    """End the process that runs it, which has been begun for such calls."""
    burst(number)


@job(name="bench.note", key="user")
def note(user: int, text: str) -> None:
    """A call of an ordinary size, for enqueueing."""
    mark.one()
