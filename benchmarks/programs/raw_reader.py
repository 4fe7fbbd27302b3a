"""Reads a topic with the bare client, decodes each record, and calls a function if it is told to.

``python -m benchmarks.programs.raw_reader TOPIC PARTITIONS TOTAL decode|call``
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from benchmarks.clients import raw_consumer

from . import mark

_BATCH = 1000


class Call(msgspec.Struct, gc=False):
    """A call as far as it is needed to make it."""

    job: str
    id: str
    args: list[Any]
    kwargs: dict[str, Any]


def noop(number: int) -> None:
    """The job."""
    mark.one()


def main(topic: str, partitions: int, total: int, *, call: bool) -> dict[str, float]:
    """Read so many records, and tell the pace from the first batch on."""
    decode, functions = msgspec.json.Decoder(Call).decode, {"bench.noop": noop}
    consumer = Consumer(raw_consumer(os.environ["BENCH_BOOTSTRAP"]))
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    gc.collect()
    gc.freeze()
    poll, consume = consumer.poll, consumer.consume
    done = first = 0
    begun = 0.0
    while done < total:
        message = poll(0.1)
        if message is None:
            continue
        messages = [message, *consume(_BATCH - 1, 0)]
        if not done:
            begun, first = time.monotonic(), len(messages)
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(message.error())
            envelope = decode(message.value())  # type: ignore[arg-type]
            if call:
                functions[envelope.job](*envelope.args, **envelope.kwargs)
        done += len(messages)
    seconds = time.monotonic() - begun
    consumer.close()
    return {"count": done - first, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), call=sys.argv[4] == "call")))
