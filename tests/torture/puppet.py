"""Inside a process under torture: reports to the desk, and does to its process what it is told.

Nothing of this is in kjobs: these are the test's hands in the process.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kjobs.worker import failpoint
from kjobs.worker.loop import Loop

_LONGEST = 4096


class Puppet:
    """The strings of this process.

    Args:
        desk: the desk's socket.
    """

    def __init__(self, desk: Path) -> None:
        self._desk = desk
        self._stall = 0.0
        self._orders: dict[str, Callable[..., None]] = {
            "failpoint": self._failpoint,
            "clock": self._clock,
            "stall": self._stalled,
        }

    def report(self, inc: str, crew: str, kind: str) -> None:
        """Say hello, and listen from now on."""
        path = self._desk.with_name(f"puppet-{os.getpid()}.sock")
        path.unlink(missing_ok=True)
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        own.bind(str(path))
        self._say(pid=os.getpid(), inc=inc, crew=crew, kind=kind, parent=os.getppid())
        threading.Thread(target=self._listen, args=(own,), name="puppet", daemon=True).start()

    def stopped(self, code: int) -> None:
        """Say that this process is about to end in order."""
        self._say(pid=os.getpid(), code=code)

    def pull(self) -> None:
        """Have the owner thread stall when it is told to: as a poll that does not come."""
        step = Loop.step

        def stalling(loop: Loop) -> None:
            if self._stall:
                seconds, self._stall = self._stall, 0.0
                time.sleep(seconds)
            step(loop)

        Loop.step = stalling  # type: ignore[assignment, method-assign]

    def _say(self, **words: Any) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.sendto(json.dumps(words).encode(), str(self._desk))

    def _listen(self, own: socket.socket) -> None:
        while True:
            order = json.loads(own.recv(_LONGEST))
            self._orders[order.pop("do")](**order)

    def _failpoint(self, text: str) -> None:
        failpoint.armed = failpoint._parse(text)

    def _stalled(self, seconds: float) -> None:
        self._stall = seconds

    def _clock(self, ahead: float) -> None:
        """Set the wall clock of this process."""
        wall = time.__dict__.setdefault("_wall", time.time)
        time.time = lambda: wall() + ahead
