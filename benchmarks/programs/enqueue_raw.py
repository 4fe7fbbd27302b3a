"""Sends with the bare client what kjobs would, and prints how many records a second were acknowledged.

``python -m benchmarks.programs.enqueue_raw TOPIC poll|flush SECONDS`` or ``… TOPIC bulk|reports COUNT TIMES``
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import Any

from confluent_kafka import Producer

from benchmarks.clients import raw_producer
from benchmarks.envelopes import envelope

from .workload import TEXT, USERS


def _records(count: int) -> list[tuple[bytes, bytes]]:
    return [
        (envelope("bench.note", number, number % USERS, TEXT), str(number % USERS).encode())
        for number in range(count)
    ]


def one(topic: str, seconds: float, *, flush: bool) -> dict[str, float]:
    """Send a record and wait for its acknowledgement, again and again."""
    producer = Producer(raw_producer(os.environ["BENCH_BOOTSTRAP"]))
    records = _records(USERS)
    waiting: list[int] = []

    def report(error: Any, _message: Any) -> None:
        if error is not None:
            raise RuntimeError(error)
        waiting.clear()

    def send(number: int) -> None:
        value, key = records[number % USERS]
        waiting.append(number)
        producer.produce(topic, value, key, on_delivery=report)
        if flush:
            producer.flush()
        while waiting:
            producer.poll(1.0)

    send(0)
    count, begun = 0, time.monotonic()
    until = begun + seconds
    while time.monotonic() < until:
        send(count)
        count += 1
    return {"count": count, "seconds": time.monotonic() - begun, "more": 1}


def bulk(topic: str, count: int, times: int, *, reports: bool) -> dict[str, float]:
    """Send many records and wait for all of them once, some times."""
    producer = Producer(raw_producer(os.environ["BENCH_BOOTSTRAP"]))
    records = _records(count)
    failures: list[Any] = []

    def report(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(error)

    producer.produce(topic, *records[0])
    producer.flush()
    produce = producer.produce
    taken = []
    for _ in range(times):
        begun = time.monotonic()
        if reports:
            for value, key in records:
                produce(topic, value, key, on_delivery=report)
        else:
            for value, key in records:
                produce(topic, value, key)
        left = producer.flush(60)
        taken.append(time.monotonic() - begun)
        if left or failures:
            raise RuntimeError(f"{left} records were not sent, {len(failures)} failed: {failures[:1]}")
    return {"count": count, "seconds": statistics.median(taken), "more": 1 + count * (times - 1)}


if __name__ == "__main__":
    _, topic, how, *rest = sys.argv
    if how in ("poll", "flush"):
        found = one(topic, float(rest[0]), flush=how == "flush")
    else:
        found = bulk(topic, int(rest[0]), int(rest[1]), reports=how == "reports")
    print(json.dumps(found))
