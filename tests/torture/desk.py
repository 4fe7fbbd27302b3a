"""Where processes of kjobs report, so that their ends can be written down, and where they are told things.

Each says hello when it begins, over a socket; from then on its end is awaited. Each listens at a socket of
its own, too: see :mod:`tests.torture.puppet`.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from tests.proof import history as h

Kind = Literal["worker", "cell", "caller"]

_LOOK = 0.5
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Life:
    """A process, from its hello on.

    Attributes:
        inc: its name in the history; a cell has that of its worker.
        crew: whom it belongs to.
        parent: the process that began it.
    """

    pid: int
    inc: str
    crew: str
    kind: Kind
    parent: int


class Desk:
    """Knows every process that runs.

    Args:
        path: of the socket.
        recorder: takes the ends of processes.
    """

    def __init__(self, path: Path, recorder: h.Recorder) -> None:
        self._path = path
        self._recorder = recorder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._lives: dict[int, Life] = {}
        self._codes: dict[int, int] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        #: Processes that have ended so far, by how.
        self.killed = 0
        self.exited = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._selector.close()
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def lives(self, kind: Kind = "worker", crew: str | None = None) -> list[Life]:
        """Who runs, in the order of their beginnings."""
        with self._lock:
            return [
                life
                for life in self._lives.values()
                if life.kind == kind and (crew is None or life.crew == crew)
            ]

    def tell(self, life: Life, **order: Any) -> bool:
        """Tell a process to do something; whether it could be told."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.sendto(json.dumps(order).encode(), str(self._path.with_name(f"puppet-{life.pid}.sock")))
            return True
        return False

    def _run(self) -> None:
        while not self._closing.is_set():
            ready = [key.data for key, _ in self._selector.select(_LOOK)]
            self._listen()  # first: the last words of one who has ended are there
            for life in ready:
                if life is not None:
                    self._ended(life)

    def _listen(self) -> None:
        while True:
            try:
                said = json.loads(self._socket.recv(_LONGEST))
            except BlockingIOError:
                return
            if not said:
                continue  # somebody looks whether we are here
            if "code" in said:
                self._codes[said["pid"]] = said["code"]
                continue
            life = Life(**said)
            try:
                descriptor = os.pidfd_open(life.pid)
            except ProcessLookupError:
                self._tell_end(life)
                continue
            with self._lock:
                self._lives[life.pid] = life
            self._selector.register(descriptor, selectors.EVENT_READ, life)

    def _ended(self, life: Life) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is life:
                self._selector.unregister(key.fileobj)
                os.close(key.fd)
        with self._lock:
            self._lives.pop(life.pid, None)
        self._tell_end(life)

    def _tell_end(self, life: Life) -> None:
        code = self._codes.pop(life.pid, None)
        self._path.with_name(f"puppet-{life.pid}.sock").unlink(missing_ok=True)
        if life.kind != "worker":
            return
        now = time.monotonic()
        if code is None:
            self.killed += 1
            self._recorder.record(h.Killed(now, life.inc))
        else:
            self.exited += 1
            self._recorder.record(h.Exited(now, life.inc, code=code))
