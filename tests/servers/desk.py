"""Hands one broker's address from the main test process to its workers.

With pytest-xdist every worker is a process, and each would start a broker. Instead the main process has a
desk, a unix socket, where a worker asks when one of its tests needs the broker. So it starts at the first
need or never, and it belongs to the process that outlives the workers.
"""

from __future__ import annotations

import shutil
import socket
import socketserver
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from tests.servers.failure import NoServerError

_FOUND, _MISSING = b"+", b"-"

#: Finding and starting a broker has its own, shorter limits; this one is for a main process that hangs.
_PATIENCE_SECONDS = 240.0


class Broker(Protocol):
    """Something that has a broker's address, or says why not."""

    def bootstrap(self) -> str:
        """The bootstrap servers; raises NoServerError if there is no broker."""
        ...

    def close(self) -> None:
        """Give up what was opened."""
        ...


class Desk:
    """Answers every connection with the address of a broker, one after the other."""

    def __init__(self, broker: Broker) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="kjobs-desk-"))
        self.address = str(self._directory / "socket")

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(_answer(broker))

        self._server = _Server(self.address, Answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="kafka-desk", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        shutil.rmtree(self._directory, ignore_errors=True)


class Borrowed:
    """The broker of another process, asked for at its desk."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._answer: bytes | None = None

    def bootstrap(self) -> str:
        """The bootstrap servers, as the desk says them.

        Raises:
            NoServerError: the main process has none; the message is its own.
        """
        if self._answer is None:
            self._answer = self._ask()
        said = self._answer[1:].decode()
        if not self._answer.startswith(_FOUND):
            raise NoServerError(said or "The main test process ended before it could name a broker.")
        return said

    def close(self) -> None:
        """Nothing: the broker is not ours."""

    def _ask(self) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(self._address)
            with connection.makefile("rb") as stream:
                return stream.read()


class _Server(socketserver.UnixStreamServer):
    request_queue_size = 64  # workers wait here while the first one's question starts the broker


def _answer(broker: Broker) -> bytes:
    try:
        return _FOUND + broker.bootstrap().encode()
    except NoServerError as failure:
        return _MISSING + str(failure).encode()
