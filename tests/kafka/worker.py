"""A worker process, as its operator sees it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.patience import PATIENCE, until
from tests.proof import history as h

_TAIL = 25


class Worker:
    """A process with an output and an end; what is done to it is written into the history.

    Args:
        inc: names this incarnation.
        command: what to run.
        environment: all of it.
        folder: where its output goes.
        recorder: takes what happens to it.
        grace: how long it may take to stop, for the history.
    """

    def __init__(
        self,
        inc: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        recorder: h.Recorder,
        grace: float = 0.0,
    ) -> None:
        self.inc = inc
        self._grace = grace
        self._recorder = recorder
        self._output = folder / f"{inc}.log"
        self.code: int | None = None
        with self._output.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                cwd=folder,
            )
        # Its end is written down when it comes, whatever the test is busy with.
        self._waiter = threading.Thread(target=self._await_end, name=f"end of {inc}", daemon=True)
        self._waiter.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="replace")

    def tail(self) -> str:
        """The end of what it has printed."""
        lines = self.output.splitlines()[-_TAIL:]
        return "\n".join([f"--- {self.inc} (exit code {self.code}) ---", *lines])

    # --- waiting -----------------------------------------------------------------------------------

    def ready(self) -> Worker:
        """Wait until it says that it is ready."""
        self.says(" ready")
        return self

    def says(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until it prints something."""

        def look() -> bool:
            if text in self.output:
                return True
            assert self.code is None, f"{self.inc} ended before it said {text!r}\n{self.tail()}"
            return False

        until(look, f"{self.inc} says {text!r}", seconds=seconds, told=self.tail)

    def ends(self, code: int, seconds: float = PATIENCE) -> None:
        """Wait for its end, with this exit code."""
        self._waiter.join(seconds)
        assert not self._waiter.is_alive(), f"{self.inc} did not end in {seconds:g} s\n{self.tail()}"
        assert self.code == code, f"{self.inc} ended with {self.code}, not {code}\n{self.tail()}"

    def freezes(self, seconds: float = PATIENCE) -> None:
        """Wait until it has stopped in its tracks, by somebody's SIGSTOP or its own."""
        until(self._stopped, f"{self.inc} stops in its tracks", seconds=seconds, told=self.tail)
        self._tell(h.Frozen(time.monotonic(), self.inc))

    def _stopped(self) -> bool:
        assert self.code is None, f"{self.inc} ended instead of being stopped\n{self.tail()}"
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "T"

    @property
    def children(self) -> dict[int, int]:
        """The processes of a supervisor that have begun, the last one of each number."""
        found = re.findall(r"process (\d+) begins: pid (\d+)", self.output)
        return {int(number): int(pid) for number, pid in found}

    # --- doing -------------------------------------------------------------------------------------

    def term(self) -> None:
        """Ask it to stop."""
        self._tell(h.TermBegan(time.monotonic(), self.inc, grace=self._grace))
        self.signal(signal.SIGTERM)

    def stop(self, code: int = 0) -> None:
        """Ask it to stop, and wait for it."""
        self.term()
        self.ends(code)

    def kill(self) -> None:
        """End it with SIGKILL, and wait for that."""
        self.signal(signal.SIGKILL)
        self.ends(-signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self.signal(signal.SIGSTOP)
        self.freezes()

    def thaw(self) -> None:
        """Let it go on."""
        self._tell(h.Thawed(time.monotonic(), self.inc))
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """End it if it still runs."""
        if self._waiter.is_alive():
            self._process.kill()
            self._waiter.join()

    def _await_end(self) -> None:
        code = self._process.wait()
        now = time.monotonic()
        self._tell(h.Killed(now, self.inc) if code < 0 else h.Exited(now, self.inc, code=code))
        self.code = code

    def _tell(self, event: h.Event) -> None:
        self._recorder.record(event)
