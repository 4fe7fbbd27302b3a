"""What signals mean to a worker process."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_STDERR = 2


class Signs:
    """Catches signals, and notes what they ask for.

    SIGTERM, SIGINT: stop in order, a second time at once. SIGTSTP: begin nothing. SIGUSR1, SIGQUIT: every
    thread's stack goes to standard error, also if a job holds the interpreter's lock.

    Args:
        stop: what is to be done at the first request to stop; called in the signal's handler.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        #: Begin nothing, but keep what there is.
        self.quiet = False
        #: Tell what runs. Whoever does sets it back.
        self.dump = False
        self._stop = stop
        self._stops = 0
        self._previous: dict[signal.Signals, Any] = {}

    def catch(self) -> None:
        """Begin to listen; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGTSTP: self._on_quiet,
            signal.SIGUSR1: self._on_dump,
            signal.SIGQUIT: self._on_dump,
        }
        self._previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        for number in (signal.SIGUSR1, signal.SIGQUIT):
            faulthandler.register(number, _STDERR, all_threads=True, chain=True)

    def let_go(self) -> None:
        """Listen no more."""
        for number in (signal.SIGUSR1, signal.SIGQUIT):
            if number in self._previous:
                faulthandler.unregister(number)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._stops:
            os.write(_STDERR, b"kjobs: second signal, ending now; running calls will run again elsewhere\n")
            os._exit(2)
        self._stops += 1
        self._stop()

    def _on_quiet(self, number: int, frame: FrameType | None) -> None:
        self.quiet = True

    def _on_dump(self, number: int, frame: FrameType | None) -> None:
        self.dump = True
