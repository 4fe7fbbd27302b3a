"""A server for this machine only, in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"

#: What is done with a connection; it is dropped when this returns.
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


class LoopbackServer:
    """Takes connections while entered, and drops those that are left at the end.

    Args:
        handle: serves one connection. When that is dropped it reads an end or gets an OSError, and is to
            return, or raise the OSError.
        port: where to listen; 0 lets the system choose.
        longest: the bytes of the longest line that may be read.
    """

    def __init__(self, handle: Handle, port: int = 0, longest: int = 64 * 1024) -> None:
        self._handle = handle
        self._longest = longest
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self.port = port

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is in use, or not allowed.
        """
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, limit=self._longest)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        # Not cancelled: asyncio reports a cancelled connection as an unhandled error.
        for writer, ended in list(self._connections.items()):
            writer.transport.abort()
            await ended.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = self._connections[writer] = asyncio.Event()
        try:
            await self._handle(reader, writer)
        except OSError:
            pass  # The peer broke off, or was dropped.
        finally:
            writer.transport.abort()
            del self._connections[writer]
            ended.set()
