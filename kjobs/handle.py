"""What ``.delay()`` returns: which call it was, and where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from .core.deferred import Verdict
from .core.duration import Duration, seconds
from .core.envelope import LATEST
from .errors import KjobsError

if TYPE_CHECKING:
    from .job import Sender

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Handle(msgspec.Struct, gc=False, eq=False):
    """An enqueued call.

    Attributes:
        id: the call's id.
        job: its job's name.
        queue: its queue.
        sender: what enqueued it.
        partition: the partition it is in; None while it is not known to be anywhere.
        offset: its offset there; None while it is not known.
    """

    id: str
    job: str
    queue: str
    given_key: Any = None
    due_ms: int | None = None
    partition: int | None = None
    offset: int | None = None
    sender: Sender | None = None

    @property
    def key(self) -> str | None:
        """The ordering key as text, or None."""
        return None if self.given_key is None else str(self.given_key)

    @property
    def due(self) -> datetime | None:
        """When a delayed call is due."""
        return None if self.due_ms is None else datetime.fromtimestamp(self.due_ms / 1000, UTC)

    def cancel(self) -> Verdict:
        """Let a call that waits for its time, or for a retry, not run.

        >>> reminder = remind.options(delay="7d").delay(order_id)
        >>> if not reminder.cancel():
        ...     ...  # too late, or nobody answered

        Returns:
            What came of it, by the word of the worker that has the call. Only ``Verdict.CANCELLED`` is true.
            ``UNKNOWN``: no worker answered within ``enqueue_timeout``; the wish stays in Kafka, and counts if
            the call has not begun by the time a worker reads it.

        Raises:
            EnqueueError: Kafka did not take the wish.
        """
        return self._home().cancel(self)

    def reschedule(self, *, at: datetime | None = None, delay: Duration | None = None) -> Verdict:
        """Let a call that waits for its time, or for a retry, run at another time.

        It gives up its place in the order of its key, and takes one when it is due. It has as long as before
        to start until it expires.

        Args:
            at: not to start before this time, an aware datetime.
            delay: not to start before this much time from now has passed.

        Returns:
            What came of it, as of :meth:`cancel`. Only ``Verdict.MOVED`` is true.

        Raises:
            ValueError: neither or both are given, or one is malformed.
            EnqueueError: Kafka did not take the wish.
        """
        if (at is None) == (delay is None):
            raise ValueError("reschedule(at=…) or reschedule(delay=…): give one of them")
        home = self._home()
        if delay is None:
            assert at is not None
            return home.reschedule(self, moment_ms(at))
        _, now_ms = home.new_id()  # by its clock: tests have one of their own
        due_ms = now_ms + milliseconds(seconds(delay))
        if due_ms > LATEST:
            raise ValueError(f"reschedule(delay={delay!r}): that is beyond the year 9999")
        return home.reschedule(self, due_ms)

    def _home(self) -> Sender:
        if self.sender is None or self.partition is None or self.offset is None:
            raise KjobsError(
                f"call {self.id} is not known to be in Kafka: with ack='none' its handle has no partition "
                "until the acknowledgement comes, and without one the call cannot be found"
            )
        return self.sender

    def __repr__(self) -> str:
        where = "" if self.offset is None else f" at {self.queue}[{self.partition}]@{self.offset}"
        return f"<Handle {self.job} {self.id}{where}>"


def moment_ms(at: datetime) -> int:
    """A time in milliseconds since the epoch, rounded up: nothing is due a moment early.

    Raises:
        ValueError: it is not aware.
    """
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError(f"at={at!r}: expected an aware datetime, such as datetime.now(UTC) + …")
    return min(max(0, -((_EPOCH - at) // timedelta(milliseconds=1))), LATEST)  # rounds up


def milliseconds(length: float) -> int:
    """Seconds in milliseconds, rounded up."""
    return -int(-length * 1000 // 1)


def row_id(handle: Handle) -> str:
    """The key of a call's record in the log: one that came from the queue has its offset in it."""
    return handle.id if handle.due_ms is not None else f"{handle.id}@{handle.offset}"
