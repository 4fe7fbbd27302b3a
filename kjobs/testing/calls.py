"""What a test sees of a call: how it was enqueued, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..core.outcome import Reason


class State(StrEnum):
    """What has become of a call."""

    WAITING = "waiting"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class RecordedCall:
    """A call that was enqueued. What is below ``state`` changes as it runs.

    Attributes:
        id: its id, the same as its handle's.
        job: the name of its job.
        args: its positional arguments, as the job gets them: they went through the wire format.
        kwargs: its named arguments, likewise.
        key: its ordering key as text, or None.
        queue: its queue.
        headers: the headers it was enqueued with.
        partition: the partition it is in.
        offset: its offset there.
        state: ``waiting`` (also: snoozed), ``running``, ``retrying`` (failed, and waits for another attempt),
            ``succeeded``, ``dead`` (on the dead letter queue) or ``dropped`` (discarded, or expired).
        due: the time before which it does not start: the end of its delay, later that of its backoff. None
            for at once.
        attempts: attempts made. One that ended in ``Snooze`` is not counted.
        error: what the last attempt raised, if it failed.
        why: why it is dead or was dropped.
        checkpoint: what it has stored of how far it is, as JSON; None if nothing.
    """

    id: str
    job: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str | None
    queue: str
    headers: dict[str, str]
    partition: int
    offset: int
    state: State = State.WAITING
    due: datetime | None = None
    attempts: int = 0
    error: BaseException | None = None
    why: str | None = None
    checkpoint: bytes | None = None

    def __str__(self) -> str:
        key = "" if self.key is None else f" key={self.key!r}"
        return f"{spelled(self.job, self.args, self.kwargs)}{key}"

    def __repr__(self) -> str:
        return f"<call {self} on {self.queue}[{self.partition}]@{self.offset}: {self.state}>"


@dataclass(frozen=True, slots=True, eq=False)
class DeadCall:
    """A call on the dead letter queue.

    Attributes:
        call: the call.
        reason: why it was given up on; a text such as ``"retries-exhausted"``.
        error: the error that ended it.
        attempts: how many attempts were made.
    """

    call: RecordedCall
    reason: Reason
    error: BaseException
    attempts: int

    def __str__(self) -> str:
        count = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.call}, dead after {count} ({self.reason}): {brief(self.error)}"

    def __repr__(self) -> str:
        return f"<dead letter {self}>"


def spelled(job: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call as it would be written: ``shop.send_email(7, template='bye')``."""
    shown = [short(value) for value in args] + [f"{name}={short(value)}" for name, value in kwargs.items()]
    return f"{job}({', '.join(shown)})"


def short(value: Any) -> str:
    """A value in a message."""
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__} whose repr() fails>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def brief(error: BaseException) -> str:
    """An error in a message."""
    try:
        text = str(error)
    except Exception:
        text = "<its __str__ raised>"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
