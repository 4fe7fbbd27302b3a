"""A TCP proxy between clients and brokers, with weather of its own for each link of a party to a broker.

Connections are passed on byte by byte. A link can hold what goes one way or both, without closing anything,
as a cable does that is cut; break connections with a reset; refuse new ones; delay; and be slow.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, cast

#: A connection that is closed with this is reset.
_AT_ONCE = struct.pack("ii", 1, 0)
#: Bytes that a held or slow way keeps; beyond, its source is not read any further.
_ROOM = 1 << 20
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How a link passes bytes on.

    Attributes:
        hold_requests: what clients send is held.
        hold_answers: what brokers send is held.
        refuse: new connections are broken at once.
        delay: seconds that everything takes longer, each way.
        rate: bytes per second, each way; 0 for no limit.
        cut_after: bytes after which a connection is reset; 0 for never.
    """

    hold_requests: bool = False
    hold_answers: bool = False
    refuse: bool = False
    delay: float = 0.0
    rate: float = 0.0
    cut_after: int = 0

    @property
    def fair(self) -> bool:
        """Whether bytes pass as they come."""
        return self == FAIR


FAIR = Weather()


class _Way:
    """One direction of a connection."""

    def __init__(self, link: Link, *, answers: bool, cut: Callable[[], None]) -> None:
        self._link = link
        self._answers = answers
        self._cut = cut
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._passed = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self.source: asyncio.Transport | None = None
        self.target: asyncio.Transport | None = None

    def carry(self, data: bytes) -> None:
        """Pass bytes on, now or later."""
        weather = self._link.weather
        if not self._waiting and weather.fair and self.target is not None:
            self.target.write(data)
            return
        loop = self._link.loop
        self._waiting.append((loop.time() + weather.delay, data))
        self._size += len(data)
        if self._size > _ROOM and self.source is not None:
            self.source.pause_reading()
        self.go_on()

    def end(self) -> None:
        """The source will send no more."""
        self._ended = True
        self.go_on()

    def go_on(self) -> None:
        """Pass on what may be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link, weather = self._link, self._link.weather
        if self.target is None or (weather.hold_answers if self._answers else weather.hold_requests):
            return
        while self._waiting:
            due, data = self._waiting[0]
            now = link.loop.time()
            due = max(due, self._free_at)
            if due > now and not weather.fair:
                self._timer = link.loop.call_later(due - now, self.go_on)
                return
            self._waiting.popleft()
            self._size -= len(data)
            if weather.rate:
                self._free_at = now + len(data) / weather.rate
            self.target.write(data)
            self._passed += len(data)
            if weather.cut_after and self._passed >= weather.cut_after:
                self._passed = 0
                self._cut()
                return
        if self.source is not None and not self.source.is_closing():
            self.source.resume_reading()
        if self._ended:
            self.target.close()


class _End(asyncio.Protocol):
    """One end of a connection: where bytes come from for one way, and go to for the other."""

    def __init__(self, own: _Way, other: _Way, opened: Callable[[asyncio.Transport], None] | None) -> None:
        self._own = own
        self._other = other
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        link_end = cast("asyncio.Transport", transport)
        self._own.source = self._other.target = link_end
        if self._opened is not None:
            self._opened(link_end)
        self._other.go_on()

    def data_received(self, data: bytes) -> None:
        self._own.carry(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._other.target = None
        self._own.end()

    def pause_writing(self) -> None:
        source = self._other.source
        if source is not None and not source.is_closing():
            source.pause_reading()

    def resume_writing(self) -> None:
        source = self._other.source
        if source is not None and not source.is_closing():
            source.resume_reading()


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
        self._connections: set[tuple[_Way, _Way]] = set()
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
            _break(*connection)

    def _accept(self) -> _End:
        requests, answers = self._pair()

        def opened(client: asyncio.Transport) -> None:
            if self.weather.refuse:
                _break(requests, answers)
                return
            self._connections.add((requests, answers))
            task = self.loop.create_task(self._connect(requests, answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return _Client(requests, answers, opened, lambda: self._connections.discard((requests, answers)))

    def _pair(self) -> tuple[_Way, _Way]:
        def cut() -> None:
            _break(requests, answers)

        requests = _Way(self, answers=False, cut=cut)
        answers = _Way(self, answers=True, cut=cut)
        return requests, answers

    async def _connect(self, requests: _Way, answers: _Way) -> None:
        try:
            await self.loop.create_connection(
                lambda: _End(answers, requests, None), "127.0.0.1", self._target
            )
        except OSError:
            _break(requests, answers)


class _Client(_End):
    """The client's end, which the link forgets when it is gone."""

    def __init__(
        self, own: _Way, other: _Way, opened: Callable[[asyncio.Transport], None], gone: Callable[[], None]
    ) -> None:
        super().__init__(own, other, opened)
        self._gone = gone

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._gone()


def _break(*ways: _Way) -> None:
    for way in ways:
        for end in (way.source, way.target):
            if end is None:
                continue
            raw: Any = end.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            end.abort()


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
