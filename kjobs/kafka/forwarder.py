"""Forwards TCP connections from one loopback port to another, bytes and half-closes alike."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"

_CHUNK = 256 * 1024


class Forwarder:
    """Accepts connections on ``port`` while entered and carries them to ``target``.

    A connection that ends with an error on one side is aborted on the other, so that neither waits for
    a peer that is gone.
    """

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is in use, or not allowed.
        """
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, there_writer))
                both.create_task(_carry(there_reader, writer))
        except* OSError:
            pass  # One side broke off; aborting the other tells it so.
        finally:
            for side in (writer, there_writer):
                side.transport.abort()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then end the sink."""
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    sink.write_eof()
