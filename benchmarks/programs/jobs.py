"""The jobs that are measured. Each tells of its execution by appending to a file, with one system call."""

from __future__ import annotations

import asyncio
import time

from kjobs import job

from . import mark


@job(name="bench.noop", key="number")
def noop(number: int) -> None:
    """Do nothing."""
    mark.one()


@job(name="bench.pause")
def pause(seconds: float) -> None:
    """Wait as for a disk, a database, a web service."""
    time.sleep(seconds)
    mark.one()


@job(name="bench.async_pause")
async def async_pause(seconds: float) -> None:
    """Wait in the event loop."""
    await asyncio.sleep(seconds)
    mark.one()


@job(name="bench.latency")
def latency(at: int) -> None:
    """Tell how long ago the call was enqueued; ``at`` in nanoseconds of CLOCK_MONOTONIC."""
    mark.number(time.monotonic_ns() - at)


@job(name="bench.remember")
def remember(number: int) -> None:
    """Tell which call begins, and take 10 ms."""
    mark.number(number)
    time.sleep(0.01)


@job(name="bench.note", key="user")
def note(user: int, text: str) -> None:
    """A call of an ordinary size, for enqueueing."""
    mark.one()
