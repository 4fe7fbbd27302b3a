"""Parks calls of one key behind one that sleeps, then takes that one away, so that they run.

``python -m benchmarks.programs.park_kjobs QUEUE TOPIC COUNT``; TOPIC: the log of the queue's deferred store
"""

from __future__ import annotations

import json
import os
import sys
import time

from confluent_kafka.admin import AdminClient

from benchmarks.topics import size
from kjobs import default_app

from .jobs import in_turn

_KEY = "the-one"
_PATIENCE = 120.0


def main(queue: str, topic: str, count: int) -> dict[str, float]:
    """Park so many calls, and let them go."""
    admin = AdminClient({"bootstrap.servers": os.environ["BENCH_BOOTSTRAP"], "log_level": 0})
    calls = in_turn.options(queue=queue, key=_KEY)
    before = size(admin, topic)
    head = calls.delay(-1)
    _await_size(admin, topic, before + 1)
    begun = time.monotonic()
    calls.delay_many((number,) for number in range(count))
    _await_size(admin, topic, before + 1 + count)
    seconds = time.monotonic() - begun
    verdict = head.cancel()
    if not verdict:
        raise RuntimeError(f"the first call was to be cancelled, and the answer was {verdict}")
    return {"count": count, "seconds": seconds}


def _await_size(admin: AdminClient, topic: str, wanted: int) -> None:
    until = time.monotonic() + _PATIENCE
    while (found := size(admin, topic)) < wanted:
        if time.monotonic() > until:
            raise RuntimeError(f"{topic} has {found:,} records and not {wanted:,} after {_PATIENCE:g} s")
        time.sleep(0.02)


if __name__ == "__main__":
    found = main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    default_app.close()
    print(json.dumps(found))
