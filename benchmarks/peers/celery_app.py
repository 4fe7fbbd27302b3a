"""Celery's tasks: acknowledged after they ran, many prefetched, no results kept."""

from __future__ import annotations

import os
import time

from celery import Celery

from benchmarks.programs import mark

app = Celery("benchmarks.peers.celery_app", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(number: int) -> None:
    """Do nothing."""
    mark.one()


@app.task
def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
    mark.one()


@app.task
def latency(at: int) -> None:
    """Tell how long ago the call was enqueued."""
    mark.number(time.monotonic_ns() - at)


@app.task
def later(due_ms: int) -> None:
    """Tell how long ago the call was due."""
    mark.number(time.time_ns() - due_ms * 1_000_000)
