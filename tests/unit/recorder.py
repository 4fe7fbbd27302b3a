"""A transport that sends nothing and remembers everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from kjobs import App, Handle
from kjobs.job import Call


class Recorder:
    """What an app sends its calls through in these tests; each is placed as if it were acknowledged."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ways: list[str] = []
        self.closed = 0

    def send(self, call: Call) -> Handle:
        return self._taken(call, "send")

    async def asend(self, call: Call) -> Handle:
        return self._taken(call, "asend")

    def send_many(self, calls: Iterable[Call]) -> list[Handle]:
        return [self._taken(call, "send_many") for call in calls]

    @contextmanager
    def batch(self) -> Iterator[Recorder]:
        self.ways.append("batch")
        yield self

    def close(self) -> None:
        self.closed += 1

    def _taken(self, call: Call, way: str) -> Handle:
        call.handle.partition, call.handle.offset = 3, len(self.calls)
        self.calls.append(call)
        self.ways.append(way)
        return call.handle

    @property
    def last(self) -> Call:
        """The latest call."""
        return self.calls[-1]

    @property
    def envelope(self) -> dict[str, Any]:
        """The latest call as it would be on the wire."""
        found: dict[str, Any] = msgspec.json.decode(self.last.value)
        return found


def recorded() -> tuple[App, Recorder]:
    """An app of the test's own and what it sends through."""
    app, recorder = App(), Recorder()
    app.sender = recorder
    return app, recorder
