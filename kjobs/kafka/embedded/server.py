"""The thread of the embedded broker: forwards connections from its fixed port, and takes requests."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack

from .control import ControlServer, Gone, Serve
from .forwarder import Forwarder


class EmbeddedServer:
    """A thread with an event loop, while started.

    Args:
        inner: the port of the mock cluster.
        port: the port that is to lead there, if any.
        serve: answers a request of another process.
        gone: told when a process that made requests has disconnected.
    """

    def __init__(self, inner: int, port: int | None, serve: Serve, gone: Gone) -> None:
        self._inner = inner
        self._port = port
        self._serve = serve
        self._gone = gone
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._control_port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kjobs-embedded", daemon=True)

    def start(self) -> int:
        """Listen, and return the port for requests.

        Raises:
            OSError: the port is in use, or not allowed.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self._control_port

    def stop(self) -> None:
        """Drop all connections and end the thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except OSError as error:
            self._failure = error
        finally:
            self._started.set()

    async def _listen(self) -> None:
        async with AsyncExitStack() as servers:
            control = await servers.enter_async_context(ControlServer(self._serve, self._gone))
            if self._port is not None:
                await servers.enter_async_context(Forwarder(self._port, self._inner))
            self._control_port = control.port
            self._loop = asyncio.get_running_loop()
            self._started.set()
            await self._end.wait()
