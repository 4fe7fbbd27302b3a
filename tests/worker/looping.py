"""A worker's inside without Kafka: scheduler, slots and owner, with a consumer that a test plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kjobs import App, DeadLetter
from kjobs.core.checkpoint import Checkpoint, decode
from kjobs.core.commands import Command
from kjobs.core.events import Assigned, Committed, Event, Fetched, Place
from kjobs.core.scheduler import Scheduler
from kjobs.testing.keeper import MemoryKeeper
from kjobs.worker.burial import Burial
from kjobs.worker.clock import Clock
from kjobs.worker.executor import Executor
from kjobs.worker.invoke import Invoker
from kjobs.worker.loop import Loop
from kjobs.worker.report import Report
from kjobs.worker.saves import Saves
from kjobs.worker.turnstile import Turnstile
from tests.core.record import FakeRecord
from tests.worker.owner import DEADLINE
from tests.worker.producing import FakeProducer

HERE, THERE = ("kjobs.q", 0), ("kjobs.q", 1)


class FakeConsumer:
    """Gives what a test has put in; every commit is stored unless told otherwise."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.polls = 0
        self.stored: dict[Place, tuple[int, str]] = {}
        self.last_commits: list[dict[Place, int]] = []
        self.answering = True
        self.looks = 0

    def poll(self, timeout: float, room: int) -> list[Event]:
        self.polls += 1
        if not self.events:
            time.sleep(min(timeout, 0.002))
        found, self.events = self.events, []
        return found

    def commit(self, offsets: Sequence[tuple[Place, int, str]]) -> None:
        if self.answering:
            self.stored.update({place: (offset, text) for place, offset, text in offsets})
            self.events += [Committed(place, offset) for place, offset, _ in offsets]

    def commit_now(self, offsets: Sequence[tuple[Place, int, str]]) -> str | None:
        self.last_commits.append({place: offset for place, offset, _ in offsets})
        self.stored.update({place: (offset, text) for place, offset, text in offsets})
        return None

    def check_identity(self) -> list[str]:
        self.looks += 1
        return []

    def pause(self, places: Sequence[Place]) -> None: ...
    def resume(self, offsets: Sequence[tuple[Place, int]], *, stalled: bool) -> None: ...


class FakeKeeper:
    """A deferred store in memory; everything that is written is acknowledged at once, unless it is frozen.

    Attributes:
        ends: the end of each queue's log.
        heard: what it was commanded.
        frozen: it tells nothing.
        clock_offset: how far the broker's clock was ahead, if it said so.
        failure: what ended it.
    """

    def __init__(self, clock: Clock) -> None:
        self.memory = MemoryKeeper(lambda: int(clock.now() * 1000))
        self.ends: dict[Place, int] = {}
        self.heard: list[Command] = []
        self.frozen = False
        self.clock_offset: float | None = None
        self.failure: BaseException | None = None
        self._events: list[Event] = []

    def perform(self, command: Any) -> None:
        self.heard.append(command)
        self._events += self.memory.perform(command)

    def collect(self) -> list[Event]:
        if self.frozen:
            return []
        self._events += self.memory.look(lambda place: self.ends.get(place, 0))
        found, self._events = self._events, []
        return found

    @property
    def next_due(self) -> float | None:
        due_ms = self.memory.next_due_ms()
        return None if due_ms is None else due_ms / 1000


class SkippingClock(Clock):
    """A clock of which a test can skip some time."""

    def skip(self, seconds: float) -> None:
        self._anchor += seconds


class Rig:
    """A worker's inside, with its owner in the test's thread."""

    def __init__(self, *, slots: int = 2, async_slots: int = 2, grace: float = DEADLINE) -> None:
        self.app = App()
        self.consumer, self.producer = FakeConsumer(), FakeProducer()
        self.stop_by = float("inf")
        self._options = (slots, async_slots, grace)
        self._offsets: dict[Place, int] = {}

    def start(self) -> None:
        """Build it, with the jobs declared so far."""
        slots, async_slots, grace = self._options
        clock, queues = SkippingClock(), {"kjobs.q": "q"}
        self.clock = clock
        turnstile = Turnstile()
        invoker = Invoker(self.app.jobs, [], queues=queues, now=clock.now, turnstile=turnstile)
        self.executor = Executor(invoker.run, slots=slots, async_slots=async_slots, turnstile=turnstile)
        burial = Burial(
            self.producer,  # type: ignore[arg-type]
            {"kjobs.q": "kjobs.q.dead"},
            group="g",
            worker="w",
            version="0",
            told=self.executor.tell,
        )
        self.keeper = FakeKeeper(clock)
        self.loop = Loop(
            scheduler=Scheduler(),
            executor=self.executor,
            burial=burial,
            keeper=self.keeper,  # type: ignore[arg-type]
            saves=Saves(self.executor.tell),
            limits=invoker.limits,
            overtime=invoker.overtime,
            report=Report(queues),
            clock=clock,
            revoke_grace=grace,
            stop_by=lambda: self.stop_by,
            pulse=lambda: None,
        )
        self.loop.attach(self.consumer)  # type: ignore[arg-type]

    def assign(self, place: Place = HERE) -> None:
        offset, text = self.consumer.stored.get(place, (0, ""))
        self._offsets[place] = 0
        self.loop.hear(Assigned(place, offset, decode(offset, text)))

    def feed(self, *calls: tuple[str | None, str], place: Place = HERE) -> None:
        """Let calls arrive, each a key and a job."""
        first = self._offsets[place]
        self._offsets[place] += len(calls)
        self.keeper.ends[place] = self._offsets[place]
        self.consumer.events.append(
            Fetched(
                place,
                [
                    FakeRecord(
                        first + n,
                        b'{"job":"%s"}' % job.encode(),
                        None if key is None else key.encode(),
                        int(time.time() * 1000),
                    )
                    for n, (key, job) in enumerate(calls)
                ],
            )
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Let the owner go on until something is so."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.loop.step()

    def watermark(self, place: Place = HERE) -> int:
        """What was committed."""
        return self.consumer.stored.get(place, (0, ""))[0]

    def checkpoint(self, place: Place = HERE) -> Checkpoint:
        found = decode(*self.consumer.stored[place])
        assert found is not None
        return found


class Gate:
    """A job that waits until it is let go; ``began`` counts."""

    def __init__(self, app: App, name: str) -> None:
        self.began = 0
        self.opened = threading.Event()

        @app.job(name=name)
        def wait() -> None:
            self.began += 1
            assert self.opened.wait(DEADLINE)


def declare(app: App) -> list[str]:
    """Two ordinary jobs; gives what ran."""
    ran: list[str] = []

    @app.job(name="do")
    def do() -> None:
        ran.append("do")

    @app.job(name="die")
    def die() -> None:
        ran.append("die")
        raise DeadLetter("no")

    return ran
