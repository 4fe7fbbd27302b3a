"""An event loop for ``async def`` jobs, where a test's own cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class PrivateLoop:
    """An event loop that is begun with the first coroutine and lives until it is closed.

    It runs in the caller's thread, and if a loop runs there already, in a thread beside it while the caller
    waits: a loop cannot run inside another one.
    """

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine to its end."""
        if self._runner is None:
            # With a factory, the runner leaves the thread's current loop as it is.
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        # Not Runner.run: it turns Ctrl-C into a cancellation, which the job's attempt would swallow.
        loop = self._runner.get_loop()
        return _beside_loops(lambda: loop.run_until_complete(attempt()))

    def close(self) -> None:
        """Cancel what jobs have left running, and end the loop."""
        if self._runner is not None:
            _beside_loops(self._runner.close)


def _beside_loops(work: Callable[[], T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1, "kjobs-testing-loop") as thread:
        return thread.submit(copy_context().run, work).result()
