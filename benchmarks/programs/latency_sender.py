"""Sends one message each 10 ms, in turns with the bare client and with kjobs.

In turns, so that what else the machine does meanwhile meets both alike.

``python -m benchmarks.programs.latency_sender QUEUE TOPIC COUNT SLICES``
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from confluent_kafka import Producer

from benchmarks.clients import raw_producer
from benchmarks.envelopes import envelope
from kjobs import default_app

from .jobs import latency

_EVERY = 0.01


def main(queue: str, topic: str, count: int, slices: int) -> None:
    """Send ``count`` messages each way."""
    producer = Producer(raw_producer(os.environ["BENCH_BOOTSTRAP"]))
    delay = latency.options(queue=queue).delay

    def raw() -> None:
        at = time.monotonic_ns()
        producer.produce(topic, envelope("bench.latency", 0, at))
        producer.poll(0)

    def kjobs() -> None:
        delay(time.monotonic_ns())

    for part in range(slices):
        left = count // slices + (part < count % slices)
        _paced(raw, left)
        _paced(kjobs, left)
    producer.flush(10)
    default_app.close()


def _paced(send: Callable[[], None], count: int) -> None:
    begun = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begun + number * _EVERY - time.monotonic()))
        send()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print("sent")
