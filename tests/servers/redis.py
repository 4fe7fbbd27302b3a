"""A real Redis, or Valkey, as a child process, to be used, killed, restarted and frozen."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from tests.servers.failure import ServerMissingError, StartError
from tests.servers.leash import Leash
from tests.servers.ports import free_ports

#: What to install on Debian and Ubuntu; the newest of them have Valkey as well.
PACKAGES = ("redis-server", "valkey-server")

_START_SECONDS = 20.0
_STOP_SECONDS = 20.0


def found() -> Path | None:
    """The server's program, if this machine has one."""
    for name in PACKAGES:
        if path := shutil.which(name):
            return Path(path)
    return None


def lack() -> ServerMissingError:
    """Why no server can be started here, and what to do about it."""
    return ServerMissingError(
        f"The tests of the store in Redis need a real one and found no {' and no '.join(PACKAGES)} on PATH: "
        "install one (Debian and Ubuntu: apt-get install redis-server), or run `make server` as root."
    )


class Redis:
    """A server of one's own, on a port of its own, which keeps nothing unless it is told to.

    ``kill()`` and ``stop()`` keep the port and what is on the disk, so ``start()`` brings the same server
    back. ``close()``, the end of the ``with`` block, removes it.

    Args:
        options: directives of its configuration, in order; a value may be of several words.
    """

    def __init__(self, *options: tuple[str, str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="kjobs-redis-"))
        self.log = self.directory / "server.log"
        (self.port,) = free_ports(1)
        self._options = options
        self._said_before = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: Leash | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Its address; the same across restarts."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A connection for the test itself, to look and to do harm."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=_STOP_SECONDS)

    def start(self) -> None:
        """Start it and return when it serves clients.

        Raises:
            NoServerError: this machine has none, or it ended or was not ready in time.
        """
        process = self.launch()
        try:
            self._await_ready(process)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and return at once.

        Raises:
            NoServerError: this machine has none.
        """
        program = found()
        if program is None:
            raise lack()
        if self._process is not None:
            raise RuntimeError(f"the server at {self.url} runs already; stop() or kill() it first")
        configuration = self.directory / "server.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.directory}",
            'save ""',
            *(f"{name} {value}" for name, value in self._options),
        ]
        configuration.write_text("\n".join(lines) + "\n")
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        self._leash = Leash(self._process.pid, self.directory)
        return self._process

    def stop(self) -> None:
        """Stop it with SIGTERM, as a deploy does, and wait for its end."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash does."""
        if self._process is None:
            return
        self._process.kill()
        if self._leash is not None:
            self._leash.release()
        self._process.wait()
        self._process = self._leash = None

    def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove what it has on the disk."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"the server at {self.url} does not run; start() it first")
        return self._process

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while "eady to accept connections" not in self._said():
            if process.poll() is not None:
                what = f"ended with exit code {process.returncode} while starting"
            elif time.monotonic() > deadline:
                what = f"was not ready at {self.url} after {_START_SECONDS:g} s"
            else:
                time.sleep(0.01)
                continue
            raise StartError(f"Redis {what}. It said:\n{self._said()[-2000:]}")

    def _said(self) -> str:
        """What it has printed since it was last started."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")
