"""Enqueues with kjobs and prints how many calls a second were acknowledged.

``python -m benchmarks.programs.enqueue_kjobs QUEUE one THREADS SECONDS``, or ``… QUEUE many COUNT TIMES``, or
``… QUEUE write COUNT TIMES``, which sends nothing.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time

from kjobs import default_app
from kjobs.job import Options

from .jobs import note
from .workload import TEXT, USERS


def one(queue: str, threads: int, seconds: float) -> dict[str, float]:
    """Call ``.delay()`` from some threads for some time."""
    delay = note.options(queue=queue).delay
    delay(0, TEXT)  # The producer is opened and the topic looked up with the first call of a process.
    ready = threading.Barrier(threads + 1)
    stop = threading.Event()
    counts: list[int] = []

    def enqueue() -> None:
        ready.wait()
        count = 0
        while not stop.is_set():
            delay(count % USERS, TEXT)
            count += 1
        counts.append(count)

    workers = [threading.Thread(target=enqueue) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.monotonic()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    return {"count": sum(counts), "seconds": time.monotonic() - begun, "more": 1}


def many(queue: str, count: int, times: int) -> dict[str, float]:
    """Enqueue so many calls with one ``delay_many``, some times."""
    enqueue = note.options(queue=queue)
    enqueue.delay(0, TEXT)
    calls = [(number % USERS, TEXT) for number in range(count)]
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        enqueue.delay_many(calls)
        taken.append(time.monotonic() - begun)
    return {"count": count, "seconds": statistics.median(taken), "more": 1 + count * (times - 1)}


def write(queue: str, count: int, times: int) -> dict[str, float]:
    """Do with so many calls what comes before they are sent."""
    options = Options(queue=queue)
    calls = [(number % USERS, TEXT) for number in range(count)]
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        written = [note.compose(call, {}, options) for call in calls]
        taken.append(time.monotonic() - begun)
        assert len(written) == count
    return {"count": count, "seconds": statistics.median(taken), "more": -count}


if __name__ == "__main__":
    _, queue, how, *rest = sys.argv
    if how == "one":
        found = one(queue, int(rest[0]), float(rest[1]))
    else:
        found = {"many": many, "write": write}[how](queue, int(rest[0]), int(rest[1]))
    default_app.close()
    print(json.dumps(found))
