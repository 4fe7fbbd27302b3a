"""The producer of a process: idempotent, acknowledged by all replicas.

One thread at a time takes delivery reports (see :mod:`.reports`), so what a report does needs no lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from confluent_kafka import Producer as Client

from ..core.partitioner import partition_of
from ..core.ports import Headers
from ..errors import EmbeddedBrokerError, EnqueueError, EnqueueRefused, OutcomeUnknown, QueueFull
from .client import opened, producer_options, reason
from .embedded import is_embedded
from .embedded.guard import EmbeddedGuard, weight
from .failures import enqueue_error, unknown_queue
from .reports import Reports

#: Seconds between two looks for room in the client's full buffer.
_ROOM_PAUSE = 0.005


class Delivery(msgspec.Struct, gc=False, eq=False):
    """The fate of one record: where it is, or why not.

    Many are alive at a time, so they are kept out of the garbage collector's sight: ``done`` and ``settle``
    are given the delivery, and must not hold it.

    Attributes:
        partition: where it is; -1 while it is not known to be anywhere.
        offset: where it is there; -1 if that is not known.
        done: called when the fate is known.
        settle: called before that, if the broker must be kept from running full.
    """

    topic: str
    call_id: str
    done: Callable[[Delivery], object]
    partition: int = -1
    offset: int = -1
    error: EnqueueError | None = None
    settle: Callable[[Delivery], object] | None = None

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """Take the client's delivery report."""
        if error is None:
            self.partition = message.partition()
            # Not known if the record was sent twice, because the first acknowledgement was lost.
            offset = message.offset()
            self.offset = -1 if offset is None else offset
        else:
            self.error = enqueue_error(error, self.topic, self.call_id)
        if self.settle is not None:
            self.settle(self)
        self.done(self)


class Stamped(Delivery, gc=False, eq=False):
    """A delivery that also knows when that was by the broker's clock, where the topic tells.

    ``stamp_ms``: ms since the epoch; -1 if it is not known.
    """

    stamp_ms: int = -1

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """Take the client's delivery report."""
        if error is None:
            kind, stamp = message.timestamp()
            self.stamp_ms = stamp if kind == TIMESTAMP_LOG_APPEND_TIME else -1
        Delivery.__call__(self, error, message)


def _is_full(record: dict[str, Any]) -> bool:
    error = record.get("_error")
    return error is not None and error.code() == KafkaError._QUEUE_FULL


class Producer:
    """Sends records and tells their fate.

    Args:
        bootstrap: Kafka's addresses.
        extra: librdkafka options of the user.
        ensure: called with the name of a topic that does not exist; creates it and returns how many
            partitions it has, or returns 0.
        groups: gives the groups that must have finished a topic's records before the embedded broker, which
            drops what does not fit, may lose them. Without meaning for a real Kafka.
        spared: gives the bytes of the embedded broker's room for a topic that its records leave to those
            that are more urgent, see :meth:`put`.
    """

    def __init__(
        self,
        bootstrap: str,
        extra: Mapping[str, Any],
        *,
        ensure: Callable[[str], int] = lambda topic: 0,
        groups: Callable[[str], Collection[str]] = lambda topic: (),
        spared: Callable[[str], int] = lambda topic: 0,
    ) -> None:
        self._bootstrap = bootstrap
        self._ensure = ensure
        self._groups = groups
        self._spared = spared
        self._guard: EmbeddedGuard | None = None
        self._client = opened(Client, producer_options(bootstrap, extra))
        #: Topics that exist, with how many partitions they have.
        self._topics: dict[str, int] = {}
        self._topics_lock = threading.Lock()
        self._reports = Reports(self._client)

    # --- sending -----------------------------------------------------------------------------------

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        call_id: str,
        timeout: float,
        *,
        by: bytes | None = None,
        kind: type[Delivery] = Delivery,
    ) -> Delivery:
        """Send one record and wait until it is acknowledged.

        Args:
            topic: where to.
            value: the record's value.
            key: its key.
            headers: its headers.
            call_id: for errors.
            timeout: seconds to wait.
            by: the key that its partition is that of, if it is not its own.
            kind: the kind of delivery wanted.

        Raises:
            EnqueueError: it was not; the subclass says why.
        """
        lock = threading.Lock()
        lock.acquire()
        delivery = kind(topic, call_id, lambda _: lock.release())
        begun = time.monotonic()
        self._hand_over(delivery, value, key, headers, timeout, by)
        if not self._reports.wait(lock, begun + timeout - time.monotonic()):
            raise self.unanswered(topic, call_id, timeout)
        if delivery.error is not None:
            raise delivery.error
        return delivery

    def send_to(
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        call_id: str,
        timeout: float,
    ) -> Delivery:
        """Send one record to a partition and wait until it is acknowledged.

        Raises:
            EnqueueError: it was not; the subclass says why.
        """
        known = threading.Event()
        delivery = Delivery(topic, call_id, lambda _: known.set())
        if topic not in self._topics:
            self.check_topic(topic, call_id, timeout)
        self.put(delivery, value, key, headers, partition=partition)
        if not known.wait(timeout):
            raise self.unanswered(topic, call_id, timeout)
        if delivery.error is not None:
            raise delivery.error
        return delivery

    async def asend(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        call_id: str,
        timeout: float,
        *,
        by: bytes | None = None,
        kind: type[Delivery] = Delivery,
    ) -> Delivery:
        """Send one record and wait, without blocking the event loop, until it is acknowledged.

        Raises:
            EnqueueError: it was not; the subclass says why.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not acknowledged.done():
                acknowledged.set_result(None)

        def done(_: Delivery) -> None:
            with suppress(RuntimeError):  # the loop is closed: whoever waited in it has given up
                loop.call_soon_threadsafe(wake)

        delivery = kind(topic, call_id, done)
        if topic in self._topics and self._guard is None:
            try:
                self.put(delivery, value, key, headers, partition=self._partition(topic, by))
            except BufferError:
                await asyncio.to_thread(self.post, delivery, value, key, headers, timeout, by)
        else:
            await asyncio.to_thread(self.post, delivery, value, key, headers, timeout, by)
        try:
            await asyncio.wait_for(acknowledged, timeout)
        except TimeoutError:
            raise self.unanswered(topic, call_id, timeout) from None
        if delivery.error is not None:
            raise delivery.error
        return delivery

    def post(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        timeout: float,
        by: bytes | None = None,
    ) -> None:
        """Send one record and return once the client has it; ``delivery.done`` tells of its fate.

        Raises:
            EnqueueError: the client did not take it; ``delivery.done`` will not be called.
        """
        self._hand_over(delivery, value, key, headers, timeout, by)
        self._reports.expect()

    def _partition(self, topic: str, by: bytes | None) -> int:
        """The partition of a key; -1 to leave it to the client and the record's own key."""
        return -1 if by is None else partition_of(by, self._topics[topic])

    def _hand_over(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        timeout: float,
        by: bytes | None,
    ) -> None:
        topic = delivery.topic
        if topic not in self._topics:
            self.check_topic(topic, delivery.call_id, timeout)
        if self._guard is not None:
            self._admit(self._guard, delivery, value, key, headers, timeout)
        partition = -1 if by is None else self._partition(topic, by)
        try:
            try:
                self._produce(delivery, value, key, headers, partition)
            except BufferError:
                self._produce_when_room(delivery, value, key, headers, timeout, partition)
        except EnqueueError:
            if delivery.settle is not None:
                delivery.settle(delivery)
            raise

    def put(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        *,
        partition: int = -1,
        spare: int | None = None,
    ) -> None:
        """Hand a record to the client, without waiting for anything.

        Args:
            delivery: what becomes of it.
            value: the record's value.
            key: its key.
            headers: its headers.
            partition: its partition; -1 to leave it to the client.
            spare: bytes of the embedded broker's room that it must leave; as usual for the topic if not
                given.

        Raises:
            BufferError: the client's buffer is full, or the embedded broker.
            EnqueueError: the client refused it.
        """
        if self._guard is not None and not self._let_in(self._guard, delivery, value, key, headers, spare):
            raise BufferError(f"the embedded broker holds as much of {delivery.topic} as it can keep.")
        try:
            self._produce(delivery, value, key, headers, partition)
        except (BufferError, EnqueueError):
            if delivery.settle is not None:
                delivery.settle(delivery)
            raise
        self._reports.expect()

    def _produce(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        partition: int = -1,
    ) -> None:
        try:
            if headers is None:
                self._client.produce(delivery.topic, value, key, partition, delivery)
            else:
                self._client.produce(delivery.topic, value, key, partition, delivery, headers=list(headers))
        except KafkaException as error:
            raise enqueue_error(error.args[0], delivery.topic, delivery.call_id) from None

    def _produce_when_room(
        self,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        timeout: float,
        partition: int,
    ) -> None:
        until = time.monotonic() + timeout
        while True:
            time.sleep(_ROOM_PAUSE)
            try:
                return self._produce(delivery, value, key, headers, partition)
            except BufferError:
                if time.monotonic() > until:
                    raise QueueFull(
                        f"call {delivery.call_id} for {delivery.topic} is not enqueued: {len(self._client)} "
                        f"records wait in this process to be sent, and none left in {timeout:g} s. Kafka at "
                        f"{self._bootstrap} is slower than this process enqueues, or away.",
                        call_id=delivery.call_id,
                    ) from None

    def _admit(
        self,
        guard: EmbeddedGuard,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        timeout: float,
    ) -> None:
        """Wait until the embedded broker has room for a record."""
        until = time.monotonic() + timeout
        while not self._let_in(guard, delivery, value, key, headers):
            if time.monotonic() > until:
                raise QueueFull(
                    f"call {delivery.call_id} is not enqueued: the embedded broker holds as much of "
                    f"{delivery.topic} as it can keep, and no worker finished any of it in {timeout:g} s. It "
                    "would drop calls silently. Start a worker, or use a real Kafka.",
                    call_id=delivery.call_id,
                )
            time.sleep(_ROOM_PAUSE)

    @staticmethod
    def _let_in(
        guard: EmbeddedGuard,
        delivery: Delivery,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        spare: int | None = None,
    ) -> bool:
        """Whether the embedded broker has room for a record; if so, the guard will hear of its fate."""
        size = weight(value, key, headers)
        try:
            if not guard.admit(delivery.topic, size, spare):
                return False
        except EmbeddedBrokerError as error:
            raise EnqueueRefused(
                f"call {delivery.call_id} is not enqueued: {error}", call_id=delivery.call_id
            ) from None
        delivery.settle = lambda known: guard.settled(known.topic, size, known.partition, known.offset)
        return True

    def put_many(self, topic: str, records: list[dict[str, Any]], timeout: float) -> None:
        """Hand many records of one topic to the client at once, in their order.

        Args:
            topic: a topic that :meth:`check_topic` has seen.
            records: each with ``value``, ``key`` and ``callback``, as the client's ``produce_batch`` takes
                them. Those it does not take have an ``_error`` afterwards, and are not called back.
            timeout: seconds to wait for room.
        """
        until = time.monotonic() + timeout
        while True:
            self._client.produce_batch(topic, records)
            self._reports.expect()
            full = [at for at, record in enumerate(records) if _is_full(record)]
            if not full or time.monotonic() > until or full[0] != len(records) - len(full):
                return  # if some behind the first that found no room found some, retrying would reorder
            records = records[full[0] :]
            for record in records:
                del record["_error"]
            time.sleep(_ROOM_PAUSE)

    @property
    def guarded(self) -> bool:
        """Whether the broker must be kept from running full, record by record."""
        return self._guard is not None

    def unanswered(self, topic: str, call_id: str, timeout: float) -> OutcomeUnknown:
        """The exception for a record whose acknowledgement did not come in time."""
        return OutcomeUnknown(
            f"call {call_id} for {topic}: Kafka at {self._bootstrap} did not acknowledge it in {timeout:g} "
            "s. It may be enqueued, or may be yet: the client goes on trying for up to 30 s. Enqueueing it "
            "again, with the same id, may make it run twice.",
            call_id=call_id,
        )

    # --- topics ------------------------------------------------------------------------------------

    def check_topic(self, topic: str, call_id: str, timeout: float) -> None:
        """Make sure that a topic exists, once per process; producing to a missing one hangs.

        Raises:
            UnknownQueue: it does not exist, and is not to be created.
            OutcomeUnknown: the broker did not say in time. (Nothing was sent.)
        """
        with self._topics_lock:
            if topic in self._topics:
                return
            try:
                # All topics are asked for: asking for one would make some brokers create it.
                cluster = self._client.list_topics(timeout=timeout)
            except KafkaException as error:
                raise EnqueueRefused(
                    f"call {call_id} is not enqueued: Kafka at {self._bootstrap} cannot be reached: "
                    f"{reason(error)}",
                    call_id=call_id,
                ) from None
            self._topics.update({name: len(topic.partitions) for name, topic in cluster.topics.items()})
            if self._guard is None and is_embedded(cluster.cluster_id):
                self._guard = EmbeddedGuard(self._bootstrap, self._groups, self._spared)
            if topic not in self._topics:
                if not (partitions := self._ensure(topic)):
                    raise unknown_queue(topic, call_id)
                self._topics[topic] = partitions

    # --- stopping ----------------------------------------------------------------------------------

    def close(self, timeout: float) -> int:
        """Send what waits, stop, and return how many records were not sent in time."""
        left = self._reports.close(timeout)
        if self._guard is not None:
            self._guard.close()
        return left
