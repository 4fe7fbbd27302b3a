"""What happened in a run, as frozen events; the only thing that the checker looks at.

A history is a list of events. Simulations append to a list; real processes write lines of JSON with a
``Recorder``, one file per incarnation of a process, and ``merge`` puts the files together by time.

What whoever writes a history has to keep to:

* ``t`` is when the thing happened, not when it was written down, in seconds of one clock for the whole
  history: ``time.monotonic()`` for the processes of one host, virtual time in a simulation. Of events
  with the same ``t``, the one that stands first happened first.
* ``inc`` names the incarnation of the process it happened in ("w1.3": the third life of w1).
* ``Killed`` and ``Exited`` are written once the process is gone.
* A call is identified by its record, ``place`` and ``offset``: a replayed call has one id and two records.
* A history is of one consumer group. A partition it has not committed has no ``FinalCommit``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

import msgspec

#: A Kafka partition: topic and number.
Place: TypeAlias = tuple[str, int]

#: Headers of a record, in order.
Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]

#: How an attempt ended. "ok", "discarded" and "expired" finish the call; "condemned" and a "failed" that
#: is not retried are finished by ``Buried``, the third "crashed" too; "snoozed" and "early" come back without
#: being counted.
Result: TypeAlias = Literal[
    "ok", "failed", "crashed", "condemned", "discarded", "expired", "snoozed", "early"
]


def home(place: Place) -> Place:
    """The partition of the queue that one of its deferred store's log belongs to; itself if it is one."""
    return (place[0].removesuffix(".delayed"), place[1])


# A struct and not a dataclass: workers write these on their hot path, and a million must be read quickly.
class Event(msgspec.Struct, frozen=True, gc=False, tag=True, tag_field="ev", omit_defaults=True):
    """Something that happened at ``t`` in ``inc`` ("" where no process of ours did it)."""

    t: float
    inc: str = ""


# --- enqueueing ------------------------------------------------------------------------------------


class Enqueued(Event, frozen=True, kw_only=True):
    """The brokers acknowledged a call.

    Attributes:
        producer: whose call order ``seq`` counts: one producer, used by one thread.
        due: not to be run before (same clock as ``t``).
    """

    call: str
    place: Place
    offset: int
    key: bytes | None = None
    producer: str = ""
    seq: int | None = None
    due: float | None = None


class Scheduled(Event, frozen=True, kw_only=True):
    """The brokers acknowledged a delayed call: it is in the log of the deferred store.

    Attributes:
        name: the key of its record. A later call of the same name replaces it.
        place, offset: where in the log; by these it is identified, wherever it is written again.
        due: not to be run before (same clock as ``t``).
    """

    call: str
    name: str
    place: Place
    offset: int
    key: bytes | None = None
    due: float


class Told(Event, frozen=True, kw_only=True):
    """Somebody who wanted a call cancelled, or moved to another time, was told what came of it.

    Attributes:
        request: which wish it was; its record is in the log of the deferred store.
        verdict: the answer, or "unknown".
    """

    request: str
    verdict: str


class EnqueueFailed(Event, frozen=True, kw_only=True):
    """A call was refused for certain: it must never run."""

    call: str


class EnqueueUnknown(Event, frozen=True, kw_only=True):
    """Nobody knows whether the brokers have the call: it may run."""

    call: str


# --- assignment ------------------------------------------------------------------------------------


class AssignedTo(Event, frozen=True, kw_only=True):
    """``inc`` owns the partition from now on, and reads from ``offset``."""

    place: Place
    epoch: int
    offset: int


class RevokedFrom(Event, frozen=True, kw_only=True):
    """``inc`` gave the partition back; the acknowledgement of its last commit may still follow."""

    place: Place


class LostBy(Event, frozen=True, kw_only=True):
    """``inc`` was told that the partition is another's already."""

    place: Place


class LeaseUntil(Event, frozen=True, kw_only=True):
    """``inc`` may begin calls until then (same clock as ``t``)."""

    until: float


# --- attempts --------------------------------------------------------------------------------------


class Started(Event, frozen=True, kw_only=True):
    """An attempt began. ``call`` is None for a record that cannot be decoded, if it gets this far.

    ``state``: with what it goes on; None if with nothing, or if that is not told.
    """

    call: str | None
    place: Place
    offset: int
    key: bytes | None = None
    attempt: int = 1
    epoch: int
    state: str | None = None


class Saving(Event, frozen=True, kw_only=True):
    """A call that runs asks for a state to be saved; of one name there is only one."""

    call: str
    place: Place
    offset: int
    epoch: int
    state: str


class SaveTold(Event, frozen=True, kw_only=True):
    """A call that runs was told what became of a state.

    ``fate``: "saved"; "refused" or "failed", if it is not saved for certain; or "unknown".
    """

    call: str
    state: str
    fate: str


class Ended(Event, frozen=True, kw_only=True):
    """An attempt ended; without a ``Started`` if it never ran: expired, early, condemned.

    Attributes:
        due: when the next attempt may begin; None if there is none.
    """

    call: str | None
    place: Place
    offset: int
    key: bytes | None = None
    attempt: int = 1
    epoch: int
    result: Result
    due: float | None = None


class Effect(Event, frozen=True, kw_only=True):
    """The body of the job itself says that it did its work (``ok``), or is about to fail.

    Written by the job and not by kjobs: the independent witness.

    Attributes:
        place, offset: its record; needed only where a call may have several that run at once.
    """

    call: str
    attempt: int
    ok: bool = True
    place: Place | None = None
    offset: int | None = None


class Buried(Event, frozen=True, kw_only=True):
    """The dead letter topic acknowledged a record; ``call`` is None if it could not be decoded.

    ``epoch`` is that of the assignment in which it was given up on; the latest one's if not told.
    """

    call: str | None
    place: Place
    offset: int
    reason: str = ""
    epoch: int | None = None


class Replayed(Event, frozen=True, kw_only=True):
    """A dead letter was enqueued again, acknowledged; ``place`` and ``offset`` are those it was dead at."""

    call: str | None
    place: Place
    offset: int


# --- the deferred store ----------------------------------------------------------------------------


class TookPlace(Event, frozen=True, kw_only=True):
    """A delayed call is due in ``inc``, and takes its place in the order of its key.

    ``before``: the offset in the queue that it comes before.
    """

    call: str
    place: Place
    offset: int
    before: int


class DelayedLogged(Event, frozen=True, kw_only=True):
    """A record was appended to the log of the deferred store, by ``inc`` or (if empty) by an enqueuer.

    Attributes:
        name: its key: of a call, or of the request that is answered. A wish has the call's.
        what: a call that waits; the end of one, or the wish for it (with ``request``); the wish to have one
            moved; the answer to a wish.
        call: which one waits; None if it cannot be decoded.
        due: not to begin before.
        rank: its place in the queue's order (before an offset, a turn), if it has one. The offset of a call
            that came from the queue is its own.
        failures: its failed attempts.
        epoch: of the assignment in which it was written.
        of: the offset of the record that it goes on from, or ends; a later one it does not replace.
        value_digest: of its value.
        state: what the call has saved last.
    """

    place: Place
    offset: int
    name: str
    what: Literal["call", "end", "move", "answer"]
    call: str | None = None
    due: float | None = None
    rank: tuple[int, int] | None = None
    failures: int = 0
    epoch: int = 0
    of: int | None = None
    request: str = ""
    verdict: str = ""
    value_digest: str = ""
    state: str | None = None


class Compacted(Event, frozen=True, kw_only=True):
    """Compaction took records of a log of the deferred store."""

    place: Place
    offsets: tuple[int, ...]


# --- commits ---------------------------------------------------------------------------------------


class Committed(Event, frozen=True, kw_only=True):
    """A commit was acknowledged. ``sent`` is when it was made; it makes several checks sharper."""

    place: Place
    offset: int
    sent: float | None = None


class CommitFailed(Event, frozen=True, kw_only=True):
    """A commit was refused, or is given up on."""

    place: Place
    offset: int


class OffsetsReset(Event, frozen=True, kw_only=True):
    """Somebody deliberately set the group's offset of a partition.

    A topic that was deleted and made anew is another place: give it another name ("mail#2").
    """

    place: Place
    offset: int


# --- processes -------------------------------------------------------------------------------------


class Buffered(Event, frozen=True, kw_only=True):
    """How much ``inc`` holds in memory."""

    records: int
    size: int


class TermBegan(Event, frozen=True, kw_only=True):
    """``inc`` was asked to stop within ``grace`` seconds."""

    grace: float


class Exited(Event, frozen=True, kw_only=True):
    """``inc`` ended by itself."""

    code: int


class Killed(Event, frozen=True):
    """``inc`` crashed, or was killed without being asked."""


class Frozen(Event, frozen=True):
    """``inc`` was stopped in its tracks (SIGSTOP)."""


class Thawed(Event, frozen=True):
    """``inc`` goes on after a freeze."""


class FaultBegan(Event, frozen=True, kw_only=True):
    """Commits may fail from now on: a broker is down, or the network; for all if ``inc`` is empty."""

    what: str


class FaultEnded(Event, frozen=True, kw_only=True):
    """The fault of this name is over."""

    what: str


# --- retention -------------------------------------------------------------------------------------


class GapInjected(Event, frozen=True, kw_only=True):
    """The records ``[first, after)`` were deleted from the log, read or not."""

    place: Place
    first: int
    after: int


class Gap(Event, frozen=True, kw_only=True):
    """``inc`` reported that the records ``[first, after)`` were gone before it could read them."""

    place: Place
    first: int
    after: int


# --- the dump after the run ------------------------------------------------------------------------


class Logged(Event, frozen=True, kw_only=True):
    """A record of a queue topic, read by a plain consumer; ``call`` is None if it is not a call."""

    place: Place
    offset: int
    call: str | None
    key: bytes | None = None
    value_digest: str = ""
    headers: Headers = ()


class DeadLogged(Event, frozen=True, kw_only=True):
    """A record of a dead letter topic, read by a plain consumer.

    Attributes:
        source: topic, partition and offset that its headers say it came from.
        call: the call's id that its headers say.
    """

    place: Place
    offset: int
    call: str | None
    key: bytes | None = None
    value_digest: str = ""
    headers: Headers = ()
    source: tuple[str, int, int] | None = None


class FinalCommit(Event, frozen=True, kw_only=True):
    """The group's committed offset after the run, as an admin client reads it."""

    place: Place
    offset: int


#: Every kind of event, for reading.
AnyEvent: TypeAlias = (
    Enqueued
    | Scheduled
    | Told
    | EnqueueFailed
    | EnqueueUnknown
    | AssignedTo
    | RevokedFrom
    | LostBy
    | LeaseUntil
    | Started
    | Saving
    | SaveTold
    | Ended
    | Effect
    | Buried
    | Replayed
    | TookPlace
    | DelayedLogged
    | Compacted
    | Committed
    | CommitFailed
    | OffsetsReset
    | Buffered
    | TermBegan
    | Exited
    | Killed
    | Frozen
    | Thawed
    | FaultBegan
    | FaultEnded
    | GapInjected
    | Gap
    | Logged
    | DeadLogged
    | FinalCommit
)


# --- files -----------------------------------------------------------------------------------------


class Recorder:
    """Appends events to a file, each with one write, so that what was written outlives a SIGKILL.

    Threads may share one. Open it after the fork: one file per incarnation.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._encode = msgspec.json.Encoder().encode

    def record(self, *events: Event) -> None:
        """Append events as one write."""
        lines = b"".join([self._encode(event) + b"\n" for event in events])
        written = os.write(self._file, lines)
        if written != len(lines):
            raise OSError(f"wrote {written} of {len(lines)} bytes of a history: the disk is full")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> list[AnyEvent]:
    """Read a file of events; a last line without an end is what a dying process left, and ignored."""
    lines = path.read_bytes().split(b"\n")
    decode = msgspec.json.Decoder(AnyEvent).decode
    events: list[AnyEvent] = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            events.append(decode(line))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path}:{number} is not an event: {error}: {line[:200]!r}") from None
    return events


def merge(*histories: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Put histories together, by time; events of the same time keep their order."""
    return sorted((event for history in histories for event in history), key=attrgetter("t"))


def read_all(directory: Path) -> list[AnyEvent]:
    """Read and merge every ``*.jsonl`` file below a directory.

    Raises:
        FileNotFoundError: there is none, so that no empty history is ever judged to be right.
    """
    paths = sorted(directory.rglob("*.jsonl"))
    if not paths:
        raise FileNotFoundError(f"no *.jsonl file below {directory}: nothing was recorded")
    return merge(*(read(path) for path in paths))
