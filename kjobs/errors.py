"""Everything kjobs raises.

    KjobsError
    ├── ConfigError                 a setting is unknown, malformed or not allowed
    ├── DeclarationError            a job cannot be declared like this
    ├── ArgumentError (TypeError)   a call's arguments do not fit its job, or cannot travel as JSON
    ├── UnknownJob (LookupError)    no job of this name is registered
    ├── NoCurrentCall               current() was called outside a job
    ├── EnqueueError                a call could not be enqueued
    │   ├── CallTooLarge            definite: it is larger than allowed
    │   ├── UnknownQueue            definite: the queue's topic does not exist
    │   ├── EnqueueRefused          definite: the broker refused it, for the reason told
    │   ├── QueueFull               definite: there was no room to send it from
    │   ├── OutcomeUnknown          not definite: it may have been enqueued, or may be yet
    │   └── BatchError              some calls of a batch failed; ``failures`` lists them
    ├── CheckpointError             a running call could not store how far it is
    │   ├── CheckpointTooLarge      definite: the state is larger than allowed
    │   ├── CheckpointRefused       definite: the call is not this worker's any more; end it
    │   └── CheckpointFailed        Kafka did not take it, or did not say so in time
    ├── BrokerError                 Kafka could not be reached, or would not do something
    └── EmbeddedBrokerError         the embedded broker could not be started

Each says what happened, with the values; why it matters; and what to do. ``definite`` on an
``EnqueueError`` tells whether the call is known not to be in Kafka: only then is it safe to enqueue it
again without the risk of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class KjobsError(Exception):
    """Base of everything kjobs raises."""


class ConfigError(KjobsError, ValueError):
    """A setting is unknown, malformed or not allowed."""


class DeclarationError(KjobsError, ValueError):
    """A job cannot be declared like this."""


class ArgumentError(KjobsError, TypeError):
    """A call's arguments do not fit its job, or cannot travel as JSON."""


class UnknownJob(KjobsError, LookupError):
    """No job of this name is registered."""


class NoCurrentCall(KjobsError, RuntimeError):
    """``current()`` was called outside a job."""


class EnqueueError(KjobsError):
    """A call could not be enqueued.

    Attributes:
        call_id: the id of the call.
        definite: it is known not to be in Kafka.
    """

    definite = True

    def __init__(self, message: str, *, call_id: str = "") -> None:
        super().__init__(message)
        self.call_id = call_id


class CallTooLarge(EnqueueError):
    """A call is larger than allowed."""


class UnknownQueue(EnqueueError):
    """The queue's topic does not exist."""


class EnqueueRefused(EnqueueError):
    """The broker refused a call."""


class QueueFull(EnqueueError):
    """There was no room to send a call from."""


class OutcomeUnknown(EnqueueError):
    """A call may have been enqueued, or may be yet: no answer came in time."""

    definite = False


class BatchError(EnqueueError):
    """Some calls of a batch could not be enqueued; the others were.

    Attributes:
        failures: which calls of the batch, by position, and why each of them.
        handles: the handles of all calls; those that failed have no offset.
    """

    def __init__(self, failures: Sequence[tuple[int, EnqueueError]], handles: Sequence[Any]) -> None:
        self.failures = list(failures)
        self.handles = list(handles)
        self.definite = all(error.definite for _, error in self.failures)
        position, first = self.failures[0]
        super().__init__(
            f"{len(self.failures)} of {len(self.handles)} calls were not enqueued; call {position}: {first} "
            "The error's .failures lists them all.",
            call_id=first.call_id,
        )


class CheckpointError(KjobsError):
    """A running call could not store how far it is.

    ``definite``: the state is known not to be stored.
    """

    definite = True


class CheckpointTooLarge(CheckpointError):
    """A state is larger than allowed."""


class CheckpointRefused(CheckpointError):
    """The call is not this worker's to go on with: the attempt is to end."""


class CheckpointFailed(CheckpointError):
    """Kafka did not take a state, or did not say so in time; the call may go on without."""

    def __init__(self, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.definite = definite


class BrokerError(KjobsError):
    """Kafka could not be reached, or would not do something."""


class EmbeddedBrokerError(KjobsError):
    """The embedded broker could not be started or used."""
