"""An event loop in a thread, for calls of ``async def`` jobs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, NamedTuple

from ..core.outcome import Outcome
from ..core.partition import Entry


class AsyncCall(NamedTuple):
    """An entry whose job is ``async def``.

    Attributes:
        entry: the call.
        attempt: runs it and returns its outcome.
        dropped: called instead, if it is not run after all.
    """

    entry: Entry
    attempt: Callable[[], Coroutine[Any, Any, Outcome]]
    dropped: Callable[[], None] = lambda: None


class Aside:
    """The outcome of an entry that was set aside: it is run later, by whoever is told so."""


ASIDE: Final = Aside()


class Fibres:
    """Runs async calls, each in a task of its own. The thread is started with the first call.

    Args:
        most: calls at a time.
        give_back: takes an entry that was run, and whether no further call waits here.
        may_begin: tells whether an entry may still begin.
    """

    def __init__(
        self, most: int, give_back: Callable[[Entry, bool], None], may_begin: Callable[[Entry], bool]
    ) -> None:
        self._most = most
        self._give_back = give_back
        self._may_begin = may_begin
        self._inbox: deque[AsyncCall] = deque()
        self._running = 0
        # The loop itself holds only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def submit(self, call: AsyncCall) -> None:
        """Run a call as soon as there is room; from any thread."""
        self._inbox.append(call)
        if not self._woken:
            self._woken = True
            (self._loop or self._begin()).call_soon_threadsafe(self._admit)

    def recall(self) -> list[Entry]:
        """Take back what was not begun."""
        taken: list[Entry] = []
        while True:
            try:
                call = self._inbox.popleft()
            except IndexError:
                return taken
            call.dropped()
            taken.append(call.entry)

    def stop(self) -> None:
        """Stop the loop; what still runs in it is abandoned."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _begin(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._run_loop, name="kjobs-loop", daemon=True).start()
            return self._loop

    def _run_loop(self) -> None:
        assert self._loop is not None
        self._loop.run_forever()
        if not self._tasks:
            self._loop.close()

    def _admit(self) -> None:
        # Cleared first: a call that comes after the look below wakes the loop again.
        self._woken = False
        loop, inbox, tasks = self._loop, self._inbox, self._tasks
        assert loop is not None
        while self._running < self._most:
            try:
                call = inbox.popleft()
            except IndexError:
                return
            if self._may_begin(call.entry):
                self._running += 1
                # An empty context: what another call left in its own is none of this one's business.
                task = loop.create_task(self._run(call), context=Context())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                call.dropped()

    async def _run(self, call: AsyncCall) -> None:
        entry = call.entry
        entry.outcome = await call.attempt()
        self._running -= 1
        waiting = bool(self._inbox)
        self._give_back(entry, not waiting)
        if waiting:
            self._admit()
