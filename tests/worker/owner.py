"""Plays the owner thread for an executor: hands out entries, tends the slots, collects what they return."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kjobs.core.outcome import OK, Outcome
from kjobs.core.partition import Entry, Partition
from kjobs.worker.executor import Executor
from kjobs.worker.fibres import AsyncCall
from kjobs.worker.turnstile import Turnstile
from tests.core.record import FakeRecord

#: Seconds after which something that should have happened never will. Nothing waits for it in vain.
DEADLINE = 30.0

Run = Callable[[Entry], Outcome | AsyncCall]


def partition(number: int = 0) -> Partition:
    """A partition whose calls may begin."""
    made = Partition(("kjobs.q", number), 0, None, "")
    made.open = True
    return made


def entries(keys: str | int, where: Partition | None = None) -> list[Entry]:
    """An entry for each letter, or so many without a key; linked by key as a partition links them."""
    where = where or partition()
    letters = "-" * keys if isinstance(keys, int) else keys
    first = where.next_offset
    where.feed(
        [FakeRecord(first + n, by=None if key == "-" else key.encode()) for n, key in enumerate(letters)]
    )
    return [entry for entry in where.order if entry.offset >= first]


def chained(entries: Sequence[Entry]) -> Entry:
    """Let whoever runs the first go on with the others; gives the first."""
    for entry in entries[:-1]:
        entry.more = True
    return entries[0]


class Owner:
    """The owner of an executor, in the test's thread."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.finished: list[Entry] = []
        self.returned: list[Entry] = []
        executor.lease(time.monotonic() + 1000)

    def look(self) -> None:
        """Do once what an owner does all the time."""
        self.executor.tend()
        self.executor.wait(0.005)
        self.finished += self.executor.collect()
        self.returned += self.executor.collect_returned()

    def until(self, condition: Callable[[], object]) -> None:
        """Look until something is so."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.look()

    def gather(self, count: int) -> list[Entry]:
        """Look until so many entries have come back finished; gives all of them."""
        self.until(lambda: len(self.finished) >= count)
        return self.finished


@contextmanager
def owned(run: Run, *, slots: int = 4, async_slots: int = 4) -> Iterator[Owner]:
    """An executor and its owner; its slots end with the block."""
    before = set(threading.enumerate())
    executor = Executor(run, slots=slots, async_slots=async_slots, turnstile=Turnstile())
    try:
        yield Owner(executor)
    finally:
        executor.stop()
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("kjobs-"):
                thread.join(timeout=DEADLINE)
                assert not thread.is_alive(), f"{thread.name} did not end"


class Gate:
    """Calls stop here until they are let through."""

    def __init__(self) -> None:
        self.inside: list[int] = []
        self._open = threading.Event()

    def pass_through(self, entry: Entry) -> None:
        self.inside.append(entry.offset)
        assert self._open.wait(DEADLINE), "the gate was never opened"

    def open(self) -> None:
        self._open.set()


def done(entry: Entry, *_: Any) -> Outcome:
    """A call that succeeds."""
    return OK
