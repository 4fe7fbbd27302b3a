"""Calls that go on after their time is up: in C code that hears of no exception, or because they catch it.

Nothing ends such a call but the end of its process. So the worker counts it as failed, lets all other calls
end, and makes room for a new process.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from ..core.outcome import Failed
from ..core.partition import Entry
from ..core.policy import Policy
from .timelimit import TimeLimitExceeded

#: Seconds after a job's ``timeout`` after which a call that has not ended is not waited for any more.
HARD = 5.0


class Unstoppable(TimeLimitExceeded):
    """An attempt took longer than its job's ``timeout``, and its process had to be ended."""

    def __str__(self) -> str:
        return f"the attempt took longer than the job's timeout, and {HARD:g} s later its process was ended"


class Late(msgspec.Struct, frozen=True):
    """A call that should have ended.

    Attributes:
        entry, policy: the call, and the rules of its job.
        until: when it is given up (monotonic seconds).
        thread: that runs it.
    """

    entry: Entry
    policy: Policy
    until: float
    thread: int

    @property
    def stack(self) -> str:
        """Where it is."""
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001 - documented all the same
        return "" if frame is None else "".join(traceback.format_stack(frame))


class Overtime:
    """The calls with a time limit that run now.

    Args:
        draw: a random number in [0, 1), for the jitter of backoffs.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._running: dict[Entry, Late] = {}

    @contextmanager
    def watched(self, entry: Entry, policy: Policy) -> Iterator[None]:
        """Run a block that should end within the job's ``timeout``."""
        assert policy.timeout is not None
        until = time.monotonic() + policy.timeout + HARD
        self._running[entry] = Late(entry, policy, until, threading.get_ident())
        try:
            yield
        finally:
            self._running.pop(entry, None)

    def outcome(self, late: Late) -> Failed:
        """How the attempt of one that is given up ended."""
        return Failed(Unstoppable(), late.policy, self._draw())

    def given_up(self) -> list[Late]:
        """Those that are not waited for any more; each is told once."""
        if not self._running:
            return []
        now = time.monotonic()
        # One that ends just now is not there any more when it is taken out, and counts as ended.
        late = [one for one in list(self._running.values()) if one.until <= now]
        return [one for one in late if self._running.pop(one.entry, None) is not None]
