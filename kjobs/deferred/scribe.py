"""Writes to the log of the deferred store, and gathers what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ..core.deferred import Change, End, Row
from ..core.partition import Entry
from ..errors import EnqueueError
from ..kafka.embedded.accounts import SPARED_BY_ENDS
from ..kafka.message import headers_of
from ..kafka.producer import Delivery, Producer, Stamped
from . import wire
from .work import Work


class Scribe:
    """Writes what the scheduler orders, and what shelves wish; all of a partition in one order.

    Args:
        producer: sends records.
        told: called when something can be collected; from the producer's thread.
        passed: told when a place where a test may kill the worker is passed.
    """

    def __init__(
        self, producer: Producer, *, told: Callable[[], None], passed: Callable[[str], None]
    ) -> None:
        self._producer = producer
        self._told = told
        self._passed = passed
        self._answers: deque[tuple[Work, Change, Entry | None, Stamped]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something can be collected."""
        return bool(self._answers)

    def collect(self) -> list[tuple[Work, Change, Entry | None, Stamped]]:
        """What became of changes: of which partition, of which entry if of one, and how it was delivered."""
        answers = self._answers
        return [answers.popleft() for _ in range(len(answers))]

    def write_entry(self, work: Work, entry: Entry) -> None:
        """Write what the scheduler ordered of an entry."""
        change: Row | End
        if entry.ended:
            assert entry.row is not None
            self._passed("before-erase")
            change = End(id=entry.row.id, of=entry.row.offset)
        else:
            row = entry.deferral
            assert row is not None
            self._passed("before-defer")
            if entry.row is None:
                row = replace(row, headers=headers_of(entry.record) or None)
            change = row
        if work.postponed or not work.shelf.may_write(change):
            work.postponed.append(entry)  # with all that follow: they are written in their order
        else:
            self._write(work, work.shelf.signed(change), entry)

    def write_postponed(self, work: Work) -> None:
        """Write what had to wait until the log was read, as far as that may be now."""
        while work.postponed:
            entries, work.postponed = work.postponed, []
            self.write_entry(work, entries[0])
            waits = bool(work.postponed)
            work.postponed += entries[1:]
            if waits:
                return

    def write_wishes(self, work: Work) -> None:
        """Write what a shelf wishes to be written."""
        if time.monotonic() < work.write_at:
            return
        wishes, work.shelf.wishes = work.shelf.wishes, []
        for wish in wishes:
            self._write(work, wish, None)

    def _write(self, work: Work, change: Change, entry: Entry | None) -> None:
        record = wire.written(change)
        topic, number = work.log

        def done(delivery: Delivery) -> None:
            self._answers.append((work, change, entry, delivery))  # type: ignore[arg-type]
            self._told()

        delivery = Stamped(topic, "", done)
        try:
            self._producer.put(
                delivery,
                record.value,
                record.key,
                record.headers,
                partition=number,
                spare=_spare(change, entry),
            )
        except (BufferError, EnqueueError) as error:
            delivery.error = error if isinstance(error, EnqueueError) else EnqueueError(str(error))
            done(delivery)


def _spare(change: Change, entry: Entry | None) -> int | None:
    """What a record has to leave of the embedded broker's room; what makes room is let in at last."""
    if isinstance(change, Row):
        return 0 if entry is None else None
    return SPARED_BY_ENDS
