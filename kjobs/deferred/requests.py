"""Asks the worker that has a delayed call to cancel it, or to move it to another time.

Any process may. The wish is written to the log of the deferred store; the owner of the partition answers
there, because only it knows whether the call has begun.
"""

from __future__ import annotations

import time
from uuid import uuid4

from ..config import Settings
from ..connect import delayed_group
from ..core.deferred import Answered, Change, End, Move, Verdict
from ..core.topics import Names
from ..handle import Handle, row_id
from ..kafka.message import headers_of
from ..kafka.producer import Producer
from ..kafka.tail import Tail
from . import wire

#: Records taken from the client at a time.
_HANDFUL = 500
#: Seconds of one wait for a record.
_TICK = 0.1


class Requests:
    """Wishes about the calls of an app's queues.

    Args:
        producer: writes them.
        settings: of the app.
    """

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings

    def cancel(self, handle: Handle) -> Verdict:
        """Let a call not run.

        Raises:
            EnqueueError: Kafka did not take the wish.
        """
        assert handle.partition is not None
        return self.cancel_row(handle.queue, handle.partition, row_id(handle))

    def move(self, handle: Handle, due_ms: int) -> Verdict:
        """Let a call run at another time (ms since the epoch).

        Raises:
            EnqueueError: Kafka did not take the wish.
        """
        assert handle.partition is not None
        return self.move_row(handle.queue, handle.partition, row_id(handle), due_ms)

    def cancel_row(self, queue: str, partition: int, name: str) -> Verdict:
        """Let a call not run, by the key of its record in the log."""
        request = uuid4().hex
        return self._ask(queue, partition, request, End(id=name, request=request))

    def move_row(self, queue: str, partition: int, name: str, due_ms: int) -> Verdict:
        """Let a call run at another time, by the key of its record in the log."""
        request = uuid4().hex
        return self._ask(queue, partition, request, Move(request=request, id=name, due_ms=due_ms))

    def _ask(self, queue: str, partition: int, request: str, wish: Change) -> Verdict:
        settings = self._settings
        topic = Names(settings.prefix).delayed(queue)
        record = wire.written(wish)
        until = time.monotonic() + settings.enqueue_timeout
        delivery = self._producer.send_to(
            topic, partition, record.value, record.key, record.headers, request, settings.enqueue_timeout
        )
        tail = Tail(
            settings.bootstrap_servers,
            settings.kafka,
            group=delayed_group(settings.group),
            embedded=self._producer.guarded,
        )
        try:
            place = (topic, partition)
            tail.follow(place, delivery.offset + 1)
            while time.monotonic() < until:
                records, _, _ = tail.read(_HANDFUL, _TICK)
                for found in records.get(place, ()):
                    if found.value() is not None or wire.name_text(found.key()) != request:
                        continue
                    answer = wire.change(found.key(), None, headers_of(found), found.offset())
                    if isinstance(answer, Answered):
                        return answer.verdict
        finally:
            tail.close()
        return Verdict.UNKNOWN
