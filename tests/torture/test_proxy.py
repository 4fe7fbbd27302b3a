"""The proxy passes on what it is given, but for the weather."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.servers.ports import free_ports
from tests.torture.proxy import Link, Proxy
from tests.torture.way import FAIR, Weather

#: Seconds in which nothing is to come.
_QUIET = 0.3
_PATIENCE = 20.0


class Echo:
    """A server that sends back what it gets, and knows what it got."""

    def __init__(self, port: int) -> None:
        self.got = b""
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65_536):
                self.got += data
                connection.sendall(data)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def ports() -> list[int]:
    return free_ports(2)


@pytest.fixture
def echo(ports: list[int]) -> Iterator[Echo]:
    server = Echo(ports[1])
    yield server
    server.close()


@pytest.fixture
def link(ports: list[int], echo: Echo) -> Iterator[Link]:
    with Proxy() as proxy:
        yield proxy.open("someone", 1, ports[0], ports[1])


@pytest.fixture
def client(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), _PATIENCE) as connection:
        yield connection


def answer(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    found = b""
    while len(found) < len(request):
        found += client.recv(65_536)
    return found


def quiet(client: socket.socket) -> bool:
    """Whether nothing comes."""
    client.settimeout(_QUIET)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(_PATIENCE)
    return False


def test_what_is_sent_comes_and_comes_back(client: socket.socket) -> None:
    sent = bytes(range(256)) * 10_000
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(_all(client, len(sent))))
    reader.start()
    client.sendall(sent)
    reader.join(_PATIENCE)
    assert received == [sent]


def _all(client: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        found += client.recv(1 << 20)
    return bytes(found)


def test_held_requests_do_not_come_and_come_when_it_is_over(
    link: Link, client: socket.socket, echo: Echo
) -> None:
    assert answer(client, b"one") == b"one"
    link.turn(Weather(hold_requests=True))
    client.sendall(b"two")
    assert quiet(client)
    assert echo.got == b"one"
    link.turn(FAIR)
    assert _all(client, 3) == b"two"


def test_held_answers_are_held_though_the_request_came(link: Link, client: socket.socket, echo: Echo) -> None:
    assert answer(client, b"one") == b"one"
    link.turn(Weather(hold_answers=True))
    client.sendall(b"two")
    assert quiet(client)
    assert echo.got == b"onetwo"
    link.turn(FAIR)
    assert _all(client, 3) == b"two"


def test_a_reset_breaks_the_connection_and_not_the_next_one(link: Link, client: socket.socket) -> None:
    assert answer(client, b"one") == b"one"
    link.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection(("127.0.0.1", link.port), _PATIENCE) as second:
        assert answer(second, b"two") == b"two"


def test_new_connections_are_refused(link: Link, client: socket.socket) -> None:
    assert answer(client, b"one") == b"one"
    link.turn(Weather(refuse=True))
    with pytest.raises(ConnectionError):
        _hear(link.port)
    assert answer(client, b"three") == b"three"


def test_everything_takes_longer_in_both_directions(link: Link, client: socket.socket) -> None:
    link.turn(Weather(delay=0.1))
    answer(client, b"one")  # the weather has turned by then
    began = time.monotonic()
    assert answer(client, b"two") == b"two"
    assert time.monotonic() - began >= 0.2


def test_a_connection_is_cut_after_so_many_bytes(link: Link, client: socket.socket) -> None:
    link.turn(Weather(cut_after=1000))
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            client.sendall(b"x" * 100)
            if not client.recv(100):
                raise ConnectionResetError


def test_who_is_not_there_breaks_the_connection(ports: list[int]) -> None:
    with Proxy() as proxy:
        link = proxy.open("someone", 1, *ports)
        with pytest.raises(ConnectionError):
            _hear(link.port)


def _hear(port: int) -> None:
    """Connect, and wait for something."""
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as client:
        if not client.recv(1):
            raise ConnectionAbortedError
