"""Forwards TCP connections from one loopback port to another, bytes and half-closes alike."""

from __future__ import annotations

import asyncio

from .loopback import LOOPBACK, LoopbackServer

_CHUNK = 256 * 1024


class Forwarder(LoopbackServer):
    """Takes connections on ``port`` while entered and carries them to ``target``.

    A connection that breaks on one side is dropped on the other, so that neither waits for a peer that is
    gone.
    """

    def __init__(self, port: int, target: int) -> None:
        super().__init__(self._forward, port)
        self._target = target

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(reader, there_writer))
                ways.create_task(_carry(there_reader, writer))
        except* OSError:
            pass  # Both sides are dropped below.
        finally:
            there_writer.transport.abort()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then end the sink."""
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    sink.write_eof()
