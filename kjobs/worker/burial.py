"""Writes dead letters: the record as it was, with headers that say what happened to it.

The headers are described in ``docs/wire-format.md``.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping

from ..context import state_of
from ..core.envelope import Envelope, Malformed, decode
from ..core.events import Buried, NotBuried
from ..core.outcome import Bury
from ..core.partition import Entry
from ..core.ports import Headers
from ..errors import CallTooLarge, EnqueueError
from ..kafka.message import headers_of
from ..kafka.producer import Delivery, Producer

#: Characters of an error's message and of its traceback that are kept.
_MESSAGE = 1024
_TRACEBACK = 8192

#: Characters of an id and of a job's name that are kept.
_NAME = 1024

#: Headers that a replayed call keeps, so that it can be traced to its earlier deaths.
_KEPT = ("kj-replay-of", "kj-replays")


class Burial:
    """Sends calls to the dead letter topics of their queues, into the partition of the same number.

    Args:
        producer: sends them.
        dead_topics: the dead letter topic by queue topic.
        group: the consumer group, for the record.
        worker: this worker's name, for the record.
        version: kjobs' version, for the record.
        told: called, from the producer's thread, when something can be collected.
    """

    def __init__(
        self,
        producer: Producer,
        dead_topics: Mapping[str, str],
        *,
        group: str,
        worker: str,
        version: str,
        told: Callable[[], None],
    ) -> None:
        self._producer = producer
        self._dead_topics = dead_topics
        self._group = group
        self._worker = worker
        self._version = version
        self._told = told
        self._answers: deque[tuple[Entry, Bury, EnqueueError | None]] = deque()

    def bury(self, entry: Entry, *, brief: bool = False) -> None:
        """Send an entry; what became of it is told by :meth:`collect`.

        Args:
            entry: with its ``burial``.
            brief: without traceback and state, because with them the record was too large.
        """
        burial = entry.burial
        assert burial is not None
        record = entry.record
        topic, number = entry.partition.place

        def done(delivery: Delivery) -> None:
            if isinstance(delivery.error, CallTooLarge) and not brief:
                self.bury(entry, brief=True)
                return
            self._answers.append((entry, burial, delivery.error))
            self._told()

        delivery = Delivery(self._dead_topics[topic], "", done)
        try:
            self._producer.put(
                delivery, record.value(), entry.key, self._headers(entry, burial, brief), partition=number
            )
        except (BufferError, EnqueueError) as error:
            delivery.error = error if isinstance(error, EnqueueError) else EnqueueError(str(error))
            done(delivery)

    def collect(self) -> list[tuple[Buried | NotBuried, Bury, EnqueueError | None]]:
        """What became of the entries sent: an event, why it was buried, and why that failed."""
        found: list[tuple[Buried | NotBuried, Bury, EnqueueError | None]] = []
        while self._answers:
            entry, burial, error = self._answers.popleft()
            found.append((Buried(entry) if error is None else NotBuried(entry), burial, error))
        return found

    def _headers(self, entry: Entry, burial: Bury, brief: bool) -> Headers:
        record, error = entry.record, burial.error
        topic, number = entry.partition.place
        own: dict[str, str] = {
            **_identity(record.value(), f"{topic}-{number}-{entry.offset}"),
            "kj-reason": str(burial.reason),
            "kj-error": f"{type(error).__module__}.{type(error).__qualname__}",
            "kj-message": _text(error)[:_MESSAGE],
            "kj-attempts": str(burial.attempts),
            # A call that was delayed never was in the queue's topic.
            "kj-topic": topic if entry.row is None or entry.row.source is not None else f"{topic}.delayed",
            "kj-partition": str(number),
            "kj-offset": str(entry.offset),
            "kj-timestamp": str(record.timestamp()[1]),
            "kj-failed-at": str(int(time.time() * 1000)),
            "kj-group": self._group,
            "kj-worker": self._worker,
            "kj-version": self._version,
        }
        if not brief and error.__traceback__ is not None:
            own["kj-traceback"] = _shortened("".join(_lines(error)), _TRACEBACK)
        original = [
            (name, value) for name, value in headers_of(record) if not name.startswith("kj-") or name in _KEPT
        ]
        told = [(name, value.encode("utf-8", "replace")) for name, value in own.items()]
        state = None if brief else state_of(entry)
        return [*original, *told, *([] if state is None else [("kj-state", state)])]


def _identity(value: bytes | None, fallback: str) -> dict[str, str]:
    """The id and job of a call, as far as the value can be read."""
    try:
        envelope: Envelope | None = decode(value)
    except Malformed:
        envelope = None
    # Whoever wrote the record may have made them as long as a record can be; they are whole in the value.
    found = {"kj-id": (envelope.id[:_NAME] if envelope else "") or fallback}
    if envelope is not None:
        found["kj-job"] = envelope.job[:_NAME]
    return found


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as trouble:
        return f"<the error's own __str__ raised {type(trouble).__name__}>"


def _lines(error: BaseException) -> list[str]:
    try:
        return traceback.format_exception(error)
    except Exception as trouble:
        return [f"<the traceback could not be written: {type(trouble).__name__}>"]


def _shortened(text: str, most: int) -> str:
    """The text, or its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2 - 3
    return f"{text[:half]}\n…\n{text[-half:]}"
