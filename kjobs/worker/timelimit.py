"""Time limits of calls that run in threads.

An exception is raised inside the thread that runs the call, at its next Python instruction. A call that
sits in a system call or in C code gets it when that returns.
"""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import AbstractContextManager

_set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_exception.argtypes = [ctypes.c_ulong, ctypes.py_object]
_NOTHING = ctypes.py_object()


class TimeLimitExceeded(Exception):
    """An attempt took longer than its job's ``timeout``."""

    def __str__(self) -> str:
        return "the attempt took longer than the job's timeout"


class _Limit(AbstractContextManager[None]):
    """One limited block.

    No generator: one that the exception hits before its block begins would end its limit when it is freed,
    and by then that would be the limit of the next call.
    """

    def __init__(self, limits: TimeLimits, length: float) -> None:
        self._limits = limits
        self._length = length
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        self._limits.begin(self._thread, self._length)

    def __exit__(self, *_: object) -> None:
        self._limits.end(self._thread)


class TimeLimits:
    """The limited calls that run now, by thread."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._lock = threading.Lock()

    def limited(self, length: float) -> AbstractContextManager[None]:
        """Run a block in this thread for at most ``length`` seconds.

        Raises:
            TimeLimitExceeded: anywhere in the block or at its end, once its time is up.
        """
        return _Limit(self, length)

    def begin(self, thread: int, length: float) -> None:
        """Limit what a thread does from now on."""
        with self._lock:
            self._until[thread] = time.monotonic() + length

    def end(self, thread: int) -> None:
        """Limit it no longer."""
        with self._lock:
            if self._until.pop(thread, None) is None:
                # It was raised, and may be on its way still: it must not hit the next call.
                _set_exception(thread, _NOTHING)

    def enforce(self) -> None:
        """Raise in the threads whose time is up. To be called every few milliseconds."""
        if not self._until:
            return
        now = time.monotonic()
        with self._lock:
            for thread, until in list(self._until.items()):
                if now >= until:
                    del self._until[thread]
                    _set_exception(thread, TimeLimitExceeded)
