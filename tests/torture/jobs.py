"""The jobs that workers under torture run, and what their calls are told to do.

``app`` is the one that ``kjobs worker`` loads; callers declare the same jobs on an app of their own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kjobs import App, Backoff, DeadLetter, Discard, Job, Retry, Snooze, current
from kjobs.worker.failpoint import Failpoint, failpoint
from tests.torture.layout import RETRIES
from tests.torture.testimony import testimony

#: What the ids of calls begin with whose job lets others pass.
RELAXED = "relaxed-"


class Jobs(NamedTuple):
    """The jobs of an app."""

    act: Job[..., None]
    drift: Job[..., Any]
    press: Job[..., None]
    yielding: Job[..., None]
    hurry: Job[..., None]


def declare(app: App) -> Jobs:
    """Declare the jobs on an app."""

    def job(name: str, function: Any, **options: Any) -> Any:
        backoff = Backoff(base=0.05, factor=2.0, cap=0.2, jitter="none")
        return app.job(
            name=name, queue="orders", retries=RETRIES, backoff=backoff, retry_on=(ValueError,), **options
        )(function)

    return Jobs(
        act=job("act", act),
        drift=job("drift", drift),
        press=job("press", act, isolate=True),
        yielding=job("yielding", act, order="relaxed"),
        hurry=job("hurry", act, timeout=2.0),
    )


def act(script: str = "ok", length: float = 0.0) -> None:
    """Do what the script says.

    Args:
        script: a word for every attempt; the last one counts for all that follow.
        length: seconds that each takes.
    """
    word = _word(script)
    if length:
        time.sleep(length)
    _crash(word)
    failpoint(Failpoint.IN_JOB)
    testimony().effect(ok=word not in _ENDINGS)
    _end(word)


async def drift(script: str = "ok", length: float = 0.0) -> None:
    """Do what the script says, in the event loop."""
    word = _word(script)
    await asyncio.sleep(length)
    _crash(word)
    failpoint(Failpoint.IN_JOB)
    testimony().effect(ok=word not in _ENDINGS)
    _end(word)


def _word(script: str) -> str:
    words = script.split()
    word = words[min(current().attempt, len(words)) - 1]
    if word == "snooze":
        if time.time() < current().enqueued_at.timestamp() + 1.0:
            raise Snooze(1.0)
        return "ok"
    return word


class _Loud(ValueError):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("an error that cannot be told")


#: Words that end an attempt otherwise than well.
_ENDINGS = frozenset(
    {"fail", "later", "soon", "fatal", "dead", "discard", "loud", "huge", "exit", "interrupt"}
)


def _end(word: str) -> None:
    match word:
        case "fail":
            raise ValueError("it fails, and may be tried again")
        case "later":
            raise Retry("it fails, and is tried again when others have been", delay=random.uniform(3.5, 6.0))
        case "soon":
            raise Retry("it fails, and is tried again before long", delay=2.5)
        case "fatal":
            raise KeyError("it fails, and is not tried again")
        case "dead":
            raise DeadLetter("no retry can help")
        case "discard":
            raise Discard("not wanted any more")
        case "loud":
            raise _Loud
        case "huge":
            raise ValueError("much to say: " + "ä" * 300_000)
        case "exit":
            raise SystemExit(0)
        case "interrupt":
            raise KeyboardInterrupt


def _crash(word: str) -> None:
    """Have this process end, once for each call (``once-…``) or each time."""
    how = word.removeprefix("once-")
    if how not in _CRASHES or (how != word and not _first_time()):
        return
    _CRASHES[how]()


def _first_time() -> bool:
    mark = Path(os.environ["KJOBS_TEST_HISTORY"]) / "marks" / current().id
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def _hold_the_interpreter() -> None:
    testimony().stalls()
    ctypes.PyDLL(None).sleep(600)


_CRASHES: dict[str, Callable[[], object]] = {
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit0": lambda: os._exit(0),
    "exit1": lambda: os._exit(1),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hog": _hold_the_interpreter,
    "sleep": lambda: time.sleep(3.0),
}

app = App()
declare(app)
