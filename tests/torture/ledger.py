"""Writes down what became of calls that somebody enqueued."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

from kjobs import BatchError, EnqueueError, Handle
from kjobs.core.topics import Names
from tests.proof import history as h


class Ledger:
    """The words of one producer, used by one thread.

    Args:
        name: of the producer.
        names: of the topics.
        recorder: takes the words.
    """

    def __init__(self, name: str, names: Names, recorder: h.Recorder) -> None:
        self._name = name
        self._names = names
        self._recorder = recorder
        self._anchor = time.time() - time.monotonic()
        self._numbers = count(1)

    def number(self) -> int:
        """The number of a call that is about to be enqueued: they count the order."""
        return next(self._numbers)

    def acknowledged(self, handles: Sequence[Handle], numbers: Sequence[int]) -> None:
        """Kafka has calls."""
        self._recorder.record(*map(self._event, handles, numbers))

    def failed(self, error: EnqueueError, call_id: str = "") -> None:
        """A call was refused, or nobody knows."""
        kind = h.EnqueueFailed if error.definite else h.EnqueueUnknown
        self._recorder.record(kind(time.monotonic(), self._name, call=call_id or error.call_id))

    def partly(self, error: BatchError, numbers: Sequence[int]) -> None:
        """Some calls of several were refused."""
        failures = dict(error.failures)
        for index, handle in enumerate(error.handles):
            if index in failures:
                self.failed(failures[index], handle.id)
            else:
                self.acknowledged([handle], [numbers[index]])

    def told(self, name: str, verdict: str) -> None:
        """Somebody who wanted something of a call, by its name in the log, was told what came of it."""
        self._recorder.record(h.Told(time.monotonic(), self._name, request=f"?{name}", verdict=verdict))

    def written(self, place: h.Place, offset: int, call: str, key: bytes | None) -> None:
        """Kafka has a call that was not enqueued with kjobs."""
        self._recorder.record(
            h.Enqueued(time.monotonic(), self._name, call=call, place=place, offset=offset, key=key)
        )

    def _event(self, handle: Handle, number: int) -> h.Event:
        assert handle.partition is not None
        assert handle.offset is not None
        key = None if handle.key is None else handle.key.encode()
        if handle.due_ms is None:
            return h.Enqueued(
                time.monotonic(),
                self._name,
                call=handle.id,
                place=(self._names.queue(handle.queue), handle.partition),
                offset=handle.offset,
                key=key,
                producer=self._name,
                seq=number,
            )
        return h.Scheduled(
            time.monotonic(),
            self._name,
            call=handle.id,
            name=handle.id,
            place=(self._names.delayed(handle.queue), handle.partition),
            offset=handle.offset,
            key=key,
            due=handle.due_ms / 1000 - self._anchor,
        )
