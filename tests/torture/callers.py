"""The processes that enqueue: begun, and ended before everything is to be finished."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping

from tests.torture.crews import environment
from tests.torture.layout import Folders

#: Seconds in which the last calls are acknowledged, and wishes answered.
_END_SECONDS = 90.0


class Callers:
    """Caller processes.

    Args:
        count: how many.
        seed: of their draws.
        folders: of the run.
        settings: of their environment.
    """

    def __init__(self, count: int, seed: int, folders: Folders, settings: Mapping[str, object]) -> None:
        self._folders = folders
        self._pace = 0.0
        self.pace(0.0)
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in range(1, count + 1):
            name = f"c{number}"
            with (folders.logs / f"{name}.log").open("wb") as log:
                command = [
                    sys.executable,
                    "-m",
                    "tests.torture.caller_process",
                    name,
                    str(seed * 100 + number),
                ]
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment(folders, settings),
                    cwd=folders.logs,
                )
            self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [process.pid for process in self._processes]

    def pace(self, calls: float) -> None:
        """Have each enqueue so many calls per second."""
        path = self._folders.root / "pace"
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{calls:g}")
        fresh.replace(path)

    def check(self) -> None:
        """See that they run.

        Raises:
            AssertionError: one has ended.
        """
        for number, process in enumerate(self._processes, 1):
            if process.poll() is not None:
                log = (self._folders.logs / f"c{number}.log").read_text(errors="replace")
                raise AssertionError(f"c{number} ended with exit code {process.returncode}:\n{log[-3000:]}")

    def stop(self) -> None:
        """Let each finish what it does, and end."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(_END_SECONDS)

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
