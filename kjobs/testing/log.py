"""The topics in memory: a list of records for each queue and partition."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..core.arguments import Mismatch
from ..core.deferred import Row
from ..core.envelope import Envelope, decode
from ..core.events import Place
from ..core.partitioner import partition_of
from ..core.ports import Headers
from ..core.topics import Names
from ..handle import Handle
from ..job import Call, Job
from .calls import RecordedCall
from .clock import FrozenClock, moment

#: Kafka's mark for a timestamp that the producer set.
_CREATE_TIME = 1


class StoredRecord:
    """A record in memory; a :class:`kjobs.core.ports.Record`."""

    __slots__ = ("_headers", "_key", "_value", "call", "place", "written_ms")

    def __init__(self, sent: Call, place: Place, call: RecordedCall, timestamp: int) -> None:
        self.place = place
        self.call = call
        self._key = sent.key
        self._value = sent.value
        self._headers = sent.headers
        self.written_ms = timestamp

    def offset(self) -> int:
        """Its offset in its partition."""
        return self.call.offset

    def key(self) -> bytes | None:
        """The ordering key."""
        return self._key

    def value(self) -> bytes | None:
        """The call as it was written."""
        return self._value

    def headers(self) -> Headers | None:
        """The headers it was enqueued with."""
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""
        return _CREATE_TIME, self.written_ms

    def __len__(self) -> int:
        return len(self._value)


class StoredRow(Row, frozen=True, gc=False, kw_only=True):
    """A call in the deferred store that knows what the test sees of it."""

    call: RecordedCall


@dataclass(frozen=True, slots=True)
class DelayedCall:
    """A call that an enqueuer put into the deferred store.

    Attributes:
        place: the partition of the queue that it belongs to.
        row: the call as it is in the store.
        written_ms: when it was put in (ms since the epoch).
    """

    place: Place
    row: StoredRow
    written_ms: int

    @property
    def call(self) -> RecordedCall:
        """What the test sees of it."""
        return self.row.call


class Log:
    """Records by queue and partition; written by any thread, read by the stepper.

    Args:
        jobs: the jobs by name, to restore arguments with.
        names: names the topics.
        partitions: how many each topic has.
        clock: gives records their time.
    """

    def __init__(
        self, jobs: Mapping[str, Job[Any, Any]], names: Names, partitions: int, clock: FrozenClock
    ) -> None:
        self.partitions = partitions
        #: All calls, as they were enqueued.
        self.calls: list[RecordedCall] = []
        self._jobs = jobs
        self._names = names
        self._clock = clock
        self._records: dict[Place, list[StoredRecord]] = {}
        self._keyless: dict[str, int] = {}
        self._unread: list[StoredRecord | DelayedCall] = []
        self._delayed_ends: dict[Place, int] = {}
        self._lock = threading.Lock()

    def append(self, sent: Call) -> None:
        """Write a call, and tell its handle where it is."""
        handle = sent.handle
        topic = self._names.queue(handle.queue)
        envelope = decode(sent.value)
        args, kwargs = self._restored(envelope)
        with self._lock:
            if handle.due_ms is None:
                place = (topic, self._partition(topic, sent.key))
                handle.offset = self.end(place)
            else:
                place = (topic, self._partition(topic, sent.key or handle.id.encode()))
                handle.offset = self._delayed_ends.get(place, 0)
                self._delayed_ends[place] = handle.offset + 1
            handle.partition = place[1]
            call = RecordedCall(
                id=handle.id,
                job=handle.job,
                args=args,
                kwargs=kwargs,
                key=handle.key,
                queue=handle.queue,
                headers={name: (value or b"").decode() for name, value in sent.headers or ()},
                partition=handle.partition,
                offset=handle.offset,
                due=None if envelope.due is None else moment(envelope.due / 1000),
            )
            self.calls.append(call)
            if handle.due_ms is not None:
                row = _row(sent, handle.due_ms, call)
                self._unread.append(DelayedCall(place, row, self._clock.milliseconds))
                return
            record = StoredRecord(sent, place, call, self._clock.milliseconds)
            self._records.setdefault(place, []).append(record)
            self._unread.append(record)

    def end(self, place: Place) -> int:
        """The end of a partition of a queue."""
        return len(self._records.get(place, ()))

    def place_of(self, handle: Handle) -> Place:
        """The partition that a call is in, as one of the queue."""
        assert handle.partition is not None
        return self._names.queue(handle.queue), handle.partition

    def read(self) -> list[StoredRecord | DelayedCall]:
        """The records written since the last time, in the order they were written."""
        with self._lock:
            unread, self._unread = self._unread, []
        return unread

    @property
    def unread(self) -> bool:
        """Whether there are any."""
        return bool(self._unread)

    def _partition(self, topic: str, key: bytes | None) -> int:
        if key is not None:
            return partition_of(key, self.partitions)
        # A producer draws one; in turn is as good, and the same in every run of a test.
        number = self._keyless.get(topic, 0)
        self._keyless[topic] = (number + 1) % self.partitions
        return number

    def _restored(self, envelope: Envelope) -> tuple[tuple[Any, ...], dict[str, Any]]:
        job = self._jobs.get(envelope.job)
        if job is not None:
            try:
                return job.arguments.restore(envelope.args, envelope.kwargs)
            except Mismatch:
                pass  # another job has taken the name since: the call will be a dead letter
        return tuple(msgspec.json.decode(envelope.args)), msgspec.json.decode(envelope.kwargs)


def _row(sent: Call, due_ms: int, call: RecordedCall) -> StoredRow:
    return StoredRow(
        id=sent.handle.id,
        value=sent.value,
        due_ms=due_ms,
        key=sent.key,
        relaxed=sent.relaxed,
        since_ms=due_ms,
        headers=sent.headers,
        call=call,
    )
