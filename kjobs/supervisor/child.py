"""One worker process, as the supervisor holds it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Sequence

import msgspec

from .messages import Message, decoded

#: Bytes taken from a process's socket at a time.
_CHUNK = 1 << 16


class Child:
    """A worker process and the socket that it speaks through.

    Args:
        number: of its seat.
        command: how a worker process is begun; what tells it its seat and socket is added.
    """

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--seat", f"{number}:{theirs.fileno()}"],
                pass_fds=[theirs.fileno()],
                # In a group of its own: Ctrl-C is for the supervisor, which then stops it in order.
                process_group=0,
            )
        self.pid = self._process.pid
        #: Its end of the socket is closed.
        self.mute = False
        self._begun_line = b""

    def messages(self) -> list[Message]:
        """What it has said since the last call."""
        said: list[Message] = []
        while True:
            try:
                chunk = self.socket.recv(_CHUNK)
            except (BlockingIOError, ConnectionError):
                return said
            if not chunk:
                self.mute = True
                return said
            *lines, self._begun_line = (self._begun_line + chunk).split(b"\n")
            for line in lines:
                try:
                    said.append(decoded(line))
                except msgspec.MsgspecError:
                    continue  # a job has written into a descriptor that is not its own

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        self._process.send_signal(number)

    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """Let go of it; if it runs, it sees that, and stops."""
        self.socket.close()

    def wait(self, seconds: float) -> None:
        """Wait until it ends; kill it if it does not."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
