"""What a process under torture writes down: kjobs' events in one file, what jobs did in another."""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path

from kjobs import current, events
from tests.kafka.witness import Witness
from tests.proof import history as h
from tests.torture.puppet import Puppet


class Testimony(Witness):
    """A witness that has jobs' own words in a file of their own.

    Args:
        folder: where the histories are.
        effects: where the words of jobs are.
        inc: names the incarnation.
        prefix: what the names of the topics begin with.
    """

    __test__ = False  # it is no test, whatever pytest makes of its name

    def __init__(self, folder: Path, effects: Path, inc: str, prefix: str) -> None:
        super().__init__(folder, inc, prefix, f"{inc}-{os.getpid()}")
        self._effects = h.Recorder(effects / f"{inc}-{os.getpid()}.jsonl")

    def effect(self, *, ok: bool) -> None:
        """Let the job that runs say that it did its work, or is about to fail."""
        context = current()
        self._effects.record(
            h.Effect(
                time.monotonic(),
                self._inc,
                call=context.id,
                attempt=context.attempt,
                ok=ok,
                place=self._place(context.queue, context.partition),
                offset=context.offset,
            )
        )

    def stalls(self) -> None:
        """Let the job that runs say that nothing else will happen in this process from now on."""
        self._tell(h.FaultBegan, what="a call holds the interpreter")


def _inc() -> str:
    """The name of this incarnation."""
    inc = os.environ["KJOBS_TEST_INC"]
    if "--cell" in sys.argv:
        # What it does is done by its worker, which is one of several if it has a supervisor.
        return f"{inc}-{os.getppid()}"
    return f"{inc}-{os.getpid()}"


@cache
def testimony() -> Testimony:
    """The witness of this process, as its environment says."""
    environ = os.environ
    root = Path(environ["KJOBS_TEST_HISTORY"])
    return Testimony(root / "histories", root / "effects", _inc(), environ["KJOBS_PREFIX"])


def testify() -> None:
    """Let this process of ``kjobs worker`` report, and write down what it tells."""
    kind = "cell" if "--cell" in sys.argv else "worker"
    inc = _inc()
    crew = os.environ["KJOBS_TEST_INC"].partition(".")[0]
    puppet = Puppet(Path(os.environ["KJOBS_TEST_DESK"]))
    puppet.report(inc, crew, kind)
    if kind == "worker":
        puppet.pull()
        testimony().watch()
        events.subscribe(lambda event: puppet.stopped(event.code), events.WorkerStopped)
