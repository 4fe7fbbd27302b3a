"""The cells of a worker: begun when they are needed, used again, and let go when one has crashed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import wire

#: Seconds between two looks whether a call was cancelled, or its time is up.
_LOOK = 0.1
#: Seconds that a cell has to import the jobs and begin its call.
_BEGIN = 120.0
#: Bytes of a cell's last words that are remembered.
_WORDS = 4_000
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Died:
    """A cell ended before it answered.

    Attributes:
        code: its exit code, negative for a signal.
        begun: it had begun its call.
        late: it was killed because its call, or its beginning, took too long.
        words: the end of what it had written to standard error.
    """

    code: int
    begun: bool
    late: bool
    words: str

    @property
    def how(self) -> str:
        """How it ended, for people."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        return f"was killed by {name}"


class _Process:
    """A cell, as its worker holds it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--cell", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        assert self.process.stderr is not None
        self.errors = self.process.stderr.fileno()
        os.set_blocking(self.errors, False)
        self.words: deque[int] = deque(maxlen=_WORDS)
        #: Whether it has run a call.
        self.proven = False

    def listen(self) -> bool:
        """Pass on what it writes to standard error; False if it will write no more."""
        while True:
            try:
                chunk = os.read(self.errors, _CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self.words.extend(chunk)
            with contextlib.suppress(OSError):
                os.write(2, chunk)

    def end(self) -> int:
        """Have it gone; its exit code."""
        self.process.kill()
        code = self.process.wait()
        self.listen()
        self.socket.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


class Cells:
    """Runs calls in cells, as many at a time as there are threads that ask.

    Args:
        command: how a cell is begun.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._idle: deque[_Process] = deque()
        self._lock = threading.Lock()
        self._all: set[_Process] = set()
        self._closed = False

    def run(
        self,
        order: wire.Order,
        cancelled: Callable[[], bool],
        limit: float | None,
        save: Callable[[wire.Save], wire.SaveAnswered],
    ) -> wire.Answer | Died:
        """Run a call, and wait for its end.

        Args:
            order: the call.
            cancelled: whether it should end soon.
            limit: seconds after which its cell is killed; None for never.
            save: saves a state, and waits for that.
        """
        while True:
            cell = self._take()
            ended = self._attend(cell, order, cancelled, limit, save)
            if isinstance(ended, Died) and not ended.begun and cell.proven and not self._closed:
                continue  # it ended between two calls, which says nothing of either
            return ended

    def _attend(
        self,
        cell: _Process,
        order: wire.Order,
        cancelled: Callable[[], bool],
        limit: float | None,
        save: Callable[[wire.Save], wire.SaveAnswered],
    ) -> wire.Answer | Died:
        """Give a call to a cell, and wait for its end."""
        begun = told = False
        until: float | None = time.monotonic() + _BEGIN
        try:
            wire.send(cell.socket, order)
        except OSError:
            return self._died(cell, begun=False)
        with selectors.DefaultSelector() as selector:
            selector.register(cell.socket, selectors.EVENT_READ)
            selector.register(cell.errors, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(_LOOK)}
                if cell.errors in ready and not cell.listen():
                    selector.unregister(cell.errors)
                if cell.socket in ready:
                    report = wire.receive_report(cell.socket)
                    if report is None:
                        return self._died(cell, begun=begun)
                    match report:
                        case wire.Begun():
                            begun = True
                            until = None if limit is None else time.monotonic() + limit
                        case wire.Save():
                            with contextlib.suppress(OSError):
                                wire.send(cell.socket, save(report))
                        case _:
                            self._put_back(cell)
                            return report
                if until is not None and time.monotonic() >= until:
                    return self._died(cell, begun=begun, late=True)
                if not told and cancelled():
                    told = True
                    with contextlib.suppress(OSError):
                        wire.send(cell.socket, wire.Cancel())

    def close(self) -> None:
        """End all cells; what runs in them is cut off."""
        with self._lock:
            self._closed = True
            running = self._all.difference(self._idle)
        for cell in running:
            cell.process.kill()  # whoever waits for its answer lets go of it
        while self._idle:
            self._forget(self._idle.pop())

    def _take(self) -> _Process:
        while True:
            try:
                cell = self._idle.pop()
            except IndexError:
                break
            if cell.process.poll() is None:
                return cell
            self._forget(cell)
        cell = _Process(self._command)
        with self._lock:
            if self._closed:
                cell.process.kill()
            self._all.add(cell)
        return cell

    def _put_back(self, cell: _Process) -> None:
        cell.words.clear()
        cell.proven = True
        with self._lock:
            if not self._closed:
                self._idle.append(cell)
                return
        self._forget(cell)

    def _died(self, cell: _Process, *, begun: bool, late: bool = False) -> Died:
        if not late:
            # It is gone, or about to be: how it ended is to be its own doing.
            with contextlib.suppress(subprocess.TimeoutExpired):
                cell.process.wait(1.0)
        code = self._forget(cell)
        return Died(code, begun, late, bytes(cell.words).decode("utf-8", "replace"))

    def _forget(self, cell: _Process) -> int:
        with self._lock:
            self._all.discard(cell)
        return cell.end()
