"""A Redis of our own: a free loopback port, nothing on disk, gone afterwards."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import PATIENCE, Bench
from benchmarks.children import Child
from tests.servers.ports import free_ports
from tools.debian import install, may_install


class RedisMissingError(Exception):
    """There is no Redis to start; the message says what to do."""


def find() -> str:
    """The server's path; installed with apt where this process may.

    Raises:
        RedisMissingError: there is none.
    """
    if shutil.which("redis-server") is None and may_install():
        install("redis-server")
    found = shutil.which("redis-server")
    if found is None:
        raise RedisMissingError(
            "the other job systems need redis-server, and there is none: install it (Debian and Ubuntu: "
            "apt-get install redis-server)"
        )
    return found


def version() -> str:
    """The server's version."""
    said = subprocess.run([find(), "--version"], capture_output=True, text=True).stdout
    match = re.search(r"v=(\S+)", said)
    return match[1] if match else "of an unknown version"


class Redis:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"redis://127.0.0.1:{port}/0"

    def clear(self) -> None:
        """Forget everything."""
        if self.ask("FLUSHALL") != "+OK":
            raise RedisMissingError("Redis did not clear its data")

    def memory(self) -> int:
        """The bytes that it has given out for data."""
        found = re.search(r"used_memory:(\d+)", self._answer("INFO memory", 65_536))
        if found is None:
            raise RedisMissingError("Redis does not tell how much memory it uses")
        return int(found[1])

    def ask(self, command: str) -> str:
        """The first line of the answer to a command; empty if there is none."""
        return self._answer(command, 256).split("\r\n")[0]

    def _answer(self, command: str, most: int) -> str:
        """The beginning of the answer to a command; empty if there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=60) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(most).decode()
        except OSError:
            return ""


def start(bench: Bench) -> tuple[Child, Redis]:
    """A server that runs until the run ends."""
    (port,) = free_ports(1)
    child = bench.start(
        [find(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    )
    redis = Redis(port)
    child.await_that(lambda: redis.ask("PING") == "+PONG", "an answer", PATIENCE)
    return child, redis


@contextmanager
def running(bench: Bench) -> Iterator[Redis]:
    """A server that runs inside the block."""
    child, redis = start(bench)
    try:
        yield redis
    finally:
        child.stop()
