"""Joins a group and leaves it, again and again, without doing anything in it.

``python -m benchmarks.programs.passer_by TOPIC GROUP SECONDS``: it is in the group for so many seconds, then
out of it for as many.
"""

from __future__ import annotations

import os
import sys
import time

from confluent_kafka import Consumer


def main(topic: str, group: str, seconds: float) -> None:
    """Come and go until this process is killed."""
    passes = 0
    while True:
        until = time.monotonic() + seconds
        consumer = Consumer(
            {
                "bootstrap.servers": os.environ["BENCH_BOOTSTRAP"],
                "group.id": group,
                "partition.assignment.strategy": "cooperative-sticky",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        while time.monotonic() < until:
            consumer.poll(0.05)
            # It takes part in the group, but takes no record of whoever works.
            if assigned := consumer.assignment():
                consumer.pause(assigned)
        consumer.close()
        passes += 1
        print(passes, flush=True)
        time.sleep(max(0.0, until + seconds - time.monotonic()))


if __name__ == "__main__":
    _, topic, group, seconds = sys.argv
    main(topic, group, float(seconds))
