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
from dataclasses import dataclass
from typing import Any, TypeVar

log = logging.getLogger("kjobs")


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class CallEvent(Event):
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


@dataclass(frozen=True, slots=True)
class CallStarted(CallEvent):
    """An attempt begins."""


@dataclass(frozen=True, slots=True)
class CallEnded(CallEvent):
    """An attempt ended; ``result`` names the outcome, ``seconds`` its length."""

    result: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CallRetried(CallEvent):
    """An attempt failed; the next one is due at ``due`` (epoch seconds)."""

    error: BaseException
    due: float


@dataclass(frozen=True, slots=True)
class CallBuried(CallEvent):
    """A call is on the dead letter queue."""

    reason: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class BurialFailed(CallEvent):
    """The dead letter topic did not take a call; its key waits, and it is tried again."""

    error: str


@dataclass(frozen=True, slots=True)
class CallDropped(CallEvent):
    """A call was deliberately given up: discarded by its job, or expired."""

    why: str


@dataclass(frozen=True, slots=True)
class EnqueueFailed(Event):
    """A call enqueued with ``ack="none"`` did not arrive, as far as is known."""

    id: str
    job: str
    queue: str
    error: Exception


@dataclass(frozen=True, slots=True)
class PartitionsAssigned(Event):
    """Partitions of a topic are this worker's now, each to go on from an offset."""

    places: Sequence[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class PartitionsRevoked(Event):
    """Partitions were taken away in order."""

    places: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class PartitionsLost(Event):
    """Partitions had been taken away before this worker knew."""

    places: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class OffsetsCommitted(Event):
    """The broker stored offsets; ``sent`` is when the commit was sent (monotonic seconds)."""

    offsets: Sequence[tuple[str, int, int]]
    sent: float


@dataclass(frozen=True, slots=True)
class CommitFailed(Event):
    """The broker did not store an offset."""

    topic: str
    partition: int
    offset: int
    error: str


@dataclass(frozen=True, slots=True)
class LeaseExtended(Event):
    """The group is known to count this worker as a member until then (monotonic seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class RecordsMissing(Event):
    """Retention removed records that this group had not finished: offsets ``[first, end)``."""

    topic: str
    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class TopicReplaced(Event):
    """A topic was deleted and created again; its offsets begin anew."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class WorkerReady(Event):
    """A worker has its partitions and begins."""


@dataclass(frozen=True, slots=True)
class WorkerStopping(Event):
    """A worker was told to stop; it waits ``grace`` seconds for what runs."""

    grace: float


@dataclass(frozen=True, slots=True)
class WorkerStopped(Event):
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
