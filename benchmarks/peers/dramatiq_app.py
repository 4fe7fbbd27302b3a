"""Dramatiq's actors, with its default middleware: acknowledged after they ran, retried when they fail."""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.programs import mark

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))


@dramatiq.actor
def noop(number: int) -> None:
    """Do nothing."""
    mark.one()


@dramatiq.actor
def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    mark.one()


@dramatiq.actor
def latency(at: int) -> None:
    """Tell how long ago the call was enqueued."""
    mark.number(time.monotonic_ns() - at)


@dramatiq.actor
def later(due_ms: int) -> None:
    """Tell how long ago the call was due."""
    mark.number(time.time_ns() - due_ms * 1_000_000)
