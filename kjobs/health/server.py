"""Answers probes over HTTP: ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from ..errors import ConfigError
from .board import Board
from .process import alive, crowded, ready

#: Seconds that a client may take for its request.
_SLOWEST = 5.0
#: Seconds after which what was told of the processes no longer shows that they are ready.
_STALE = 30.0


class HealthServer:
    """Serves probes in a thread of its own.

    Args:
        address: where; host and port.
        board: what there is to tell.
        patience: seconds that an owner thread may be silent; 0 for ever.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(self, address: tuple[str, int], board: Board, patience: float) -> None:
        try:
            self._server = ThreadingHTTPServer(address, _handler(board, patience))
        except OSError as error:
            host, port = address
            raise ConfigError(
                f"health={host}:{port}: probes cannot be answered there: {error.strerror or error}. Is "
                "another worker using the port?"
            ) from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="kjobs-health", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens; of use if the address said 0."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def answer(path: str, board: Board, patience: float) -> tuple[HTTPStatus, dict[str, Any]] | None:
    """The answer to a probe; None if there is no such one."""
    silent, processes = board.read()
    match path.partition("?")[0]:
        case "/healthz":
            name, good = "alive", alive(processes, patience) and not 0 < patience < silent
        case "/readyz":
            name, good = "ready", ready(processes) and silent < _STALE
        case _:
            return None
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {
        name: good,
        "hot_keys": crowded(processes),
        "processes": [{**msgspec.structs.asdict(p), "works": p.works} for p in processes],
    }


def _handler(board: Board, patience: float) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SLOWEST
        server_version = "kjobs"
        sys_version = ""

        def do_GET(self) -> None:
            found = answer(self.path, board, patience)
            status, body = found or (HTTPStatus.NOT_FOUND, {"paths": ["/healthz", "/readyz"]})
            content = msgspec.json.encode(body) + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing: probes come every few seconds."""

    return Handler
