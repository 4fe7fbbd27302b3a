"""A TCP proxy between clients and brokers, with weather of its own for each link of a party to a broker.

Connections are passed on byte by byte. A link can hold what goes one way or both, without closing anything,
as a cable does that is cut; break connections with a reset; refuse new ones; delay; and be slow.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from tests.torture.way import FAIR, ClientEnd, End, Way, Weather, sever

_PATIENCE = 10.0


class Link:
    """The way of one party to one broker.

    Attributes:
        port: where the party connects to.
        weather: how it is; set it with :meth:`turn`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, target: int) -> None:
        self.loop = loop
        self.port = port
        self.weather = FAIR
        self._target = target
        self._connections: set[tuple[Way, Way]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def listen(self) -> asyncio.Server:
        """Begin to take connections."""
        return await self.loop.create_server(
            self._accept, "127.0.0.1", self.port, reuse_address=True, backlog=256
        )

    def turn(self, weather: Weather) -> None:
        """Change the weather, from any thread."""
        self.loop.call_soon_threadsafe(self._turn, weather)

    def reset(self) -> None:
        """Break all connections with a reset, from any thread."""
        self.loop.call_soon_threadsafe(self._reset)

    def _turn(self, weather: Weather) -> None:
        self.weather = weather
        for connection in list(self._connections):
            for way in connection:
                way.go_on()

    def _reset(self) -> None:
        for connection in list(self._connections):
            sever(*connection)

    def _accept(self) -> End:
        requests, answers = self._pair()

        def opened(client: asyncio.Transport) -> None:
            if self.weather.refuse:
                sever(requests, answers)
                return
            self._connections.add((requests, answers))
            task = self.loop.create_task(self._connect(requests, answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return ClientEnd(requests, answers, opened, lambda: self._connections.discard((requests, answers)))

    def _pair(self) -> tuple[Way, Way]:
        def cut() -> None:
            sever(requests, answers)

        requests = Way(self, answers=False, cut=cut)
        answers = Way(self, answers=True, cut=cut)
        return requests, answers

    async def _connect(self, requests: Way, answers: Way) -> None:
        try:
            await self.loop.create_connection(lambda: End(answers, requests, None), "127.0.0.1", self._target)
        except OSError:
            sever(requests, answers)


class Proxy:
    """All links, served by one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []
        self.links: dict[tuple[str, int], Link] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, party: str, node: int, port: int, target: int) -> Link:
        """Open the link of a party to a node: who connects to ``port`` comes to ``target``."""
        link = self.links[party, node] = Link(self._loop, port, target)
        self._servers.append(
            asyncio.run_coroutine_threadsafe(link.listen(), self._loop).result(_PATIENCE),
        )
        return link

    def of(self, party: str) -> list[Link]:
        """The links of a party."""
        return [link for (name, _), link in self.links.items() if name == party]

    def heal(self) -> None:
        """Fair weather everywhere."""
        for link in self.links.values():
            link.turn(FAIR)

    def close(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for link in self.links.values():
            link._reset()
        await asyncio.sleep(0)
