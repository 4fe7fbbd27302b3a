"""What the rows work with: the broker, the queues, child processes, files."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .children import Child, Children
from .scale import Scale
from .tally import Tally
from .topics import Topics

#: The module with the jobs.
JOBS = "benchmarks.programs.jobs"

#: What the ``kjobs`` command runs. Not the command itself: it exists only where kjobs is installed.
_KJOBS = (sys.executable, "-c", "from kjobs.cli import main; main()")

#: Seconds that anything may take which is not the work that is measured.
PATIENCE = 60.0


class Bench:
    """The means of a run.

    Args:
        bootstrap: the broker's address.
        prefix: what the names of topics and groups begin with, so that runs do not meet.
        scale: how much is measured.
        directory: for files of this run.
        children: starts and ends processes.
    """

    def __init__(
        self, bootstrap: str, prefix: str, scale: Scale, directory: Path, children: Children
    ) -> None:
        self.bootstrap = bootstrap
        self.scale = scale
        self.directory = directory
        #: Where workers keep their indexes of delayed calls, each group in a directory of its name.
        self.indexes = directory / "indexes"
        self.topics = Topics(bootstrap, prefix)
        self._prefix = prefix
        self._children = children
        self._number = itertools.count()

    def tally(self, width: int = 1) -> Tally:
        """A new file to count executions in."""
        return Tally(self.directory / f"tally-{next(self._number)}", width)

    def group(self) -> str:
        """A new consumer group: it begins with the first call of a queue."""
        return f"{self._prefix}-{next(self._number)}"

    # --- kjobs -------------------------------------------------------------------------------------

    def make_queues(self, *queues: str) -> None:
        """Create the topics of queues, with ``kjobs topics apply``."""
        self.kjobs("topics", "apply", JOBS, "--queues", ",".join(queues)).result(PATIENCE)

    def kjobs(self, *arguments: str, **variables: str) -> Child:
        """Start the ``kjobs`` command.

        Args:
            arguments: of the command.
            variables: additional ones for its environment.
        """
        return self._children.start([*_KJOBS, *arguments], {**self.environ(), **variables})

    @contextmanager
    def worker(
        self,
        queue: str,
        tally: Tally,
        *,
        threads: int,
        processes: int = 1,
        group: str | None = None,
        **variables: str,
    ) -> Iterator[Child]:
        """A ``kjobs worker`` for a queue, with its log in a file, stopped in order at the end."""
        child = self.kjobs(
            *("worker", JOBS, "--queues", queue, "--group", group or self.group()),
            *("--processes", str(processes), "--threads", str(threads)),
            BENCH_TALLY=str(tally.path),
            **variables,
        )
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        child.stop()

    @staticmethod
    def await_ready(worker: Child, seconds: float = PATIENCE) -> None:
        """Wait until a worker says that it has its partitions."""
        worker.await_that(lambda: " ready" in worker.said(), "being ready", seconds)

    # --- other programs ----------------------------------------------------------------------------

    def program(self, name: str, *arguments: object, **variables: str) -> Child:
        """Start one of ``benchmarks.programs``."""
        command = [sys.executable, "-m", f"benchmarks.programs.{name}", *map(str, arguments)]
        return self._children.start(command, {**self.environ(), **variables})

    def outcome(self, name: str, *arguments: object, seconds: float = PATIENCE) -> dict[str, Any]:
        """Run one of ``benchmarks.programs`` to its end and return the JSON object it printed."""
        found: dict[str, Any] = json.loads(self.program(name, *arguments).result(seconds))
        return found

    def start(self, command: list[str], **variables: str) -> Child:
        """Start any other command."""
        return self._children.start(command, {**self.environ(), **variables})

    def environ(self) -> Mapping[str, str]:
        """The environment of child processes: ours, and no settings of kjobs but those of this run."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KJOBS_")}
        return {
            **kept,
            "KJOBS_BOOTSTRAP_SERVERS": self.bootstrap,
            "KJOBS_PREFIX": self._prefix,
            "KJOBS_STATE_DIR": str(self.indexes),
            "BENCH_BOOTSTRAP": self.bootstrap,
        }
