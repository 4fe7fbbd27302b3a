"""The settings of the raw clients that kjobs is compared with: tuned, and as safe as kjobs' own.

They are written out here and not taken from kjobs: if kjobs' own got worse, its ratios have to show it.
"""

from __future__ import annotations

from typing import Any


def raw_consumer(bootstrap: str) -> dict[str, Any]:
    """For reading as fast as the client can. The default ``fetch.queue.backoff.ms`` makes it a tenth."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": "raw",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 16_384,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 100,
        "allow.auto.create.topics": False,
    }


def raw_producer(bootstrap: str) -> dict[str, Any]:
    """For sending with the guarantees that a call has."""
    return {
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 0,
        "sticky.partitioning.linger.ms": 0,
        "queue.buffering.max.messages": 200_000,
        "allow.auto.create.topics": False,
    }
