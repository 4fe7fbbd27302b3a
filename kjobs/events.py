"""What happens, as typed events: the one seam for logs, metrics, traces and user code.

>>> def alert(event: CallBuried) -> None: ...
>>> unsubscribe = subscribe(alert, CallBuried)

Subscribers are called in the thread in which the event happens and must return soon. What they raise
is logged and otherwise ignored. Events about every call (``CallStarted``, ``CallEnded``) cost nothing
unless somebody subscribed before the worker started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

log = logging.getLogger("kjobs")


class Event(msgspec.Struct, frozen=True):
    """Base of all events."""


class CallEvent(Event, frozen=True):
    """Something about one call.

    Attributes:
        id: the call's id; topic, partition and offset where it has none.
        job: its job's name; "" where the record could not be read.
        attempt: which attempt the event is about, from 1.
        epoch: the epoch of the assignment it ran in; see ``Context.fence``.
    """

    id: str
    job: str
    queue: str
    key: str | None
    partition: int
    offset: int
    attempt: int
    epoch: int


class CallStarted(CallEvent, frozen=True):
    """An attempt begins."""


class CallEnded(CallEvent, frozen=True):
    """An attempt ended; ``result`` names the outcome, ``seconds`` its length."""

    result: str
    seconds: float


class CallRetried(CallEvent, frozen=True):
    """An attempt failed; the next one is due at ``due`` (epoch seconds)."""

    error: BaseException
    due: float


class CallBuried(CallEvent, frozen=True):
    """A call is on the dead letter queue."""

    reason: str
    error: BaseException


class BurialFailed(CallEvent, frozen=True):
    """The dead letter topic did not take a call; its key waits, and it is tried again."""

    error: str


class CallDeferred(CallEvent, frozen=True):
    """A call from the queue is in the deferred store: its next attempt is far off, or it is behind one.

    ``due``: when it may begin (epoch seconds).
    """

    due: float


class CallDropped(CallEvent, frozen=True):
    """A call was deliberately given up: discarded by its job, or expired."""

    why: str


class EnqueueFailed(Event, frozen=True):
    """A call enqueued with ``ack="none"`` did not arrive, as far as is known."""

    id: str
    job: str
    queue: str
    error: Exception


class ClocksApart(Event, frozen=True):
    """This machine's clock is so many seconds ahead of the broker's (behind, if negative)."""

    seconds: float


class StoreProgress(Event, frozen=True):
    """A worker reads what waits for a partition of its, and begins no call of it before that is done.

    ``read`` of ``records`` are read.
    """

    topic: str
    partition: int
    read: int
    records: int


class StoreReady(Event, frozen=True):
    """A worker knows what waits for a partition of its: so many calls; it took so many seconds."""

    topic: str
    partition: int
    calls: int
    seconds: float


class PartitionsAssigned(Event, frozen=True):
    """Partitions of a topic are this worker's now, each to go on from an offset."""

    places: Sequence[tuple[str, int, int]]


class PartitionsRevoked(Event, frozen=True):
    """Partitions were taken away in order."""

    places: Sequence[tuple[str, int]]


class PartitionsLost(Event, frozen=True):
    """Partitions had been taken away before this worker knew."""

    places: Sequence[tuple[str, int]]


class CallsSuspected(Event, frozen=True):
    """Owners of a partition ended without a last word, so many times in a row.

    Unfinished calls of the offsets ``[first, end)`` may be the reason; they run in processes of their own.
    """

    topic: str
    partition: int
    crashes: int
    first: int
    end: int


class OffsetsCommitted(Event, frozen=True):
    """The broker stored offsets; ``sent`` is when the commit was sent (monotonic seconds)."""

    offsets: Sequence[tuple[str, int, int]]
    sent: float


class CommitFailed(Event, frozen=True):
    """The broker did not store an offset."""

    topic: str
    partition: int
    offset: int
    error: str


class LeaseExtended(Event, frozen=True):
    """The group is known to count this worker as a member until then (monotonic seconds)."""

    until: float


class RecordsMissing(Event, frozen=True):
    """Retention removed records that this group had not finished: offsets ``[first, end)``."""

    topic: str
    partition: int
    first: int
    end: int


class RecordsUnreadable(Event, frozen=True):
    """A batch of records could not be read, several times, and was stepped over: offsets ``[first, end)``.

    No call in it was run. Of the log of a deferred store (``topic`` ends in ``.delayed``): what it said is
    not known, so a delayed call may be missing, or run though it was cancelled or had run.

    ``reason``: what the Kafka client says of the batch.
    """

    topic: str
    partition: int
    first: int
    end: int
    reason: str

    @property
    def records(self) -> int:
        """How many records that are, at most."""
        return self.end - self.first


class TopicReplaced(Event, frozen=True):
    """A topic was deleted and created again; its offsets begin anew."""

    topic: str
    partition: int


class WorkerReady(Event, frozen=True):
    """A worker has its partitions and begins."""


class WorkerStopping(Event, frozen=True):
    """A worker was told to stop; it waits ``grace`` seconds for what runs."""

    grace: float


class WorkerStopped(Event, frozen=True):
    """A worker has stopped; ``code`` is its exit code."""

    code: int


E = TypeVar("E", bound=Event)
_subscribers: dict[type[Event], tuple[Callable[[Any], None], ...]] = {}


def subscribe(handler: Callable[[E], None], *kinds: type[E]) -> Callable[[], None]:
    """Call ``handler`` with every event of these kinds; returns a function that ends it."""
    for kind in kinds:
        _subscribers[kind] = (*_subscribers.get(kind, ()), handler)

    def unsubscribe() -> None:
        for kind in kinds:
            _subscribers[kind] = tuple(h for h in _subscribers.get(kind, ()) if h is not handler)

    return unsubscribe


def wanted(kind: type[Event]) -> bool:
    """Whether anybody subscribed to this kind of event."""
    return bool(_subscribers.get(kind))


def emit(event: Event) -> None:
    """Tell the subscribers of an event."""
    for handler in _subscribers.get(type(event), ()):
        try:
            handler(event)
        except Exception:
            log.exception(
                "a subscriber of %s failed", type(event).__name__, extra={"event": "subscriber.failed"}
            )
