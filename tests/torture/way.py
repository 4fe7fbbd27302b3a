"""One direction of a connection through the proxy, and the weather that it goes through."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

#: A connection that is closed with this is reset.
_AT_ONCE = struct.pack("ii", 1, 0)
#: Bytes that a held or slow way keeps; beyond, its source is not read any further.
_ROOM = 1 << 20


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


class Sky(Protocol):
    """What a way looks at."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that serves it."""
        ...

    @property
    def weather(self) -> Weather:
        """How it is now."""
        ...


class Way:
    """One direction of a connection."""

    def __init__(self, sky: Sky, *, answers: bool, cut: Callable[[], None]) -> None:
        self._sky = sky
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
        weather = self._sky.weather
        if not self._waiting and weather.fair and self.target is not None:
            self.target.write(data)
            return
        loop = self._sky.loop
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
        sky, weather = self._sky, self._sky.weather
        if self.target is None or (weather.hold_answers if self._answers else weather.hold_requests):
            return
        while self._waiting:
            due, data = self._waiting[0]
            now = sky.loop.time()
            due = max(due, self._free_at)
            if due > now and not weather.fair:
                self._timer = sky.loop.call_later(due - now, self.go_on)
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


class End(asyncio.Protocol):
    """One end of a connection: where bytes come from for one way, and go to for the other."""

    def __init__(self, own: Way, other: Way, opened: Callable[[asyncio.Transport], None] | None) -> None:
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


class ClientEnd(End):
    """The client's end, which the link forgets when it is gone."""

    def __init__(
        self, own: Way, other: Way, opened: Callable[[asyncio.Transport], None], gone: Callable[[], None]
    ) -> None:
        super().__init__(own, other, opened)
        self._gone = gone

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._gone()


def sever(*ways: Way) -> None:
    for way in ways:
        for end in (way.source, way.target):
            if end is None:
                continue
            raw: Any = end.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            end.abort()
