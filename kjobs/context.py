"""The running call, as the job that runs sees it: ``kjobs.current()``."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .errors import ArgumentError, CheckpointRefused, CheckpointTooLarge, NoCurrentCall
from .kafka.message import headers_of

if TYPE_CHECKING:
    from .core.envelope import Envelope
    from .core.partition import Entry
    from .core.ports import Saver

#: Bytes of a state that a call may store: with the call itself it must fit into one record of Kafka.
MOST_STATE = 512 * 1024


class Fence(NamedTuple):
    """A token that grows with every start of a call of one key; for conditional writes.

    A worker that was cut off may still be running a call which another worker has begun again. Store
    the fence with what the job writes, and refuse a write whose fence is lower than the stored one.
    Fences of one key compare as tuples do; those of different keys do not compare.
    """

    epoch: int
    offset: int


class Context(msgspec.Struct, gc=False, eq=False):
    """What a job can know of the call it is running; got by :func:`current`."""

    entry: Entry
    envelope: Envelope
    queue: str
    deadline_at: float | None = None

    @property
    def id(self) -> str:
        """The call's id: the same in every attempt, so a key to do things once by."""
        if self.envelope.id:
            return self.envelope.id
        topic, number = self.entry.partition.place
        return f"{topic}-{number}-{self.entry.offset}"

    @property
    def job(self) -> str:
        """The name under which the job was enqueued."""
        return self.envelope.job

    @property
    def key(self) -> str | None:
        """The ordering key."""
        key = self.entry.key
        return None if key is None else key.decode("utf-8", "replace")

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; crashes of the worker are not counted."""
        return self.entry.failures + 1

    @property
    def partition(self) -> int:
        """The number of the partition the call is in."""
        return self.entry.partition.place[1]

    @property
    def offset(self) -> int:
        """Its offset in the topic it was enqueued in: the queue's, or that of delayed calls."""
        return self.entry.offset

    @property
    def enqueued_at(self) -> datetime:
        """When the call was enqueued."""
        ms = self.envelope.at or self.entry.record.timestamp()[1]
        return datetime.fromtimestamp(ms / 1000, UTC)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt's time is up, if the job has a ``timeout``."""
        return None if self.deadline_at is None else datetime.fromtimestamp(self.deadline_at, UTC)

    @property
    def cancelled(self) -> bool:
        """Whether the call should end soon: the worker stops, loses the partition, or somebody cancelled it.

        A long job that looks at this now and then can stop early and raise ``Snooze``.
        """
        return self.entry.cancelled or not self.entry.partition.open

    @property
    def fence(self) -> Fence:
        """The fencing token of this start of the call."""
        return Fence(self.entry.partition.epoch, self.entry.position)

    @property
    def headers(self) -> dict[str, str]:
        """The headers the call was enqueued with; of several of one name the last."""
        found = headers_of(self.entry.record)
        return {name: (value or b"").decode("utf-8", "replace") for name, value in found}

    @property
    def state(self) -> Any:
        """What the call stored last with :meth:`checkpoint`, in this attempt or before; None if nothing.

        As plain JSON: a tuple comes back as a list, a ``datetime`` as text.
        """
        state = state_of(self.entry)
        return None if state is None else msgspec.json.decode(state)

    def checkpoint(self, state: Any) -> None:
        """Store how far the call is; if it has to begin again, it begins with that as :attr:`state`.

        Returns once Kafka has it. In an ``async def`` job :meth:`acheckpoint` does the same without blocking
        the event loop. To be called by the thread that runs the job.

        Args:
            state: what is needed to go on from here; anything that can be written as JSON, up to 512 KiB.

        Raises:
            ArgumentError: it cannot be written as JSON.
            CheckpointTooLarge: it is too large.
            CheckpointRefused: the call is not this worker's any more. End the attempt.
            CheckpointFailed: Kafka has not taken it, or has not said so within 15 seconds.
        """
        written = _written(state)
        saver = self._saver("checkpoint")
        # A slot must not go on with the next call of the key by itself: this one is to be taken out first.
        self.entry.more = False
        saver.save(self.entry, written)

    async def acheckpoint(self, state: Any) -> None:
        """Do what :meth:`checkpoint` does, without blocking the event loop."""
        written = _written(state)
        await self._saver("acheckpoint").asave(self.entry, written)

    def _saver(self, what: str) -> Saver:
        if _running.get() is not self:
            raise CheckpointRefused(
                f"{what}() is for the thread or task that runs the call, while it runs. Nothing was stored."
            )
        saver = self.entry.partition.saver
        if saver is None:
            raise CheckpointRefused(f"{what}(): nothing here can store a state")
        return saver


def state_of(entry: Entry) -> bytes | None:
    """What a call stored last, as JSON."""
    if entry.row is not None and entry.row.state is not None:
        return entry.row.state
    # One that was replayed from the dead letter queue brings what it had.
    return next((value for name, value in headers_of(entry.record) if name == "kj-state"), None)


def _written(state: Any) -> bytes:
    """A state as JSON.

    Raises:
        ArgumentError: it cannot be.
        CheckpointTooLarge: it is too large.
    """
    try:
        written = msgspec.json.encode(state)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"checkpoint(): the state cannot be written as JSON: {error}") from error
    if len(written) > MOST_STATE:
        raise CheckpointTooLarge(
            f"checkpoint(): the state has {len(written):,} bytes and may have {MOST_STATE:,}. It is not "
            "stored: put what is large elsewhere, and store where."
        )
    return written


_running: ContextVar[Context | None] = ContextVar("kjobs_running", default=None)

#: Sets the context of the calling thread or task; for the worker's use.
enter = _running.set


def current() -> Context:
    """The call that the calling thread or task is running.

    >>> @job
    ... def charge(order_id: int) -> None:
    ...     payments.charge(order_id, idempotency_key=current().id)

    Raises:
        NoCurrentCall: no call is running here.
    """
    context = _running.get()
    if context is None:
        raise NoCurrentCall(
            "current() is only known while a worker runs a job. A job that is called directly, like "
            "send_email(7), is an ordinary function call and has no id, attempt or queue."
        )
    return context
