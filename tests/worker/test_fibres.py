"""Async calls: how many at a time, that none is forgotten, and that none sees another's context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from kjobs.core.outcome import OK, Discarded, Outcome
from kjobs.core.partition import Entry
from kjobs.worker.fibres import AsyncCall
from tests.worker.owner import DEADLINE, entries, owned, partition

Attempt = Callable[[Entry], Coroutine[Any, Any, Outcome]]


def as_async(attempt: Attempt) -> Callable[[Entry], AsyncCall]:
    """A run function whose calls are all async."""
    return lambda entry: AsyncCall(entry, lambda: attempt(entry))


async def nothing(entry: Entry) -> Outcome:
    await asyncio.sleep(0)
    return OK


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_every_call_runs_once_however_few_may_run_at_a_time(most: int, count: int) -> None:
    ran: list[int] = []

    async def attempt(entry: Entry) -> Outcome:
        await asyncio.sleep(0)
        ran.append(entry.offset)
        return Discarded("odd") if entry.offset % 2 else OK

    with owned(as_async(attempt), async_slots=most) as owner:
        batch = entries(count)
        owner.executor.start(batch)
        owner.gather(count)
    assert sorted(ran) == sorted(entry.offset for entry in owner.finished) == list(range(count))
    assert all(entry.outcome == (Discarded("odd") if entry.offset % 2 else OK) for entry in batch)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_as_many_run_at_a_time_as_may_and_not_one_more(most: int) -> None:
    running, highest, fewest_with_more_waiting = 0, 0, most
    left = 60

    async def attempt(entry: Entry) -> Outcome:
        nonlocal running, highest, left, fewest_with_more_waiting
        running += 1
        highest = max(highest, running)
        for _ in range(5):
            await asyncio.sleep(0)
        if 10 < left < 40:
            fewest_with_more_waiting = min(fewest_with_more_waiting, running)
        running -= 1
        left -= 1
        return OK

    with owned(as_async(attempt), async_slots=most) as owner:
        owner.executor.start(entries(60))
        owner.gather(60)
    assert highest == most
    assert fewest_with_more_waiting >= 1


def test_all_slots_of_the_loop_are_used() -> None:
    """So many calls wait for each other as may run: if one fewer could, they would wait for ever."""
    most = 3
    arrived: list[asyncio.Event] = []

    async def attempt(entry: Entry) -> Outcome:
        event = asyncio.Event()
        arrived.append(event)
        if len(arrived) == most:
            for other in arrived:
                other.set()
            arrived.clear()
        await asyncio.wait_for(event.wait(), DEADLINE)
        return OK

    with owned(as_async(attempt), async_slots=most) as owner:
        owner.executor.start(entries(most * 20))
        owner.gather(most * 20)


def test_calls_do_not_see_each_others_context() -> None:
    mark: ContextVar[int | None] = ContextVar("mark", default=None)
    seen: list[int | None] = []

    async def attempt(entry: Entry) -> Outcome:
        seen.append(mark.get())
        mark.set(entry.offset)
        await asyncio.sleep(0)
        assert mark.get() == entry.offset
        return OK

    with owned(as_async(attempt), async_slots=2) as owner:
        owner.executor.start(entries(40))
        owner.gather(40)
    assert seen == [None] * 40


def test_an_async_call_does_not_see_the_context_of_the_slot_that_took_it() -> None:
    mark: ContextVar[str | None] = ContextVar("mark", default=None)
    seen: list[str | None] = []

    async def attempt(entry: Entry) -> Outcome:
        seen.append(mark.get())
        return OK

    def run(entry: Entry) -> Outcome | AsyncCall:
        if entry.offset % 2 == 0:
            mark.set("of a call before")
            return OK
        return AsyncCall(entry, lambda: attempt(entry))

    with owned(run, slots=1) as owner:
        owner.executor.start(entries(10))
        owner.gather(10)
    assert seen == [None] * 5


def test_a_slow_async_call_holds_no_thread_and_no_other_call() -> None:
    released = threading.Event()

    async def attempt(entry: Entry) -> Outcome:
        while entry.offset == 0 and not released.is_set():
            await asyncio.sleep(0.001)
        return OK

    with owned(as_async(attempt), slots=1, async_slots=2) as owner:
        owner.executor.start(entries(50))
        owner.gather(49)
        assert 0 not in [entry.offset for entry in owner.finished]
        released.set()
        owner.gather(50)


def test_async_calls_that_wait_can_be_taken_back() -> None:
    released = threading.Event()
    began: list[int] = []

    async def attempt(entry: Entry) -> Outcome:
        began.append(entry.offset)
        while not released.is_set():
            await asyncio.sleep(0.001)
        return OK

    here, there = partition(0), partition(1)
    with owned(as_async(attempt), slots=1, async_slots=1) as owner:
        first, mine, others = entries(1, partition(2)), entries(3, here), entries(2, there)
        owner.executor.start([*first, *mine, *others])
        owner.until(lambda: began and owner.executor.waiting == 0)
        back = owner.executor.recall([here.place])
        assert sorted(entry.offset for entry in back) == [0, 1, 2]
        assert {entry.partition.place for entry in back} == {here.place}
        released.set()
        owner.gather(3)
    assert {entry.partition.place for entry in owner.finished} == {first[0].partition.place, there.place}


def test_an_async_call_that_waited_too_long_does_not_begin() -> None:
    released = threading.Event()
    began: list[int] = []

    async def attempt(entry: Entry) -> Outcome:
        began.append(entry.offset)
        while not released.is_set():
            await asyncio.sleep(0.001)
        return OK

    with owned(as_async(attempt), async_slots=2) as owner:
        batch = entries(6)
        owner.executor.start(batch)
        owner.until(lambda: len(began) == 2 and owner.executor.waiting == 0)
        batch[0].partition.open = False
        released.set()
        owner.until(lambda: len(owner.returned) == 4)
    assert sorted(began) == sorted(entry.offset for entry in owner.finished)
    assert len(began) == 2


def test_a_chain_goes_on_asking_its_owner_after_an_async_call() -> None:
    with owned(as_async(nothing)) as owner:
        batch = entries("aa")
        batch[0].more = True
        owner.executor.start(batch[:1])
        owner.gather(1)
        assert not batch[0].more
