"""Invokes calls of an app's jobs as a worker does, at a time that a test sets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from kjobs import App
from kjobs.core.deferred import Rank, Row
from kjobs.core.outcome import Outcome
from kjobs.core.partition import Entry, Partition
from kjobs.core.ports import Headers
from kjobs.core.transfer import StoredRecord
from kjobs.worker.fibres import Aside, AsyncCall
from kjobs.worker.invoke import Invoker
from tests.core.record import FakeRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kjobs.middleware import Middleware

#: The present of these tests (epoch seconds).
NOW = 1_700_000_000.0
DRAW = 0.25


def entry_of(
    value: bytes | None,
    *,
    key: bytes | None = None,
    offset: int = 17,
    failures: int = 0,
    headers: Headers = (),
) -> Entry:
    """An entry whose record has this value."""
    where = Partition(("kjobs.mail", 3), 0, None, "")
    where.open = True
    record = FakeRecord(offset, value, key, written_ms=int(NOW * 1000), noted=headers)
    return Entry(where, offset, key, record, len(record), failures)


def stored_entry(value: bytes, *, rank: Rank | None = None, failures: int = 0, **more: Any) -> Entry:
    """An entry that came from the deferred store."""
    where = Partition(("kjobs.mail", 3), 0, None, "")
    where.open = True
    row = Row(id="call-1", value=value, due_ms=int(NOW * 1000), offset=900, rank=rank, **more)
    record = StoredRecord(row)
    return Entry(where, record.offset(), row.key, record, len(record), failures, row=row, rank=rank)


def call_of(job: str, *args: Any, **fields: Any) -> bytes:
    """The value of a call."""
    return msgspec.json.encode({"id": "call-1", "job": job, "args": list(args), **fields})


class Bench:
    """An app whose jobs are invoked here."""

    def __init__(self, middleware: Sequence[Middleware] = ()) -> None:
        self.app = App()
        self.middleware = middleware
        self.now = NOW
        self._invoker: Invoker | None = None

    @property
    def invoker(self) -> Invoker:
        """Made when it is first needed: jobs are declared before a worker starts."""
        if self._invoker is None:
            self._invoker = Invoker(
                self.app.jobs,
                self.middleware,
                queues={"kjobs.mail": "mail"},
                now=lambda: self.now,
                draw=lambda: DRAW,
            )
        return self._invoker

    def take(self, entry: Entry) -> Outcome:
        """Make one attempt, also if it is async."""
        found = self.invoker.run(entry)
        assert not isinstance(found, Aside)
        return asyncio.run(found.attempt()) if isinstance(found, AsyncCall) else found

    def run(self, job: str, *args: Any, **fields: Any) -> Outcome:
        """Make one attempt at a new call."""
        return self.take(entry_of(call_of(job, *args, **fields)))

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Enforce time limits meanwhile, as the owner thread does."""
        end = threading.Event()

        def enforce() -> None:
            while not end.wait(0.001):
                self.invoker.limits.enforce()

        thread = threading.Thread(target=enforce)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
