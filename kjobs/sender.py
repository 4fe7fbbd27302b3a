"""Sends calls to Kafka: one producer per process, opened when it is first needed, anew after a fork."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from .config import Settings
from .connect import open_producer
from .core.deferred import Verdict
from .core.topics import Names
from .errors import BatchError, CallTooLarge, EnqueueError
from .events import ClocksApart, EnqueueFailed, emit
from .handle import Handle
from .job import Call

if TYPE_CHECKING:
    from .kafka.producer import Delivery, Producer

log = logging.getLogger("kjobs")

#: Seconds for which a process that ends waits for what it has not sent yet.
_FAREWELL = 5.0

#: Seconds that two clocks may be apart, and between two warnings that they are further.
CLOCKS_APART = 5.0
_COMPARE_EVERY = 60.0
#: A broker's stamp below this (ms since the epoch) is no time.
_PLAUSIBLE_MS = 10**12

#: Producers inherited over a fork. Their threads are not here, so not even freeing one would return.
_inherited: list[Producer] = []


class Transport(Protocol):
    """What an app sends its calls through: Kafka, or a test."""

    def send(self, call: Call) -> Handle: ...
    async def asend(self, call: Call) -> Handle: ...
    def send_many(self, calls: Iterable[Call]) -> list[Handle]: ...
    def cancel(self, handle: Handle) -> Verdict: ...
    def reschedule(self, handle: Handle, due_ms: int) -> Verdict: ...
    def batch(self) -> AbstractContextManager[object]: ...
    def close(self) -> None: ...


class Batch:
    """Calls that are sent together: ``with kjobs.batch():``."""

    def __init__(self) -> None:
        self.calls: list[Call] = []


class KafkaSender:
    """Sends the calls of an app.

    Args:
        settings: gives the app's settings, when they are first needed.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._compare_after = 0.0
        self._batch: ContextVar[Batch | None] = ContextVar("kjobs_batch", default=None)
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.close)

    def send(self, call: Call) -> Handle:
        """Send one call; see ``Enqueue.delay``."""
        batch = self._batch.get()
        if batch is not None:
            check_size(call, self._settings().max_size)
            batch.calls.append(call)
            return call.handle
        if call.ack == "none":
            return self._send_and_forget(call)
        check_size(call, self._settings().max_size)
        handle = call.handle
        if handle.due_ms is not None:
            delivery = self.producer.send(**self._delayed(call), timeout=self._timeout)
            self._compare_clocks(delivery)
        else:
            delivery = self.producer.send(
                self._topic(handle.queue), call.value, call.key, call.headers, handle.id, self._timeout
            )
        return _placed(handle, delivery)

    async def asend(self, call: Call) -> Handle:
        """Send one call without blocking the event loop; see ``Enqueue.adelay``."""
        if self._batch.get() is not None or call.ack == "none":
            return self.send(call)
        check_size(call, self._settings().max_size)
        handle = call.handle
        if handle.due_ms is not None:
            delivery = await self.producer.asend(**self._delayed(call), timeout=self._timeout)
            self._compare_clocks(delivery)
        else:
            delivery = await self.producer.asend(
                self._topic(handle.queue), call.value, call.key, call.headers, handle.id, self._timeout
            )
        return _placed(handle, delivery)

    def send_many(self, calls: Iterable[Call]) -> list[Handle]:
        """Send calls and wait once for all of them; see ``Enqueue.delay_many``."""
        if self._batch.get() is not None:
            return [self.send(call) for call in calls]
        from .kafka.shipment import Shipment

        largest = self._settings().max_size
        shipment = Shipment(self.producer, self._timeout)
        handles: list[Handle] = []
        topics: dict[str, str] = {}
        for call in calls:
            handle = call.handle
            handles.append(handle)
            topic = topics.get(handle.queue)
            if topic is None:
                topic = topics[handle.queue] = self._topic(handle.queue)
            if len(call.value) > largest:
                shipment.refuse(too_large(call, largest))
            elif handle.due_ms is not None:
                shipment.add(**self._delayed(call))
            else:
                shipment.add(topic, call.value, call.key, call.headers, handle.id)
        failures: list[tuple[int, EnqueueError]] = []
        delivery: Delivery | None = None
        for position, fate in enumerate(shipment.wait()):
            if isinstance(fate, EnqueueError):
                failures.append((position, fate))
            else:
                _placed(handles[position], fate)
                delivery = fate
        if delivery is not None:
            self._compare_clocks(delivery)
        if failures:
            raise BatchError(failures, handles)
        return handles

    def _send_and_forget(self, call: Call) -> Handle:
        from .kafka.producer import Delivery

        handle = call.handle

        def done(delivery: Delivery) -> None:
            if delivery.error is None:
                _placed(handle, delivery)
                return
            log.error(
                "a call enqueued with ack='none' failed: %s",
                delivery.error,
                extra={
                    "event": "enqueue.failed",
                    "call_id": handle.id,
                    "job": handle.job,
                    "queue": handle.queue,
                },
            )
            emit(EnqueueFailed(handle.id, handle.job, handle.queue, delivery.error))

        check_size(call, self._settings().max_size)
        if handle.due_ms is not None:
            record = self._delayed(call)
            delivery: Delivery = record["kind"](record["topic"], handle.id, done)
            self.producer.post(
                delivery, call.value, record["key"], record["headers"], self._timeout, record["by"]
            )
            return handle
        delivery = Delivery(self._topic(handle.queue), handle.id, done)
        self.producer.post(delivery, call.value, call.key, call.headers, self._timeout)
        return handle

    # --- delayed calls -------------------------------------------------------------------------------

    def _delayed(self, call: Call) -> dict[str, Any]:
        """A call as it is written to the log of the deferred store."""
        from .deferred import wire
        from .kafka.producer import Stamped

        handle = call.handle
        assert handle.due_ms is not None
        return {
            "topic": Names(self._settings().prefix).delayed(handle.queue),
            "value": call.value,
            "key": wire.name_bytes(handle.id),
            "headers": wire.delayed(handle.due_ms, call.key, relaxed=call.relaxed, headers=call.headers),
            "call_id": handle.id,
            "by": call.key,
            "kind": Stamped,
        }

    def _compare_clocks(self, delivery: Delivery) -> None:
        """Warn, now and then, if this clock and the broker's are far apart."""
        stamp_ms = getattr(delivery, "stamp_ms", -1)
        # The embedded broker's stamps are no times.
        if stamp_ms < _PLAUSIBLE_MS or time.monotonic() < self._compare_after:
            return
        ahead = time.time() - stamp_ms / 1000
        if abs(ahead) > CLOCKS_APART:
            self._compare_after = time.monotonic() + _COMPARE_EVERY
            log.warning(
                "this machine's clock is %.0f s %s the broker's. Delayed calls are due by the clock of who "
                "enqueues them, so they will start that much too %s.",
                abs(ahead),
                "ahead of" if ahead > 0 else "behind",
                "late" if ahead > 0 else "early",
                extra={"event": "clock.apart", "seconds": ahead},
            )
            emit(ClocksApart(ahead))

    def cancel(self, handle: Handle) -> Verdict:
        """Let a call not run; see ``Handle.cancel``."""
        from .deferred.requests import Requests

        return Requests(self.producer, self._settings()).cancel(handle)

    def reschedule(self, handle: Handle, due_ms: int) -> Verdict:
        """Let a call run at another time; see ``Handle.reschedule``."""
        from .deferred.requests import Requests

        return Requests(self.producer, self._settings()).move(handle, due_ms)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect the calls enqueued inside, send them at the end and wait once for all of them.

        Nothing is sent if the block raises.

        Raises:
            BatchError: some calls were not enqueued; it lists them.
        """
        collected = Batch()
        outer = self._batch.set(collected)
        try:
            yield collected
        finally:
            self._batch.reset(outer)
        if collected.calls:
            self.send_many(collected.calls)

    # --- the producer --------------------------------------------------------------------------------

    @property
    def producer(self) -> Producer:
        """The producer of this process.

        Raises:
            ConfigError: a setting is wrong.
            BrokerError: a Kafka option is wrong.
        """
        if self._producer is None:
            with self._lock:
                if self._producer is None:
                    self._producer = open_producer(self._settings())
        return self._producer

    @property
    def _timeout(self) -> float:
        return self._settings().enqueue_timeout

    def _topic(self, queue: str) -> str:
        return Names(self._settings().prefix).queue(queue)

    def close(self) -> None:
        """Send what waits, and stop; the next call opens a new producer."""
        producer, self._producer = self._producer, None
        if producer is not None and (left := producer.close(_FAREWELL)):
            log.error(
                "%d calls were not sent before the process ended", left, extra={"event": "enqueue.abandoned"}
            )

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._producer is not None:
            _inherited.append(self._producer)
            self._producer = None


def _placed(handle: Handle, delivery: Delivery) -> Handle:
    handle.partition = delivery.partition
    handle.offset = delivery.offset if delivery.offset >= 0 else None
    return handle


def check_size(call: Call, largest: int) -> None:
    """Refuse a call that is larger than allowed, before anything is sent.

    Raises:
        CallTooLarge: it is.
    """
    if len(call.value) > largest:
        raise too_large(call, largest)


def too_large(call: Call, largest: int) -> CallTooLarge:
    """The exception for a call that is larger than allowed."""
    handle = call.handle
    return CallTooLarge(
        f"{handle.job}.delay(): the call has {len(call.value):,} bytes and max_size allows {largest:,}. It "
        "is not enqueued. Pass a reference to large data instead of the data, or raise max_size and the "
        "topic's max.message.bytes.",
        call_id=handle.id,
    )
