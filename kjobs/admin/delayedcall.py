"""A call in the deferred store, as it is read from its record. See ``docs/wire-format.md``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from ..core.deferred import Row
from ..core.envelope import Envelope, Malformed, decode
from ..core.ports import Headers
from .deadletter import moment, readable


class State(StrEnum):
    """What a call in the deferred store waits for."""

    #: Its time; it has not failed yet.
    SCHEDULED = "scheduled"
    #: The time of its next attempt; or it runs, and has stored how far it is.
    RETRYING = "retrying"
    #: Its turn: others of its key come first.
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class DelayedCall:
    """A call that waits in the deferred store, or that runs from there.

    Attributes:
        id: the call's id; that of its record if its value cannot be read.
        job: the job's name; None if the value cannot be read.
        queue: its queue.
        key: the ordering key as text.
        state: what it waits for.
        due: when it is due; None if that depends on others of its key only.
        attempts: how often it failed.
        enqueued_at: when it was enqueued.
        expires: not to start after; counts until its first attempt.
        relaxed: later calls of its key may pass it.
        partition: the partition of the queue, and of the deferred store's log.
        offset: of its record in that log.
        record_id: the key of that record, which is what the store calls it.
        record_key: the ordering key, to the byte.
        value: the record's value, to the byte.
        headers: the headers it was enqueued with.
    """

    id: str
    job: str | None
    queue: str
    key: str | None
    state: State
    due: datetime | None
    attempts: int
    enqueued_at: datetime | None
    expires: datetime | None
    relaxed: bool
    partition: int
    offset: int
    record_id: str
    record_key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> str:
        """Where it is in the store's log, as ``partition@offset``; another with each record about it."""
        return f"{self.partition}@{self.offset}"

    @property
    def args(self) -> Any:
        """The positional arguments, as JSON has them; None if they cannot be read."""
        call = _envelope(self.value)
        return None if call is None else _plain(call.args)

    @property
    def kwargs(self) -> Any:
        """The named arguments, as JSON has them; None if they cannot be read."""
        call = _envelope(self.value)
        return None if call is None else _plain(call.kwargs)

    def overdue(self, now: datetime) -> bool:
        """Whether its time has come: it is about to run, or runs, or there is no worker for it."""
        return self.due is not None and self.due <= now and self.state is not State.PARKED


def delayed_call(row: Row, *, queue: str, partition: int, now_ms: int) -> DelayedCall:
    """Read a call; whoever wrote it, this does not fail.

    Args:
        row: as the store has it.
        queue: its queue.
        partition: where it is.
        now_ms: the present (ms since the epoch).
    """
    call = _envelope(row.value)
    expires_ms = row.expires_ms
    if expires_ms is None and call is not None:
        expires_ms = call.expires
    return DelayedCall(
        id=call_id(row),
        job=None if call is None else call.job,
        queue=queue,
        key=None if row.key is None else readable(row.key),
        state=_state(row, now_ms),
        due=moment(row.due_ms),
        attempts=row.failures,
        enqueued_at=None if call is None else moment(call.at),
        expires=moment(expires_ms),
        relaxed=row.relaxed,
        partition=partition,
        offset=row.offset,
        record_id=row.id,
        record_key=row.key,
        value=row.value,
        headers=row.headers or (),
    )


def call_id(row: Row) -> str:
    """The id of a call: as its value has it, or else that of its record, or where that is."""
    call = _envelope(row.value)
    return (call.id if call is not None else "") or row.id or f"@{row.offset}"


def _state(row: Row, now_ms: int) -> State:
    if row.failures or row.state is not None:
        return State.RETRYING
    # A place in the order of its key and no time left to wait for: it is the turn that it waits for.
    if row.lane is not None and row.rank is not None and row.due_ms <= now_ms:
        return State.PARKED
    return State.SCHEDULED


def _envelope(value: bytes | None) -> Envelope | None:
    try:
        return decode(value)
    except Malformed:
        return None


def _plain(json: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
