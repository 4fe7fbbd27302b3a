"""Asks the worker that has a delayed call to cancel it, or to move it to another time.

Any process may. The wish is written to the log of the deferred store; the owner of the partition answers
there, because only it knows whether the call has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..config import Settings
from ..core.deferred import End, Move, Verdict
from ..core.topics import Names
from ..handle import Handle, row_id
from ..kafka.producer import Producer
from .inquiry import Inquiry, Wish


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
        return self._one(queue, Wish(partition, name), None)

    def move_row(self, queue: str, partition: int, name: str, due_ms: int) -> Verdict:
        """Let a call run at another time, by the key of its record in the log."""
        return self._one(queue, Wish(partition, name), due_ms)

    def many(
        self, queue: str, wishes: Iterable[Wish], due_ms: int | None = None
    ) -> Iterator[tuple[Wish, Verdict]]:
        """Let many calls not run, or run at another time; tells of each as soon as it is known, in any order.

        Args:
            queue: whose calls.
            wishes: which of them; taken as there is room for more.
            due_ms: when they are to be due (ms since the epoch); None to cancel them.

        Raises:
            EnqueueError: Kafka did not take a wish; see :meth:`.inquiry.Inquiry.ask`.
        """
        topic = Names(self._settings.prefix).delayed(queue)

        def wording(request: str, wish: Wish) -> End | Move:
            if due_ms is None:
                return End(id=wish.name, request=request)
            return Move(request=request, id=wish.name, due_ms=due_ms)

        with Inquiry(self._producer, self._settings, topic) as inquiry:
            yield from inquiry.ask(wishes, wording)

    def _one(self, queue: str, wish: Wish, due_ms: int | None) -> Verdict:
        (told,) = self.many(queue, [wish], due_ms)
        return told[1]
