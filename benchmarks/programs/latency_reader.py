"""Reads a topic with the bare client and appends how long ago each message was sent.

``python -m benchmarks.programs.latency_reader TOPIC PARTITIONS COUNT``
"""

from __future__ import annotations

import os
import sys
import time

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.clients import raw_consumer

from . import mark


def main(topic: str, partitions: int, count: int) -> None:
    """Read so many messages, from now on."""
    consumer = Consumer(raw_consumer(os.environ["BENCH_BOOTSTRAP"]))
    places = [TopicPartition(topic, number) for number in range(partitions)]
    # Resolved here: with OFFSET_END the client would ask when it first fetches, and might miss some.
    ends = [_watermarks(consumer, place) for place in places]
    consumer.assign([TopicPartition(topic, number, end) for number, (_, end) in enumerate(ends)])
    print("reader ready", flush=True)
    while count:
        message = consumer.poll(1.0)
        now = time.monotonic_ns()
        if message is None:
            continue
        if message.error() is not None:
            raise RuntimeError(message.error())
        mark.number(now - msgspec.json.decode(message.value() or b"")["args"][0])
        count -= 1
    consumer.close()


def _watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """A partition's first and next offset; one that is new may have no leader yet."""
    until = time.monotonic() + 10
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=10)
        except KafkaException:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
