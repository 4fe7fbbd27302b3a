"""The nemesis' own hand: it enqueues calls, and writes records that are no calls, past the proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from confluent_kafka import Producer

from kjobs import App, BatchError, EnqueueError, OutcomeUnknown
from tests.kafka.broker import Broker, Found
from tests.kafka.dump import call_of
from tests.proof import history as h
from tests.torture.jobs import declare
from tests.torture.ledger import Ledger

_NAME = "nemesis"


#: Where to write what, under which key, with which headers.
_Record = tuple[h.Place, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


class Hand:
    """Enqueues, and writes down what was.

    Args:
        app: at the brokers' own doors.
        broker: the same.
        recorder: takes what was enqueued.
    """

    def __init__(self, app: App, broker: Broker, recorder: h.Recorder) -> None:
        self._app = app
        self._broker = broker
        self._jobs = declare(app)._asdict()
        self._ledger = Ledger(_NAME, app.names, recorder)
        self._ids = count(1)
        self._producer: Producer | None = None
        self._lock = threading.Lock()  # what one key gets is numbered as it is sent

    def fresh(self) -> str:
        """A name that nothing else has: of a call, or a key."""
        return f"{_NAME}.{next(self._ids)}"

    def enqueue(
        self, queue: str, script: str, *, job: str = "act", key: str | None = None, length: float = 0.0
    ) -> None:
        """Enqueue a call."""
        with self._lock:
            number = self._ledger.number()
            try:
                handle = self._jobs[job].options(queue=queue, key=key, id=self.fresh()).delay(script, length)
            except EnqueueError as error:
                self._ledger.failed(error)
            else:
                self._ledger.acknowledged([handle], [number])

    def enqueue_many(self, queue: str, scripts: Sequence[str], *, key: str | None = None) -> None:
        """Enqueue calls of one key at once."""
        job = self._jobs["act"].options(queue=queue, key=key)
        with self._lock:
            numbers = [self._ledger.number() for _ in scripts]
            try:
                handles = job.delay_many([(script,) for script in scripts])
            except BatchError as error:
                self._ledger.partly(error, numbers)
            else:
                self._ledger.acknowledged(handles, numbers)

    def write(
        self,
        place: h.Place,
        value: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Write a record, whatever it is; if it is a call, it was enqueued by that."""
        self._write_all([(place, value, key, headers)])

    def write_call(self, place: h.Place, job: str, args: Sequence[Any], **fields: Any) -> None:
        """Write a call as any program might."""
        self._write_all([(place, self._call(job, args, fields), None, ())])

    def write_calls(self, place: h.Place, job: str, all_args: Sequence[Sequence[Any]]) -> None:
        """Write many calls into one partition."""
        self._write_all([(place, self._call(job, args, {}), None, ()) for args in all_args])

    def _call(self, job: str, args: Sequence[Any], fields: Mapping[str, Any]) -> bytes:
        return json.dumps({"job": job, "id": self.fresh(), "args": args, **fields}).encode()

    def _write_all(self, records: Sequence[_Record]) -> None:
        """Write records, and tell of each call among them that the brokers have it, or that nobody knows."""
        with self._lock:
            if self._producer is None:
                options = {"bootstrap.servers": self._broker.bootstrap, "enable.idempotence": True}
                self._producer = Producer({**options, "message.timeout.ms": 10_000})
            for place, value, key, headers in records:
                self._producer.produce(
                    place[0],
                    value,
                    key,
                    place[1],
                    on_delivery=partial(self._written, place, value, key),
                    headers=list(headers),
                )
                self._producer.poll(0)
            self._producer.flush()

    def _written(
        self, place: h.Place, value: bytes | None, key: bytes | None, error: object, message: Any
    ) -> None:
        offset = message.offset()
        if error is None:
            call = call_of(Found(place, offset, key, value, (), 0))
            if call is not None:
                self._ledger.written(place, offset, call, key)
            return
        call = call_of(Found(place, -1, key, value, (), 0))
        if call is not None:
            self._ledger.failed(OutcomeUnknown("not acknowledged", call_id=call))
