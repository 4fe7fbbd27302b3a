"""What a process of kjobs writes into the history: the words of kjobs' events, and of jobs themselves.

Every incarnation of a process has a file of its own, named by ``KJOBS_TEST_HISTORY`` and
``KJOBS_TEST_INC``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from kjobs import current, events
from tests.proof import history as h

#: How ``CallEnded`` names outcomes, and how histories do.
_RESULTS: dict[str, h.Result] = {
    "succeeded": "ok",
    "failed": "failed",
    "crashed": "crashed",
    "snoozed": "snoozed",
    "discarded": "discarded",
    "condemned": "condemned",
}


class Witness:
    """Writes the history of one incarnation.

    Args:
        folder: where the file goes.
        inc: names the incarnation.
        prefix: what the names of the topics begin with.
        file: the name of the file.
    """

    def __init__(self, folder: Path, inc: str, prefix: str, file: str) -> None:
        self._recorder = h.Recorder(folder / f"{file}.jsonl")
        self._inc = inc
        self._prefix = prefix
        # kjobs tells due times on the wall; the history counts as the monotonic clock does.
        self._anchor = time.time() - time.monotonic()

    def watch(self) -> None:
        """Write down everything that kjobs tells of this process; of a cell, its worker tells."""
        if "--cell" in sys.argv:
            return
        handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.CallStarted: self._started,
            events.CallEnded: self._ended,
            events.CallRetried: self._retried,
            events.CallDropped: self._dropped,
            events.CallBuried: self._buried,
            events.PartitionsAssigned: self._assigned,
            events.PartitionsRevoked: self._revoked,
            events.PartitionsLost: self._lost,
            events.OffsetsCommitted: self._committed,
            events.CommitFailed: self._commit_failed,
            events.LeaseExtended: self._lease,
            events.RecordsMissing: self._missing,
            events.RecordsUnreadable: self._missing,
        }
        for kind, handler in handlers.items():
            events.subscribe(handler, kind)

    def effect(self, *, ok: bool) -> None:
        """Let the job that runs say that it did its work, or is about to fail."""
        context = current()
        self._tell(
            h.Effect,
            call=context.id,
            attempt=context.attempt,
            ok=ok,
            place=self._place(context.queue, context.partition),
            offset=context.offset,
        )

    def killed(self) -> None:
        """Let the job that runs say that it is about to kill this worker."""
        self._tell(h.Killed)

    def _tell(self, kind: type[h.Event], **what: Any) -> None:
        self._recorder.record(kind(time.monotonic(), self._inc, **what))

    def _place(self, queue: str, partition: int) -> h.Place:
        return (f"{self._prefix}.{queue}", partition)

    def _call(self, event: events.CallEvent) -> dict[str, Any]:
        return {
            # A record that is no call has no id of its own.
            "call": event.id if event.job else None,
            "place": self._place(event.queue, event.partition),
            "offset": event.offset,
        }

    def _attempt(self, event: events.CallEvent) -> dict[str, Any]:
        key = None if event.key is None else event.key.encode()
        return {**self._call(event), "key": key, "attempt": event.attempt, "epoch": event.epoch}

    # --- calls -------------------------------------------------------------------------------------

    def _started(self, event: events.CallStarted) -> None:
        self._tell(h.Started, **self._attempt(event))

    def _ended(self, event: events.CallEnded) -> None:
        self._tell(h.Ended, **self._attempt(event), result=_RESULTS[event.result])

    def _retried(self, event: events.CallRetried) -> None:
        self._tell(h.Ended, **self._attempt(event), result="failed", due=event.due - self._anchor)

    def _dropped(self, event: events.CallDropped) -> None:
        result: h.Result = "expired" if event.why.startswith("expired ") else "discarded"
        self._tell(h.Ended, **self._attempt(event), result=result)

    def _buried(self, event: events.CallBuried) -> None:
        self._tell(h.Buried, **self._call(event), reason=event.reason, epoch=event.epoch)

    # --- partitions --------------------------------------------------------------------------------

    def _assigned(self, event: events.PartitionsAssigned) -> None:
        for topic, number, offset in event.places:
            self._tell(h.AssignedTo, place=(topic, number), epoch=0, offset=offset)

    def _revoked(self, event: events.PartitionsRevoked) -> None:
        for place in event.places:
            self._tell(h.RevokedFrom, place=tuple(place))

    def _lost(self, event: events.PartitionsLost) -> None:
        for place in event.places:
            self._tell(h.LostBy, place=tuple(place))

    def _committed(self, event: events.OffsetsCommitted) -> None:
        for topic, number, offset in event.offsets:
            self._tell(h.Committed, place=(topic, number), offset=offset, sent=event.sent)

    def _commit_failed(self, event: events.CommitFailed) -> None:
        self._tell(h.CommitFailed, place=(event.topic, event.partition), offset=event.offset)

    def _lease(self, event: events.LeaseExtended) -> None:
        self._tell(h.LeaseUntil, until=event.until)

    def _missing(self, event: events.RecordsMissing | events.RecordsUnreadable) -> None:
        self._tell(h.Gap, place=(event.topic, event.partition), first=event.first, after=event.end)


@cache
def witness() -> Witness:
    """The witness of this process, as its environment says."""
    environ = os.environ
    inc = file = environ["KJOBS_TEST_INC"]
    if "--cell" in sys.argv:
        # What happens in here happens to a call of the worker that has begun this process.
        inc, file = environ["KJOBS_TEST_WORKER"], f"{file}-{os.getpid()}"
    elif "--seat" in sys.argv:
        inc = file = f"{inc}-{os.getpid()}"  # one of several, and not the last one of its seat
    environ["KJOBS_TEST_WORKER"] = inc
    return Witness(Path(environ["KJOBS_TEST_HISTORY"]), inc, environ["KJOBS_PREFIX"], file)
