"""Isolated jobs: what they do to their process, and what they say."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from kjobs import App, CheckpointError, DeadLetter, Discard, Isolation, Retry, Snooze, current

app = App()


class Peculiar(Exception):
    """Whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@app.job(name="fine", isolate=True)
def fine() -> None:
    pass


@app.job(name="who", isolate=True)
def who(path: str) -> None:
    """Write down which process it is, and what it knows of its call."""
    context = current()
    with Path(path).open("a", encoding="utf-8") as file:
        facts = (os.getpid(), context.id, context.key, context.attempt, context.offset, *context.fence)
        print(*facts, context.headers.get("h"), file=file)


@app.job(name="climb", isolate=True)
def climb(path: str, *steps: str) -> None:
    """Store each step, and write down what comes of it."""
    call = current()
    with Path(path).open("a", encoding="utf-8") as file:
        print("begun", call.state, file=file)
        for step in steps:
            try:
                call.checkpoint(step)
            except CheckpointError as error:
                print(type(error).__name__, error.definite, error, file=file)
        print("ended", call.state, file=file)


@app.job(name="aclimb", isolate=True)
async def aclimb(path: str) -> None:
    await asyncio.gather(*(current().acheckpoint(n) for n in range(5)))
    Path(path).write_text(repr(current().state))


@app.job(name="whither", isolate=True)
async def whither(path: str) -> None:
    await asyncio.sleep(0)
    with Path(path).open("a", encoding="utf-8") as file:
        print(current().id, file=file)


@app.job(name="raises", isolate=True, retry_on=ValueError, discard_on=LookupError)
def raises(what: str) -> None:
    match what:
        case "retried":
            raise ValueError("try again")
        case "not retried":
            raise TypeError("do not")
        case "discarded":
            raise KeyError("who cares")
        case "retry":
            raise Retry("asked", delay=7)
        case "snooze":
            raise Snooze(9)
        case "discard":
            raise Discard("not wanted")
        case "dead":
            raise DeadLetter("no use")
        case "peculiar":
            raise Peculiar
        case "exit":
            raise SystemExit(4)
        case "surrogate":
            raise ValueError("\ud800")
        case _:
            raise ValueError("x" * 1_000_000)


@app.job(name="crashes", isolate=True)
def crashes(how: str) -> None:
    match how:
        case "segv":
            ctypes.string_at(0)
        case "exit":
            print("these are my last words", file=sys.stderr)
            os._exit(3)
        case "exit 0":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            os.abort()


@app.job(name="hangs", isolate=True, timeout=0.3)
def hangs(*, deaf: bool) -> None:
    if deaf:
        ctypes.PyDLL(None).sleep(3600)  # with the interpreter's lock
    while True:
        time.sleep(0.01)


@app.job(name="eats", isolate=Isolation(memory="2G"))
def eats(size: int) -> None:
    assert len(bytearray(size)) == size


@app.job(name="burns", isolate=Isolation(cpu=1))
def burns() -> None:
    while True:
        pass


@app.job(name="patient", isolate=True)
def patient(path: str) -> None:
    """Wait until it is told to end soon."""
    Path(path).touch()
    while not current().cancelled:
        time.sleep(0.01)
    raise Snooze(1)


@app.job(name="floods", isolate=True)
def floods() -> None:
    sys.stderr.write("y" * 3_000_000)
    sys.stderr.flush()
