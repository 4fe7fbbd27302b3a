"""Lets the time limit of a job that runs in the test's own thread strike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..worker.timelimit import TimeLimits

#: Seconds between two looks.
_LOOK_EVERY = 0.002


@contextmanager
def enforced(limits: TimeLimits) -> Iterator[None]:
    """Enforce time limits while the block runs, as a worker's owner thread does. They go by real time."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            limits.enforce()

    watcher = threading.Thread(target=watch, name="kjobs-testing-limits", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
