"""Lets those outside know how a worker does: probes over HTTP, and systemd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .board import Board
from .process import Process, ready
from .systemd import Notifier

if TYPE_CHECKING:
    from .server import HealthServer


class Presence:
    """What others see of a worker, or of a supervisor and its processes."""

    def __init__(self) -> None:
        self._board = Board()
        self._notifier = Notifier.of_environment()
        self._server: HealthServer | None = None
        self._ready = False

    def open(self, address: tuple[str, int] | None, patience: float) -> None:
        """Begin to answer probes, if there is an address for that.

        Args:
            address: host and port.
            patience: seconds that an owner thread may be silent; 0 for ever.

        Raises:
            ConfigError: the address cannot be used.
        """
        if address is not None and self._server is None:
            # Only here: the standard library's server takes a while to import, and most have none.
            from .server import HealthServer

            self._server = HealthServer(address, self._board, patience)
            self._server.start()

    def tell(self, processes: Sequence[Process]) -> None:
        """So the processes are now; to be called at least every second or so."""
        self._board.tell(processes)
        self._notifier.alive()
        if not self._ready and ready(processes):
            self._ready = True
            self._notifier.ready()

    def stopping(self) -> None:
        """It is about to end."""
        self._notifier.stopping()

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.stop()
