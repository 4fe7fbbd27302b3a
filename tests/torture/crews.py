"""The worker commands: begun, kept running, restarted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from tests.kafka.worker import Worker
from tests.proof import history as h
from tests.torture.desk import Desk
from tests.torture.layout import Crew, Folders

_ROOT = Path(__file__).parents[2]
#: Seconds a worker may take to stop, as it is told and as the judge is.
GRACE = 8.0


class Crews:
    """All worker commands of a run.

    Args:
        crews: what there is.
        folders: of the run.
        desk: where processes report.
        recorder: takes what is done to them.
        common: the environment's settings that all have.
        doors: the brokers' addresses by crew.
    """

    def __init__(
        self,
        crews: tuple[Crew, ...],
        folders: Folders,
        desk: Desk,
        recorder: h.Recorder,
        common: Mapping[str, object],
        doors: Mapping[str, str],
    ) -> None:
        self.crews = {crew.name: crew for crew in crews}
        self.running: dict[str, Worker] = {}
        self._folders = folders
        self._desk = desk
        self._recorder = recorder
        self._common = common
        self._doors = doors
        self._lives = count(1)
        self._lock = threading.Lock()
        #: Settings that were given to a crew for a time.
        self.extra: dict[str, dict[str, object]] = {}

    def start(self, name: str) -> Worker:
        """Begin a crew's command."""
        crew = self.crews[name]
        inc = f"{name}.{next(self._lives)}"
        module = "tests.torture.jobs:app"
        command = ["-m", "tests.torture.worker_process", "worker", module, "-Q", ",".join(crew.queues)]
        settings = {
            **self._common,
            **crew.settings,
            **self.extra.get(name, {}),
            "bootstrap_servers": self._doors[name],
            "group": crew.group,
            "processes": crew.processes,
            "state_dir": self._folders.state / name,
            "grace": GRACE,
            "test_inc": inc,
        }
        # Its own end, if it has a supervisor, is of no interest: those of its processes are, which report.
        silent = h.Recorder(self._folders.logs / f"{inc}.ends")
        environ = environment(self._folders, settings)
        worker = self.running[name] = Worker(inc, command, environ, self._folders.logs, silent, GRACE)
        return worker

    def keep(self, *names: str) -> None:
        """Begin those again that have ended, of these or of all."""
        with self._lock:
            for name in names or tuple(self.running):
                if self.running[name].code is not None:
                    self.start(name)

    def term(self, name: str) -> None:
        """Ask a crew to stop, with all its processes."""
        now = time.monotonic()
        for life in self._desk.lives(crew=name):
            self._recorder.record(h.TermBegan(now, life.inc, grace=GRACE))
        self.running[name].signal(signal.SIGTERM)

    def close(self) -> None:
        """End what still runs."""
        for worker in self.running.values():
            worker.close()
        for life in (*self._desk.lives(), *self._desk.lives("cell")):
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(life.pid, signal.SIGKILL)


def environment(folders: Folders, settings: Mapping[str, object]) -> dict[str, str]:
    """The environment of a process of a run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KJOBS_")}
    own = {"test_history": folders.root, "test_desk": folders.desk, **settings}
    return {
        **kept,
        "PYTHONPATH": str(_ROOT),
        **{f"KJOBS_{name.upper()}": str(value) for name, value in own.items()},
    }
