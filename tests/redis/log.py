"""A partition's log that is made up, and stores that are opened for it."""

from __future__ import annotations

import secrets
import time

from kjobs.config import Settings, load
from kjobs.core.deferred import QUEUED, Row
from kjobs.deferred.opener import LogState
from kjobs_redis import RedisOpener, RedisStore

#: When calls are due that have no time of their own (ms since the epoch).
DUE_MS = 1_000


def settings(url: str, **others: object) -> Settings:
    """Settings of a worker with its store there."""
    return load({"delay_store": url, **others}, environ={})


class Log:
    """What a worker learns of a log when it takes a partition over; every one is of another cluster."""

    def __init__(self) -> None:
        self.cluster = secrets.token_hex(6)

    def state(self, epoch: int = 1, **others: object) -> LogState:
        """The log as it is found by an assignment."""
        known: dict[str, object] = {
            "place": ("shop.work", 0),
            "cluster_id": self.cluster,
            "log_id": "id of the log",
            "queue_id": "id of the queue",
            "low": 0,
            "high": 1_000_000,
            "epoch": epoch,
            "now_ms": int(time.time() * 1000),
        }
        return LogState(**{**known, **others})  # type: ignore[arg-type]

    def open(self, url: str, epoch: int = 1) -> RedisStore:
        """The store, opened by a worker of its own."""
        return opener(url).open(self.state(epoch))


def opener(url: str, **others: object) -> RedisOpener:
    """A worker's way to its stores."""
    return RedisOpener(url, settings(url, **others))


def free(offset: int, due_ms: int = DUE_MS, **others: object) -> Row:
    """A call without a key."""
    known: dict[str, object] = {"id": f"call-{offset}", "value": b"{}", "due_ms": due_ms, "offset": offset}
    return Row(**{**known, **others})  # type: ignore[arg-type]


def parked(offset: int, place: int, key: bytes = b"k", **others: object) -> Row:
    """A call that came from the queue, in the order of its key."""
    known: dict[str, object] = {
        "id": f"call-{place}@{place}",
        "key": key,
        "rank": (place, QUEUED),
        "due_ms": 0,
    }
    return free(offset, **{**known, **others})  # type: ignore[arg-type]
