"""Tells systemd how a service of ``Type=notify`` does.

See sd_notify(3): datagrams of ``NAME=value`` to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Tells the service manager, if there is one.

    Args:
        address: of its socket; an abstract one begins with "@".
        watchdog: seconds within which it wants a sign of life; 0 for never.
    """

    def __init__(self, address: str, watchdog: float) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        # Three signs in the time, lest one that is a little late be the end.
        self._rhythm = watchdog / 3
        self._told_at = float("-inf")

    @classmethod
    def of_environment(cls) -> Notifier:
        """The one that this process was begun with; its children do not have it."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        wanted = os.environ.pop("WATCHDOG_USEC", "0")
        mine = os.environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        return cls(address, int(wanted) / 1_000_000 if wanted.isdigit() and mine else 0.0)

    def ready(self) -> None:
        """The service is up."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """A line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Give a sign of life, when it is time; to be called often."""
        now = time.monotonic()
        if self._rhythm and now - self._told_at >= self._rhythm:
            self._told_at = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
                to.setblocking(False)
                to.connect(self._address)
                to.sendall(text.encode())
        except OSError:
            pass  # whoever began this process is no longer interested, or busy
