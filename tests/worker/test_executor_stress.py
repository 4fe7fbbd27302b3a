"""Many calls, many threads, and a thread switch at every turn: nothing is lost, doubled or out of order."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from kjobs.core.commands import Commit, Lease, OpenStore, Recall, Start
from kjobs.core.events import Assigned, CaughtUp, Committed, Event, Fetched, Finished, Recalled
from kjobs.core.outcome import OK, Outcome, Snoozed
from kjobs.core.partition import Entry
from kjobs.core.policy import Policy
from kjobs.core.scheduler import Scheduler
from kjobs.worker.fibres import AsyncCall
from tests.core.record import FakeRecord
from tests.worker.owner import DEADLINE, Owner, entries, owned


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("slots", [2, 16])
def test_thousands_of_entries_in_uneven_batches(slots: int) -> None:
    ran: list[int] = []

    def run(entry: Entry) -> Outcome:
        ran.append(entry.offset)
        if entry.offset % 50 == 0:
            time.sleep(0.0005)  # a job that waits for something
        return OK

    rng = random.Random(slots)
    with owned(run, slots=slots) as owner:
        batch = entries(10_000)
        left = batch
        while left:
            count = rng.choice((1, 1, 3, 50, 700))
            owner.executor.start(left[:count])
            left = left[count:]
            owner.look()
            if rng.random() < 0.2 and (back := owner.executor.recall(None)):
                owner.executor.start(back)
        owner.gather(10_000)
    assert Counter(ran) == Counter(range(10_000))
    assert Counter(entry.offset for entry in owner.finished) == Counter(range(10_000))
    assert owner.returned == []


PLACE = ("kjobs.q", 0)


class Rig:
    """The real scheduler and the real executor, with a broker that always says yes."""

    def __init__(self, owner: Owner, keys: list[bytes | None]) -> None:
        self.owner, self.keys = owner, keys
        self.scheduler = Scheduler(chain=5)
        self._perform([Assigned(PLACE, 0)])
        self._fetched = 0

    def feed(self, count: int) -> None:
        """Let more records arrive."""
        until = min(len(self.keys), self._fetched + count)
        records = [FakeRecord(n, by=self.keys[n]) for n in range(self._fetched, until)]
        self._fetched = until
        self._perform([Fetched(PLACE, records)] if records else [])

    def step(self) -> None:
        """One turn of the owner."""
        self.owner.look()
        finished, self.owner.finished = self.owner.finished, []
        returned, self.owner.returned = self.owner.returned, []
        self._perform([Finished(finished), Recalled(returned)])

    def _perform(self, events: list[Event]) -> None:
        while events:
            answers: list[Event] = []
            for command in self.scheduler.handle(events, time.monotonic()):
                match command:
                    case Start(entries=handed):
                        self.owner.executor.start(handed)
                    case Commit(offsets=offsets):
                        answers += [Committed(place, offset) for place, offset, _ in offsets]
                    case Recall(places=places):
                        answers.append(Recalled(self.owner.executor.recall(places)))
                    case OpenStore(place=place):
                        answers.append(CaughtUp(place))
                    case Lease(until=until):
                        self.owner.executor.lease(until)
            events = answers

    @property
    def watermark(self) -> int:
        return self.scheduler.partitions[PLACE].watermark()


@pytest.mark.parametrize("asynchronous", [0.0, 0.5])
def test_the_scheduler_and_the_slots_together(asynchronous: float) -> None:
    rng = random.Random(5)
    total = 4000
    keys = [None if rng.random() < 0.2 else b"%d" % rng.randrange(40) for _ in range(total)]
    slow = {n for n in range(total) if rng.random() < asynchronous}
    nap = {n for n in range(total) if rng.random() < 0.02}
    ran: list[int] = []
    running: Counter[bytes] = Counter()
    together: list[bytes] = []

    def attempt(entry: Entry) -> Outcome:
        if entry.key is not None:
            running[entry.key] += 1
            if running[entry.key] > 1:
                together.append(entry.key)
        if entry.offset % 50 == 0:
            time.sleep(0.0005)  # a job that waits for something
        if entry.offset in nap:
            nap.remove(entry.offset)
            outcome: Outcome = Snoozed(0.001, Policy())
        else:
            ran.append(entry.offset)
            outcome = OK
        if entry.key is not None:
            running[entry.key] -= 1
        return outcome

    def run(entry: Entry) -> Outcome | AsyncCall:
        if entry.offset not in slow:
            return attempt(entry)

        async def later() -> Outcome:
            return attempt(entry)

        return AsyncCall(entry, later)

    with owned(run, slots=8, async_slots=5) as owner:
        rig = Rig(owner, keys)
        deadline = time.monotonic() + DEADLINE
        while rig.watermark < total:
            assert time.monotonic() < deadline, f"stuck at {rig.watermark}"
            rig.feed(rng.choice((0, 1, 20, 400)))
            rig.step()
            if rng.random() < 0.05:
                rig._perform([Recalled(owner.executor.recall(None))])
    assert Counter(ran) == Counter(range(total))
    assert together == []
    for key in set(keys) - {None}:
        mine = [n for n in ran if keys[n] == key]
        assert mine == sorted(mine)
