"""Loopback ports that nothing listens on."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST, _HIGHEST = 12_000, 32_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Ports free at this moment, below the range the system gives to outgoing connections.

    Inside that range a client that reconnects to a broker that is down can be given the broker's own port as
    its source, connect to itself, and keep the broker from coming back.
    """
    first_ephemeral = int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else _HIGHEST
    highest = min(first_ephemeral, _HIGHEST) if first_ephemeral > _LOWEST + 1_000 else _HIGHEST
    free: list[int] = []
    while len(free) < count:
        port = random.randrange(_LOWEST, highest)
        if port not in free and _is_free(port):
            free.append(port)
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the broker does it: a port in TIME_WAIT after a stop is free for a new listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
