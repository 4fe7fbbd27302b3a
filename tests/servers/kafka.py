"""A real Kafka broker as a child process, to be used, killed, restarted and frozen.

``python -m tests.servers.kafka`` starts one in the foreground and prints how to point the tests at it.
"""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers import probe
from tests.servers.distribution import Distribution, distribution
from tests.servers.failure import NoServerError, StartError
from tests.servers.leash import Leash
from tests.servers.machine import look
from tests.servers.ports import free_ports
from tests.servers.properties import server_properties, written

if TYPE_CHECKING:
    from collections.abc import Mapping

#: For a broker that lives for a few tests: it starts in two thirds of the time and half the CPU.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
#: For a broker whose throughput is measured.
FAST = ("-XX:+UseG1GC",)

_HEAP = "-Xmx512m"
_LOGGING = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_BIND_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes a broker one of several.

    Attributes:
        cluster: the cluster's id.
        controllers: all of its controllers, as ``id@host:port:directory-id``, with commas.
    """

    cluster: str
    controllers: str


def fresh_id() -> str:
    """A random id as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class Kafka:
    """A single-node Kafka of one's own, or one node of several.

    ``kill()`` and ``stop()`` keep the data and the port, so ``start()`` or ``restart()`` brings the same
    broker back. ``close()``, the end of the ``with`` block, removes the data.

    Args:
        properties: over those that every test broker has.
        jvm: options for Java.
        kafka: the jars; looked for if not given.
        ports: its own and its controller's, if others have to know them.
        membership: for one of several.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        jvm: tuple[str, ...] = QUICK,
        kafka: Distribution | None = None,
        ports: tuple[int, int] | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="kjobs-kafka-"))
        self.log = self.directory / "server.log"
        self._overrides = dict(properties or {})
        self._jvm = (*jvm, _HEAP, _LOGGING)
        self._kafka = kafka
        self._port, self._controller_port = ports or free_ports(2)
        self._membership = membership
        self._movable = ports is None
        self._formatted = False
        self._lines_before = 0
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
    def bootstrap(self) -> str:
        """The bootstrap servers; the same across restarts."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        return self._running().pid

    def start(self) -> None:
        """Start the broker and return when it serves clients.

        Raises:
            NoServerError: this machine cannot run one, or the broker ended or was not ready in time.
        """
        if self._process is not None:
            raise RuntimeError(f"the broker at {self.bootstrap} runs already; stop() or kill() it first")
        for attempt in range(1, _BIND_ATTEMPTS + 1):
            self._lines_before = len(self._said())
            try:
                if not self._formatted:
                    self._format()
                self._launch()
                self.await_ready()
            except StartError as failure:
                taken = "already in use" in str(failure)
                if not taken or self._formatted or not self._movable or attempt == _BIND_ATTEMPTS:
                    raise
                # Somebody took a port between our look and the bind; nothing depends on the number yet.
                self._port, self._controller_port = free_ports(2)
            else:
                self._formatted = True
                return

    def launch(self) -> None:
        """Start the broker and return at once: others may have to be started before it can be ready."""
        self._lines_before = len(self._said())
        if not self._formatted:
            self._format()
            self._formatted = True
        self._launch()

    def await_ready(self, seconds: float = _START_SECONDS) -> None:
        """Wait until a broker that was launched serves clients.

        Raises:
            StartError: it ended, or was not ready in time; it is gone then.
        """
        try:
            self._await_ready(self._running(), seconds)
        except BaseException:
            self.kill()
            raise

    @property
    def runs(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the broker with SIGTERM, as a deploy does, and wait for its end; the data stays."""
        if self._process is None:
            return
        self.resume()  # a frozen process would not hear it
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"kafka: no end {_STOP_SECONDS:g} s after SIGTERM, killing it", file=sys.stderr)
        self.kill()

    def kill(self) -> None:
        """End the broker at once with SIGKILL, as a crash does; the data stays as it is."""
        if self._process is None:
            return
        self._process.kill()
        if self._leash is not None:
            self._leash.release()
        self._process.wait()
        self._process = self._leash = None

    def restart(self) -> None:
        """Bring the broker back on the same port and data, stopping it first if it runs."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the broker with SIGSTOP: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen broker go on."""
        self._running().send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait until the broker ends by itself, and return its exit code."""
        return self._running().wait()

    def close(self) -> None:
        """Stop the broker and remove its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def complaint(self, lines: int = 40) -> str:
        """The last start's first error and what follows; without one, its last lines.

        The end alone would not do: a broker that gives up says at length how it tidies up.
        """
        said = self._said()[self._lines_before :]
        start = next((at for at, line in enumerate(said) if " ERROR " in line or "Exception" in line), -lines)
        return "\n".join(said[start:][:lines]) or "(nothing)"

    def _said(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"the broker at {self.bootstrap} does not run; start() it first")
        return self._process

    def _distribution(self) -> Distribution:
        if self._kafka is None:
            machine = look()
            self._kafka = distribution(machine)
            if self._kafka is None:
                raise machine.lack()
        return self._kafka

    def _format(self) -> None:
        """Write the configuration and an empty data directory; the latter records the controller's port."""
        data = self.directory / "data"
        shutil.rmtree(data, ignore_errors=True)
        settings = server_properties(self._port, self._controller_port, data, self._overrides)
        configuration = self.directory / "server.properties"
        configuration.write_text(written(settings))
        member = self._membership
        cluster = fresh_id() if member is None else member.cluster
        quorum = ("--standalone",) if member is None else (f"--initial-controllers={member.controllers}",)
        command = self._distribution().command(
            *("kafka.tools.StorageTool", "format", *quorum),
            *(f"--cluster-id={cluster}", "--config", str(configuration)),  # it may begin with a dash
            jvm=(*QUICK, _LOGGING),
        )
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode != 0:
            raise StartError(f"Kafka could not format its data directory. It said:\n{self.complaint()}")

    def _launch(self) -> None:
        command = self._distribution().command(
            "kafka.Kafka", str(self.directory / "server.properties"), jvm=self._jvm
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # A Ctrl-C in the terminal is for us: we stop the broker after its clients.
                start_new_session=True,
            )
        self._leash = Leash(self._process.pid, self.directory)

    def _await_ready(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not probe.serves_groups(self.bootstrap):
            if process.poll() is not None:
                what = f"ended with exit code {process.returncode} while starting"
            elif time.monotonic() > deadline:
                what = f"was not ready at {self.bootstrap} after {seconds:g} s"
            else:
                time.sleep(0.05)
                continue
            raise StartError(f"Kafka {what}. It said:\n{self.complaint()}")


def main() -> int:
    """Run a broker in the foreground until SIGTERM or SIGINT."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    try:
        with Kafka(jvm=FAST) as kafka:
            print(f"KJOBS_TEST_KAFKA={kafka.bootstrap}", flush=True)
            code = kafka.wait()
            print(f"Kafka ended by itself with exit code {code}:\n{kafka.complaint()}", file=sys.stderr)
    except NoServerError as failure:
        print(failure, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
