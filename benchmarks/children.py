"""Child processes: each has a session of its own and ends with us, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers.leash import Leash

#: Where ``benchmarks`` and ``kjobs`` are imported from: the directory every child is started in.
ROOT = Path(__file__).resolve().parents[1]

_STOP_SECONDS = 20.0


class ChildFailedError(Exception):
    """A child ended by itself, or did not do in time what it was started for."""


class Child:
    """A running command; what it says goes to files."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: Path) -> None:
        self.command = command
        self._output, self._errors = directory / "output", directory / "errors"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # A Ctrl-C in the terminal is for us, and children of the child are ended with it.
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._leash: Leash | None = Leash(-self.pid, directory)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self) -> str:
        """What it has said so far, to both streams."""
        return "".join(file.read_text(errors="replace") for file in (self._output, self._errors))

    def await_that(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something is true that this child is to bring about.

        Raises:
            ChildFailedError: it ended, or the time was over.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running:
                raise self.failure(f"ended with exit code {self._process.returncode} before {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"did not get to {what} in {seconds:g} s")
            time.sleep(0.001)

    def result(self, seconds: float) -> str:
        """Wait for its end and return the last line of its output.

        Raises:
            ChildFailedError: it failed, or the time was over.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end in {seconds:g} s") from None
        lines = self._output.read_text().splitlines()
        if code != 0 or not lines:
            raise self.failure(f"ended with exit code {code}")
        return lines[-1]

    def failure(self, what: str) -> ChildFailedError:
        """What went wrong, with the end of what the child said."""
        tail = "\n".join(self.said().splitlines()[-20:])
        return ChildFailedError(f"{' '.join(self.command)}\n{what}. It said:\n{tail}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Have it stop in order; what does not is killed."""
        if self.running:
            self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once, and what it started."""
        if self._leash is None:
            return
        with suppress(ProcessLookupError):  # all of it may have ended
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._leash.release()
        self._leash = None


class Children:
    """All children of a run; those that are left at its end are killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._started:
            child.kill()

    def start(self, command: Sequence[str], environ: Mapping[str, str]) -> Child:
        """Start a command, with these variables and no others."""
        directory = self._directory / f"child-{len(self._started)}"
        directory.mkdir()
        child = Child(command, environ, directory)
        self._started.append(child)
        return child
