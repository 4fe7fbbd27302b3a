"""A worker process's end of the socket to its supervisor."""

from __future__ import annotations

import os
import socket

from ..config import Settings
from ..cores import cores
from ..supervisor.messages import Beat, Hello, Message, Ready, encoded


class Link:
    """Tells the supervisor how this process does, and sees when it is gone.

    Args:
        seat: the number of this process among those of its supervisor.
        descriptor: of the socket.
    """

    def __init__(self, seat: int, descriptor: int) -> None:
        self.seat = seat
        #: The supervisor is no more.
        self.lost = False
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    def hello(self, settings: Settings) -> None:
        """The jobs are imported, and signals are heard."""
        self._say(
            Hello(
                processes=settings.processes or cores(),
                grace=settings.grace,
                watchdog=settings.watchdog,
                recycle_calls=settings.recycle_calls,
                recycle_age=settings.recycle_age,
                recycle_size=settings.recycle_size,
                health=settings.health,
            )
        )

    def ready(self, partitions: int) -> None:
        """This process has its partitions."""
        self._say(Ready(partitions))

    def beat(self, beat: Beat) -> None:
        """Give a sign of life, and look for the supervisor's."""
        self._say(beat)
        try:
            self.lost = self.lost or not self._socket.recv(1)
        except BlockingIOError:
            pass
        except OSError:
            self.lost = True

    def _say(self, message: Message) -> None:
        try:
            self._socket.sendall(encoded(message))
        except BlockingIOError:
            pass  # a supervisor that is frozen and has not read for long; it gets the next one
        except OSError:
            self.lost = True
