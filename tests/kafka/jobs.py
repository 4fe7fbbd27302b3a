"""The jobs that workers under test run.

``app`` is the one that ``kjobs worker`` loads; a test declares the same jobs on an app of its own, to
enqueue them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from kjobs import App, Backoff, DeadLetter, Discard, Job, Snooze, current
from kjobs.worker.failpoint import Failpoint, failpoint
from tests.kafka.patience import until
from tests.kafka.witness import witness

#: Where the calls of all jobs go.
QUEUE = "work"
#: Attempts after the first.
RETRIES = 3


class Jobs(NamedTuple):
    """The jobs of an app."""

    act: Job[..., None]
    wait: Job[..., None]


def declare(app: App) -> Jobs:
    """Declare the jobs on an app."""
    job = app.job(
        name="act",
        queue=QUEUE,
        retries=RETRIES,
        backoff=Backoff(base=0.05, factor=2.0, cap=0.2, jitter="none"),
        retry_on=(ValueError,),
    )
    return Jobs(job(act), app.job(name="wait", queue=QUEUE, retries=RETRIES)(wait))


def act(script: str = "ok", length: float = 0.0) -> None:
    """Do what the script says.

    Args:
        script: a word for every attempt; the last one counts for all that follow.
        length: seconds that each takes.
    """
    words = script.split()
    word = words[min(current().attempt, len(words)) - 1]
    if word == "snooze":
        if time.time() < current().enqueued_at.timestamp() + 1.0:
            raise Snooze(1.0)
        word = "ok"
    if length:
        time.sleep(length)
    failpoint(Failpoint.IN_JOB)
    witness().effect(ok=word == "ok")
    _end(word)


def _end(word: str) -> None:
    match word:
        case "ok":
            return
        case "fail":
            raise ValueError("it fails, and may be tried again")
        case "fatal":
            raise KeyError("it fails, and is not tried again")
        case "dead":
            raise DeadLetter("no retry can help")
        case "discard":
            raise Discard("not wanted any more")
        case _:
            raise AssertionError(f"no such word: {word}")


def wait(gate: str) -> None:
    """Wait until a file appears."""
    failpoint(Failpoint.IN_JOB)
    until(Path(gate).exists, f"{gate} appears")
    witness().effect(ok=True)


app = App()
declare(app)
