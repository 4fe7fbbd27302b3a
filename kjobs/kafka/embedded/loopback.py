"""A server for this machine only, in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"

#: What is done with a connection; it is dropped when this returns or raises an OSError.
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]

#: Seconds to wait when the system has no file descriptor for another connection.
_PAUSE = 0.1


class LoopbackServer:
    """Takes connections while entered, and drops those that are left at the end.

    asyncio's own server cannot drop its connections before Python 3.13, and forgets those that it has
    accepted and not announced yet.

    Args:
        handle: serves one connection; is cancelled at the end.
        port: where to listen; 0 lets the system choose.
        longest: the bytes of the longest line that may be read.
    """

    def __init__(self, handle: Handle, port: int = 0, longest: int = 64 * 1024) -> None:
        self._handle = handle
        self._longest = longest
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._listener = socket.socket()
        self.port = port

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is in use, or not allowed.
        """
        try:
            # So that connections of an earlier server, which linger for a minute, do not keep its port.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((LOOPBACK, self.port))
            self._listener.listen(128)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and drop every connection."""
        self._ended = True
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self) -> None:
        if not self._ended:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # The client has thought better of it.
        except OSError:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener)
            loop.call_later(_PAUSE, self._watch)
            return
        task = asyncio.create_task(self._connected(connection))
        self._tasks.add(task)
        # A task that is cancelled before its first step closes nothing itself.
        task.add_done_callback(partial(self._disconnected, connection))

    def _disconnected(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        connection.close()

    async def _connected(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader, writer = await asyncio.open_connection(sock=connection, limit=self._longest)
            try:
                await self._handle(reader, writer)
            finally:
                writer.transport.abort()
