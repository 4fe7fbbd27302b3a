"""Huey's tasks: taken off the queue before they run, as it always does; no results kept."""

from __future__ import annotations

import os
import time

from huey import RedisHuey

from benchmarks.programs import mark

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS"], results=False)


@huey.task()
def noop(number: int) -> None:
    """Do nothing."""
    mark.one()


@huey.task()
def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    mark.one()


@huey.task()
def latency(at: int) -> None:
    """Tell how long ago the call was enqueued."""
    mark.number(time.monotonic_ns() - at)


@huey.task()
def later(due_ms: int) -> None:
    """Tell how long ago the call was due."""
    mark.number(time.time_ns() - due_ms * 1_000_000)
