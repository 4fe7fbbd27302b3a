"""No more calls of a job run at a time than it says, and others pass those that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from kjobs import App, Concurrency, Discard, current
from kjobs.core.events import Revoking, Stopping
from kjobs.worker.turnstile import Turnstile
from tests.worker.invoking import entry_of
from tests.worker.looping import Rig, declare
from tests.worker.owner import DEADLINE
from tests.worker.test_loop import rigs

__all__ = ["rigs"]


class Crowd:
    """Jobs that wait until they are let go, and count how many of them run."""

    def __init__(self, app: App, name: str, limit: int | Concurrency) -> None:
        self.opened = threading.Event()
        self.running = 0
        self.most = 0
        self.done: list[str | None] = []
        self._lock = threading.Lock()

        @app.job(name=name, concurrency=limit)
        def crowd() -> None:
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
            assert self.opened.wait(DEADLINE)
            with self._lock:
                self.running -= 1
                self.done.append(current().key)


def test_no_more_run_than_may_and_no_slot_waits_for_them(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=4)
    crowd = Crowd(rig.app, "crowd", 2)
    ran = declare(rig.app)
    rig.start()
    rig.assign()
    rig.feed(*[(None, "crowd")] * 20, *[(None, "do")] * 20)
    rig.until(lambda: len(ran) == 20)
    assert crowd.running == 2
    crowd.opened.set()
    rig.until(lambda: rig.watermark() == 40)
    assert crowd.most == 2


def test_the_limit_is_for_each_part_of_the_key_by_itself(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=8)
    crowd = Crowd(rig.app, "crowd", Concurrency(1, prefix=":"))
    rig.start()
    rig.assign()
    rig.feed(*[(f"{shop}:{user}", "crowd") for shop in "abc" for user in range(5)])
    rig.until(lambda: crowd.running == 3)
    crowd.opened.set()
    rig.until(lambda: rig.watermark() == 15)
    assert crowd.most == 3


def test_all_those_that_wait_are_run_one_by_one(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=4)
    crowd = Crowd(rig.app, "crowd", 1)
    rig.start()
    rig.assign()
    keys = [f"k{number}" for number in range(30)]
    rig.feed(*[(key, "crowd") for key in keys])
    rig.until(lambda: crowd.running == 1 and rig.executor.waiting == 0)
    crowd.opened.set()
    rig.until(lambda: rig.watermark() == 30)
    assert sorted(crowd.done) == sorted(keys)  # type: ignore[type-var]
    assert crowd.most == 1


def test_calls_of_one_key_keep_their_order(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=4)
    ran: list[int] = []

    @rig.app.job(name="turn", concurrency=1)
    def turn() -> None:
        ran.append(current().offset)

    rig.start()
    rig.assign()
    rig.feed(*[("k", "turn")] * 50)
    rig.until(lambda: rig.watermark() == 50)
    assert ran == list(range(50))


def test_async_jobs_are_limited_as_well(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=2, async_slots=50)
    running, most = 0, 0

    @rig.app.job(name="drift", concurrency=3)
    async def drift() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    rig.start()
    rig.assign()
    rig.feed(*[(None, "drift")] * 60)
    rig.until(lambda: rig.watermark() == 60)
    assert most == 3


def test_one_that_raises_lets_the_next_one_through(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=2)

    @rig.app.job(name="die", concurrency=1)
    def die() -> None:
        raise Discard("no")

    rig.start()
    rig.assign()
    rig.feed(*[(None, "die")] * 10)
    rig.until(lambda: rig.watermark() == 10)


@pytest.mark.parametrize("ending", ["stop", "revoke"])
def test_those_that_wait_are_given_back_when_the_worker_stops(rigs: Callable[..., Rig], ending: str) -> None:
    rig = rigs(slots=4)
    crowd = Crowd(rig.app, "crowd", 1)
    rig.start()
    rig.assign()
    rig.feed(*[(None, "crowd")] * 10)
    rig.until(lambda: crowd.running == 1 and rig.executor.waiting == 0)
    scheduler = rig.loop.scheduler
    (partition,) = scheduler.partitions.values()
    if ending == "stop":
        rig.loop._handle([Stopping()])
    else:
        rig.loop._handle([Revoking([partition.place])])
    rig.until(lambda: partition.out == 1)
    crowd.opened.set()
    rig.until(lambda: not rig.loop.busy())
    assert len(crowd.done) == 1


def test_one_that_was_called_and_comes_late_stays_the_first() -> None:
    turnstile, called = Turnstile(), []
    turnstile.again = called.append
    first, second, third, fourth = (entry_of(b"", offset=number) for number in range(4))
    assert turnstile.enter("t", 1, first)
    assert not turnstile.enter("t", 1, second)
    assert not turnstile.enter("t", 1, third)
    turnstile.leave("t")
    assert called == [second]
    assert turnstile.enter("t", 1, fourth)  # it was quicker
    assert not turnstile.enter("t", 1, second)
    turnstile.leave("t")
    assert called == [second, second]
    assert turnstile.enter("t", 1, second)
    assert turnstile.recall() == [third]


def test_kinds_do_not_wait_for_each_other() -> None:
    turnstile = Turnstile()
    assert turnstile.enter("a", 1, entry_of(b""))
    assert turnstile.enter("b", 1, entry_of(b""))
