"""The jobs that workers under test run.

``app`` is the one that ``kjobs worker`` loads; a test declares the same jobs on an app of its own, to
enqueue them.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from kjobs import App, Backoff, CheckpointError, DeadLetter, Discard, Job, Retry, Snooze, current
from kjobs.worker.failpoint import Failpoint, failpoint
from tests.kafka.witness import witness
from tests.patience import until

#: Where the calls of all jobs go.
QUEUE = "work"
#: Attempts after the first.
RETRIES = 3


class Jobs(NamedTuple):
    """The jobs of an app."""

    act: Job[..., None]
    burst: Job[..., None]
    climb: Job[..., None]
    crack: Job[..., None]
    drift: Job[..., Any]
    grip: Job[..., None]
    hold: Job[..., None]
    hurry: Job[..., None]
    stick: Job[..., None]
    rove: Job[..., Any]
    trek: Job[..., None]
    wait: Job[..., None]
    yielding: Job[..., None]


def declare(app: App) -> Jobs:
    """Declare the jobs on an app."""

    def job(**options: Any) -> Any:
        backoff = Backoff(base=0.05, factor=2.0, cap=0.2, jitter="none")
        return app.job(queue=QUEUE, retries=RETRIES, backoff=backoff, **options)

    return Jobs(
        act=job(name="act", retry_on=(ValueError,))(act),
        burst=job(name="burst")(burst),
        climb=job(name="climb")(climb),
        crack=job(name="crack", isolate=True)(crack),
        drift=job(name="drift", retry_on=(ValueError,))(drift),
        grip=job(name="grip")(grip),
        hold=job(name="hold")(hold),
        hurry=job(name="hurry", timeout=0.1)(hurry),
        stick=job(name="stick", timeout=0.2)(stick),
        rove=job(name="rove")(rove),
        trek=job(name="trek", isolate=True)(trek),
        wait=job(name="wait")(wait),
        yielding=job(name="yielding", order="relaxed")(yielding),
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
    failpoint(Failpoint.IN_JOB)
    witness().effect(ok=word == "ok")
    _end(word)


async def drift(script: str = "ok", length: float = 0.0) -> None:
    """Do what the script says, in the event loop."""
    word = _word(script)
    await asyncio.sleep(length)
    failpoint(Failpoint.IN_JOB)
    witness().effect(ok=word == "ok")
    _end(word)


def burst(marks: str, crashes: int, whole: bool = False) -> None:
    """Crash so many times, in whatever process it runs.

    Args:
        marks: a file that is appended to each time.
        crashes: after which it succeeds.
        whole: its worker goes, too, if that is another process.
    """
    if _mark(marks) > crashes:
        witness().effect(ok=True)
        return
    isolated = "--cell" in sys.argv
    if whole or not isolated:
        witness().killed()
    if whole and isolated:
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def crack(marks: str, crashes: int) -> None:
    """Crash so many times, in a process that can.

    Args:
        marks: a file that is appended to each time.
        crashes: after which it succeeds.
    """
    if _mark(marks) <= crashes:
        ctypes.string_at(0)


def _mark(marks: str) -> int:
    """Note an attempt; which one it is.

    Args:
        marks: a file that is appended to.
    """
    with Path(marks).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    return len(Path(marks).read_text(encoding="utf-8").split())


def climb(folder: str, steps: int, crashing: int = 0) -> None:
    """Make steps, each when it is let go on, and store each that is made.

    Args:
        folder: ``begun`` is appended to with what each attempt begins with, ``made`` with each step, and
            ``told`` when that is stored; a file ``go-N`` lets step N be made, a file ``go`` all of them.
        steps: how many.
        crashing: a step after which the process crashes, the first time.
    """
    call, place = current(), Path(folder)
    _note(place / "begun", str(call.state))
    for step in range(call.state or 0, steps):
        until(lambda step=step: _may_go(place, step) or call.cancelled, f"step {step} may be made")  # type: ignore[misc]
        if not _may_go(place, step):
            raise Snooze(0)  # the worker stops, or gives its partition away
        _note(place / "made", str(step))
        try:
            call.checkpoint(step + 1)
        except CheckpointError as error:
            _note(place / "refused", type(error).__name__)
            raise
        _note(place / "told", str(step))
        if step + 1 == crashing and len((place / "begun").read_text().split()) == 1:
            ctypes.string_at(0)
    witness().effect(ok=True)


def trek(folder: str, steps: int, crashing: int = 0) -> None:
    """Do what ``climb`` does, in a process of its own."""
    climb(folder, steps, crashing)


async def rove(folder: str, steps: int) -> None:
    """Do what ``climb`` does, in the event loop."""
    call, place = current(), Path(folder)
    _note(place / "begun", str(call.state))
    for step in range(call.state or 0, steps):
        while not (_may_go(place, step) or call.cancelled):
            await asyncio.sleep(0.01)
        if not _may_go(place, step):
            raise Snooze(0)
        _note(place / "made", str(step))
        await call.acheckpoint(step + 1)
        _note(place / "told", str(step))
    witness().effect(ok=True)


def _may_go(place: Path, step: int) -> bool:
    return (place / "go").exists() or (place / f"go-{step}").exists()


def _note(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{line}\n")


def grip(mark: str) -> None:
    """Hold the interpreter's lock for ever, but for the second time: no other thread does anything."""
    if Path(mark).exists():
        witness().effect(ok=True)
        return
    Path(mark).touch()
    ctypes.PyDLL(None).sleep(3600)


def hurry(slow: int) -> None:
    """Take too long in the first attempts, as many as told."""
    until = time.monotonic() + 5.0
    while current().attempt <= slow:
        assert time.monotonic() < until, "nothing ends a call that takes too long"
        time.sleep(0.01)
    witness().effect(ok=True)


def stick(mark: str) -> None:
    """Sit in C code for ever, but for the second time: no exception is heard there."""
    if Path(mark).exists():
        witness().effect(ok=True)
        return
    Path(mark).touch()
    ctypes.CDLL(None).sleep(3600)


def _word(script: str) -> str:
    """What to do in this attempt."""
    words = script.split()
    word = words[min(current().attempt, len(words)) - 1]
    if word == "snooze":
        if time.time() < current().enqueued_at.timestamp() + 1.0:
            raise Snooze(1.0)
        return "ok"
    return word


def _end(word: str) -> None:
    match word:
        case "ok":
            return
        case "fail":
            raise ValueError("it fails, and may be tried again")
        case "later":
            raise Retry("it fails, and is tried again when others have been", delay=random.uniform(3.0, 5.0))
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


def hold(gate: str) -> None:
    """Come back again and again until a file appears."""
    opened = Path(gate).exists()
    witness().effect(ok=opened)
    if not opened:
        raise Snooze(0.5)


def yielding(gate: str) -> None:
    """Fail until a file appears, letting others pass."""
    hold(gate)


app = App()
declare(app)
