"""The forwarder carries bytes, half-closes and breaks, both ways."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from kjobs.kafka.embedded.forwarder import Forwarder
from tests.embedded.conftest import PATIENCE

#: What one side of a conversation does with its connection.
Part = Callable[[socket.socket], object]


class Line:
    """A forwarder in a thread, with a server behind it that plays a part for each connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.behind = socket.create_server(("127.0.0.1", 0))
        self.failures: list[BaseException] = []
        self._players: list[threading.Thread] = []
        self._started = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._forward()))
        self._thread.start()
        assert self._started.wait(PATIENCE)

    def play(self, part: Part) -> None:
        """Let the server take the next connection and play ``part``."""

        def run() -> None:
            try:
                connection, _ = self.behind.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    part(connection)
            except BaseException as failure:
                self.failures.append(failure)

        self._players.append(threading.Thread(target=run))
        self._players[-1].start()

    def connect(self) -> socket.socket:
        """A client's connection through the forwarder."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def finish(self) -> None:
        """Wait for the parts to end, and raise what failed in one."""
        for player in self._players:
            player.join(PATIENCE)
            assert not player.is_alive()
        if self.failures:
            raise self.failures[0]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.behind.close()

    async def _forward(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with Forwarder(self.port, self.behind.getsockname()[1]):
            self._started.set()
            await self._end.wait()


@pytest.fixture
def line(free_port: int) -> Iterator[Line]:
    """A forwarder and what is behind it."""
    opened = Line(free_port)
    yield opened
    opened.close()


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side has ended."""
    chunks = []
    while chunk := connection.recv(65_536):
        chunks.append(chunk)
    return b"".join(chunks)


def ends(connection: socket.socket) -> bool:
    """Whether the other side ends, in whatever way."""
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True


def break_off(connection: socket.socket) -> None:
    """End with a reset instead of an orderly close."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_bytes_go_both_ways(line: Line) -> None:
    def echo(connection: socket.socket) -> None:
        while chunk := connection.recv(100):
            connection.sendall(chunk.upper())

    line.play(echo)
    with line.connect() as client:
        for word in (b"one", b"two", b"three"):
            client.sendall(word)
            assert client.recv(100) == word.upper()
    line.finish()


def test_a_side_that_has_ended_can_still_listen(line: Line) -> None:
    def answer_when_all_is_said(connection: socket.socket) -> None:
        said = read_all(connection)
        connection.sendall(b"you said " + said)

    line.play(answer_when_all_is_said)
    with line.connect() as client:
        client.sendall(b"all I have")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"you said all I have"
    line.finish()


def test_a_server_that_has_ended_can_still_listen(line: Line) -> None:
    heard: list[bytes] = []

    def speak_first(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    line.play(speak_first)
    with line.connect() as client:
        assert read_all(client) == b"hello"
        client.sendall(b"goodbye")
    line.finish()
    assert heard == [b"goodbye"]


def test_much_arrives_whole_though_the_reader_is_slow(line: Line) -> None:
    much = bytes(range(256)) * 65_536  # 16 MB
    may_read = threading.Event()
    heard: list[bytes] = []

    def listen_late(connection: socket.socket) -> None:
        assert may_read.wait(PATIENCE)
        heard.append(read_all(connection))

    line.play(listen_late)
    with line.connect() as client:
        client.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):  # the forwarder keeps little: the client is held back
            while sent < len(much):
                sent += client.send(much[sent : sent + 1_000_000])
        assert sent < len(much)
        may_read.set()
        client.settimeout(PATIENCE)
        client.sendall(much[sent:])
    line.finish()
    assert heard == [much]


def test_a_client_that_breaks_off_is_told_to_the_server(line: Line) -> None:
    def listen(connection: socket.socket) -> None:
        while not ends(connection):  # a reset may overtake what was sent
            pass

    line.play(listen)
    client = line.connect()
    client.sendall(b"x")
    break_off(client)
    line.finish()


def test_a_server_that_breaks_off_is_told_to_the_client(line: Line) -> None:
    line.play(break_off)
    with line.connect() as client:
        assert ends(client)
    line.finish()


def test_nobody_behind_is_told_to_the_client(line: Line) -> None:
    line.behind.close()
    with line.connect() as client:
        assert ends(client)


def test_connections_do_not_disturb_each_other(line: Line) -> None:
    def echo(connection: socket.socket) -> None:
        connection.sendall(read_all(connection))

    texts = [b"%d" % number * 1000 for number in range(20)]
    clients = []
    for _ in texts:
        line.play(echo)
        clients.append(line.connect())
    for client, text in zip(clients, texts, strict=True):
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
    for client, text in zip(clients, texts, strict=True):
        assert read_all(client) == text
        client.close()
    line.finish()


def test_it_ends_with_connections_open(free_port: int) -> None:
    line = Line(free_port)
    line.play(lambda connection: bool(connection.recv(10)))
    with line.connect() as client:
        client.sendall(b"x")
        line.finish()
        line.close()
        with pytest.raises(OSError, match="refused"):
            line.connect()
