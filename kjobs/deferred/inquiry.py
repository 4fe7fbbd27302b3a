"""Many wishes about delayed calls at once: written in bulk, and answered as the owners get to them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Self
from uuid import uuid4

from ..config import Settings
from ..connect import delayed_group
from ..core.deferred import Answered, End, Move, Verdict
from ..errors import EnqueueError, QueueFull
from ..kafka.embedded.accounts import SPARED_BY_ENDS
from ..kafka.message import headers_of
from ..kafka.producer import Delivery, Producer
from ..kafka.tail import Tail
from . import wire

#: Wishes that may be on their way, or wait for their answers.
_WINDOW = 1000
#: Records taken from the client at a time.
_HANDFUL = 500
#: Seconds of one wait for a record.
_TICK = 0.1
#: Seconds before what found no room is tried again.
_ROOM_PAUSE = 0.005


class Wish(NamedTuple):
    """Which call a wish is about: the partition of its record in the log, and the record's key."""

    partition: int
    name: str


#: Writes a wish down, under the id of its request.
Wording = Callable[[str, Wish], End | Move]


class _Owner:
    """What is known of whoever has a partition.

    ``heard``: when it answered last, or was first asked since; ``silent``: that is too long ago.
    """

    __slots__ = ("heard", "silent", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, Wish] = {}
        self.heard = 0.0
        self.silent = False


class Inquiry:
    """Wishes about the calls of one queue, on their way. Close it, or use it in a ``with``.

    Args:
        producer: writes them.
        settings: of the app.
        topic: the log that they are written to.
    """

    def __init__(self, producer: Producer, settings: Settings, topic: str) -> None:
        self._producer = producer
        self._settings = settings
        self._topic = topic
        self._timeout = settings.enqueue_timeout
        self._sent: dict[str, Wish] = {}
        self._lost: dict[str, Wish] = {}
        self._reports: deque[Delivery] = deque()
        self._reported = threading.Event()
        self._moved_on = 0.0
        self._owners: dict[int, _Owner] = {}
        self._refused: Wish | None = None
        self._refused_at = 0.0
        self._failure: EnqueueError | None = None
        producer.check_topic(topic, "of a request", self._timeout)
        self._tail = Tail(
            settings.bootstrap_servers,
            settings.kafka,
            group=delayed_group(settings.group),
            embedded=producer.guarded,
        )

    def __enter__(self) -> Self:
        """Nothing is done yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._tail.close()

    def ask(self, wishes: Iterable[Wish], wording: Wording) -> Iterator[tuple[Wish, Verdict]]:
        """Send wishes, and tell what became of each as soon as that is known, in any order.

        Of a partition whose owner has not answered for ``enqueue_timeout`` all are told as unknown, without
        further waiting until it answers something. They are in the log all the same.

        Raises:
            EnqueueError: Kafka did not take a wish. No more were sent then; of those that were before, all
                are told of, as unknown if need be.
        """
        rest = iter(wishes)
        more = True
        while more or self._sent or self._waiting:
            more = more and self._failure is None and self._send(rest, wording)
            self._take_reports()
            yield from self._answers()
            yield from self._overdue()
        if self._failure is not None:
            raise self._failure

    @property
    def _waiting(self) -> int:
        return sum(len(owner.waiting) for owner in self._owners.values())

    # --- asking ----------------------------------------------------------------------------------

    def _send(self, rest: Iterator[Wish], wording: Wording) -> bool:
        """Send what there is room for; whether there may be more."""
        if not self._sent:
            self._moved_on = time.monotonic()
        for _ in range(_WINDOW - len(self._sent) - self._waiting):
            wish = self._refused or next(rest, None)
            if wish is None:
                return False
            request = uuid4().hex
            record = wire.written(wording(request, wish))
            delivery = Delivery(self._topic, request, self._report)
            self._sent[request] = wish
            try:
                self._producer.put(
                    delivery,
                    record.value,
                    record.key,
                    record.headers,
                    partition=wish.partition,
                    spare=SPARED_BY_ENDS,
                )
                self._refused = None
            except EnqueueError as error:
                delivery.error = error
                self._report(delivery)
            except BufferError as error:
                del self._sent[request]
                self._try_later(wish, error)
                break
        return True

    def _try_later(self, wish: Wish, error: BufferError) -> None:
        """There was no room for a wish: another time, but not for ever."""
        now = time.monotonic()
        if self._refused is None:
            self._refused, self._refused_at = wish, now
        elif now - self._refused_at > self._timeout:
            self._failure = QueueFull(f"requests cannot be sent: {error}")
        time.sleep(_ROOM_PAUSE)

    def _report(self, delivery: Delivery) -> None:
        self._reports.append(delivery)
        self._reported.set()

    def _take_reports(self) -> None:
        """See which wishes are in the log."""
        if self._sent and not self._waiting:
            self._reported.wait(_TICK)
        self._reported.clear()
        now = time.monotonic()
        while self._reports:
            delivery = self._reports.popleft()
            wish = self._sent.pop(delivery.call_id, None)
            if wish is None:
                continue  # it was given up
            self._moved_on = now
            if delivery.error is None:
                self._await(delivery, wish, now)
                continue
            self._failure = self._failure or delivery.error
            if not delivery.error.definite:
                self._lost[delivery.call_id] = wish

    def _await(self, delivery: Delivery, wish: Wish, now: float) -> None:
        owner = self._owners.get(wish.partition)
        if owner is None:
            owner = self._owners[wish.partition] = _Owner()
            # Reports of a partition come in the order of the log: no answer is before this.
            self._tail.follow((self._topic, wish.partition), delivery.offset + 1)
        if not owner.waiting:
            owner.heard = now
        owner.waiting[delivery.call_id] = wish

    # --- hearing ---------------------------------------------------------------------------------

    def _answers(self) -> Iterator[tuple[Wish, Verdict]]:
        if not self._owners:
            return
        records, _, _ = self._tail.read(_HANDFUL, _TICK if self._waiting else 0.0)
        for place, found in records.items():
            owner = self._owners[place[1]]
            for record in found:
                if record.value() is not None:
                    continue
                answer = wire.change(record.key(), None, headers_of(record), record.offset())
                if not isinstance(answer, Answered):
                    continue
                owner.heard, owner.silent = time.monotonic(), False
                # It may be here before the report that the wish is in the log.
                wish = owner.waiting.pop(answer.request, None) or self._sent.pop(answer.request, None)
                if wish is not None:
                    yield wish, answer.verdict

    def _overdue(self) -> Iterator[tuple[Wish, Verdict]]:
        """Give up on what nobody answers."""
        now = time.monotonic()
        for owner in self._owners.values():
            if owner.waiting and (owner.silent or now - owner.heard > self._timeout):
                owner.silent = True
                yield from self._unknown(owner.waiting)
        if self._sent and now - self._moved_on > self._timeout:
            first = next(iter(self._sent))
            self._failure = self._failure or self._producer.unanswered(self._topic, first, self._timeout)
            yield from self._unknown(self._sent)
        yield from self._unknown(self._lost)

    @staticmethod
    def _unknown(wishes: dict[str, Wish]) -> Iterator[tuple[Wish, Verdict]]:
        given_up = list(wishes.values())
        wishes.clear()
        for wish in given_up:
            yield wish, Verdict.UNKNOWN
