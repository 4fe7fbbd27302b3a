"""The settings of every Kafka client that kjobs makes, and what its errors mean.

Why each of them: ``docs/reliability.md``. The ones in :data:`kjobs.config.FIXED` are promises.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from ..errors import ConfigError

log = logging.getLogger("kjobs.kafka")

C = TypeVar("C")

#: Seconds between two log lines about the same kind of connection trouble.
_QUIET = 10.0


def producer_options(bootstrap: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """For enqueueing and for dead letters: idempotent, acknowledged by all replicas."""
    return {
        "linger.ms": 0,
        "sticky.partitioning.linger.ms": 0,
        "compression.type": "lz4",
        "delivery.timeout.ms": 30_000,
        "queue.buffering.max.messages": 200_000,
        # Brokers apply max.message.bytes to batches, and kjobs' topics allow little more than one call.
        "batch.size": 64 * 1024,
        "message.max.bytes": 16 * 1024 * 1024,
        "socket.keepalive.enable": True,
        **extra,
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "allow.auto.create.topics": False,
        "error_cb": Trouble("producer"),
        "logger": Murmur(),
    }


def consumer_options(
    bootstrap: str,
    group: str,
    extra: Mapping[str, Any],
    *,
    protocol: str,
    session_timeout: float,
    buffer: int,
    embedded: bool,
    instance: str | None = None,
) -> dict[str, Any]:
    """For a worker: nothing is committed or reset but by kjobs itself.

    ``fetch.queue.backoff.ms`` is a second by default, in which a client that has prefetched enough
    does nothing: with a small prefetch that caps it at 53,000 records a second.

    ``instance``: the name of a static member. Its partitions wait for it, for a session timeout, when it
    ends, and it has them back at once when it comes again.
    """
    options = {
        # The embedded broker does not cut a long poll short when a record arrives; a real one does.
        "fetch.wait.max.ms": 10 if embedded else 100,
        "fetch.queue.backoff.ms": 10,
        # More than the buffer takes at once, and little enough to stay in the processor's caches.
        "queued.min.messages": 4 * buffer,
        "queued.max.messages.kbytes": 16_384,
        # A fetch of compressed records grows by a factor of five or more; and the records of one partition
        # come in a row, so that few of many partitions would fill the buffer.
        "fetch.message.max.bytes": 32_768,
        "max.poll.interval.ms": 300_000,
        "socket.keepalive.enable": True,
        **extra,
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "error_cb": Trouble("consumer"),
        "logger": Murmur(),
    }
    if protocol == "classic":
        timeout_ms = int(session_timeout * 1000)
        options["partition.assignment.strategy"] = "cooperative-sticky"
        options["session.timeout.ms"] = timeout_ms
        options["heartbeat.interval.ms"] = max(100, min(1000, timeout_ms // 6))
    if instance is not None:
        options["group.instance.id"] = instance
    return options


def reader_options(bootstrap: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """For reading a topic from outside a group: no offsets are ever committed."""
    return {
        "fetch.wait.max.ms": 50,
        **extra,
        # It is in no group and has no session; the client compares a short one of a worker with its default.
        "max.poll.interval.ms": 300_000,
        "bootstrap.servers": bootstrap,
        "group.id": "kjobs-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "error_cb": Trouble("reader"),
        "logger": Murmur(),
    }


def admin_options(bootstrap: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """For topics, groups and offsets."""
    return {**extra, "bootstrap.servers": bootstrap, "error_cb": Trouble("admin"), "logger": Murmur()}


class Trouble:
    """An ``error_cb``: says once in a while, not hundreds of times, that a broker cannot be reached."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._said: dict[int, float] = {}
        self._lock = threading.Lock()
        #: The last error, for messages about what did not happen.
        self.last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        self.last = error
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(error.code(), float("-inf")) < _QUIET:
                return
            self._said[error.code()] = now
        log.warning(
            "Kafka %s: %s", self._client, error.str(), extra={"event": "kafka.trouble", "error": error.name()}
        )


class Murmur:
    """A logger for the client's own lines: they are for those who look closely.

    The client says hundreds of times that a broker is away. What matters of it is told by
    :class:`Trouble`, and by the errors of what could not be done.
    """

    def log(self, level: int, message: str, *args: object) -> None:
        """Take a line of the client's."""
        log.debug(message, *args, extra={"event": "kafka.client", "client_level": level})


def opened(make: Callable[[dict[str, Any]], C], options: dict[str, Any]) -> C:
    """A client with these options.

    Raises:
        ConfigError: one of them is wrong.
    """
    try:
        return make(options)
    except KafkaException as error:
        raise ConfigError(
            f"the Kafka client does not take its options: {reason(error)}. Those of your own are in the "
            "kafka table of the settings, or in KJOBS_KAFKA_… variables."
        ) from None


def reason(error: KafkaError | KafkaException) -> str:
    """An error as a sentence's end: what the client or the broker says, with its name."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    return f"{inner.str()} ({inner.name()})" if isinstance(inner, KafkaError) else str(inner)


def retried(action: Callable[[], Any], *, until: float, pause: float = 0.1) -> Any:
    """Call ``action`` until it does not raise a KafkaException any more or the time (monotonic) is up."""
    while True:
        try:
            return action()
        except KafkaException:
            if time.monotonic() + pause > until:
                raise
            time.sleep(pause)
