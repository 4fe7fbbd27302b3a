"""Writes to the log of the deferred store, and gathers what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from ..core.commands import Defer, Erase, Save
from ..core.deferred import Change, End, Row
from ..errors import EnqueueError
from ..kafka.embedded.accounts import SPARED_BY_ENDS
from ..kafka.message import headers_of
from ..kafka.producer import Delivery, Producer, Stamped
from . import wire
from .work import Order, Work


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
        self._answers: deque[tuple[Work, Change, Order | None, Stamped]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something can be collected."""
        return bool(self._answers)

    def collect(self) -> list[tuple[Work, Change, Order | None, Stamped]]:
        """What became of changes: of which partition, by which order if by one, and how it was delivered."""
        answers = self._answers
        return [answers.popleft() for _ in range(len(answers))]

    def write_order(self, work: Work, order: Order) -> None:
        """Write what the scheduler ordered of an entry."""
        change = self._change(order)
        if work.postponed or not work.shelf.may_write(change):
            work.postponed.append(order)  # with all that follow: they are written in their order
        else:
            self._write(work, work.shelf.signed(change, stays=isinstance(order, Save)), order)

    def _change(self, order: Order) -> Row | End:
        entry = order.entry
        match order:
            case Erase():
                assert entry.row is not None
                self._passed("before-erase")
                return End(id=entry.row.id, of=entry.row.offset)
            case Save(row=row):
                self._passed("before-save")
                first = row.of < 0
            case Defer():
                assert entry.deferral is not None
                self._passed("before-defer")
                row, first = entry.deferral, entry.row is None
        return wire.enqueued(row, headers_of(entry.record)) if first else row

    def write_postponed(self, work: Work) -> None:
        """Write what had to wait until the log was read, as far as that may be now."""
        while work.postponed:
            orders, work.postponed = work.postponed, []
            self.write_order(work, orders[0])
            waits = bool(work.postponed)
            work.postponed += orders[1:]
            if waits:
                return

    def write_wishes(self, work: Work) -> None:
        """Write what a shelf wishes to be written."""
        if time.monotonic() < work.write_at:
            return
        wishes, work.shelf.wishes = work.shelf.wishes, []
        for wish in wishes:
            self._write(work, wish, None)

    def _write(self, work: Work, change: Change, order: Order | None) -> None:
        record = wire.written(change)
        topic, number = work.log

        def done(delivery: Delivery) -> None:
            self._answers.append((work, change, order, delivery))  # type: ignore[arg-type]
            self._told()

        delivery = Stamped(topic, "", done)
        try:
            self._producer.put(
                delivery,
                record.value,
                record.key,
                record.headers,
                partition=number,
                spare=_spare(change, order),
            )
        except (BufferError, EnqueueError) as error:
            delivery.error = error if isinstance(error, EnqueueError) else EnqueueError(str(error))
            done(delivery)


def _spare(change: Change, order: Order | None) -> int | None:
    """What a record has to leave of the embedded broker's room; what makes room is let in at last."""
    if isinstance(change, Row):
        return 0 if order is None else None
    return SPARED_BY_ENDS
