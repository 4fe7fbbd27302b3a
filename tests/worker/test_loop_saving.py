"""Jobs that store how far they are, through slots, the event loop and the owner; only Kafka is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kjobs import CheckpointError, CheckpointRefused, Snooze, current
from kjobs.core.commands import Erase, Save
from kjobs.core.events import Lost
from tests.worker.looping import HERE, Rig, declare
from tests.worker.test_loop import rigs

__all__ = ["rigs"]


def have_ended(rig: Rig, calls: int) -> None:
    """Wait until so many calls that have stored something are out; in the queue they are done before."""

    def look() -> bool:
        return (
            sum(isinstance(command, Erase) for command in rig.keeper.heard) == calls and not rig.loop.busy()
        )

    rig.until(look)


def test_a_call_goes_on_with_what_it_stored(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    seen: list[Any] = []

    @rig.app.job(name="long")
    def long() -> None:
        call = current()
        seen.append(call.state)
        call.checkpoint([*(call.state or ()), len(seen)])
        seen.append(call.state)
        if len(seen) < 6:
            raise Snooze(0)

    rig.start()
    rig.assign()
    rig.feed(("k", "long"), ("k", "long"))
    have_ended(rig, 2)
    assert seen[:6] == [None, [1], [1], [1, 3], [1, 3], [1, 3, 5]]
    assert seen[6:] == [None, [7]], "the second one begins anew"


def test_an_async_job_does_too_and_blocks_nobody(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    seen: list[Any] = []

    @rig.app.job(name="along")
    async def along() -> None:
        await current().acheckpoint({"n": len(seen)})
        seen.append(current().state)

    rig.start()
    rig.assign()
    rig.feed(*[(None, "along")] * 10)
    have_ended(rig, 10)
    assert len(seen) == 10
    assert all(set(state) == {"n"} for state in seen)


def test_a_slot_does_not_go_on_behind_a_call_that_has_stored_something(rigs: Callable[..., Rig]) -> None:
    """The next one might be committed, and this one come again after it."""
    rig = rigs(slots=1)
    order: list[str] = []

    @rig.app.job(name="long")
    def long() -> None:
        current().checkpoint(1)
        order.append("long")

    @rig.app.job(name="next")
    def following() -> None:
        kinds = [type(command) for command in rig.keeper.heard if isinstance(command, Save | Erase)]
        order.append("next, the other is " + ("out" if kinds[-1] is Erase else "in the store"))

    rig.start()
    rig.assign()
    rig.feed(("k", "next0"), ("k", "long"), ("k", "next"))
    rig.until(lambda: rig.producer.sent)
    rig.producer.sent[0].acknowledge()  # next0 is no job: a dead letter
    rig.until(lambda: rig.watermark() == 3)
    assert order == ["long", "next, the other is out"]


def test_in_a_chain_of_calls_of_one_key_each_may_store(rigs: Callable[..., Rig]) -> None:
    rig = rigs(slots=1)
    ran = declare(rig.app)
    stored: list[int] = []

    @rig.app.job(name="long")
    def long() -> None:
        current().checkpoint(current().offset)
        stored.append(current().state)

    rig.start()
    rig.assign()
    rig.feed(*[("k", "do"), ("k", "do"), ("k", "long")] * 5)
    have_ended(rig, 5)
    rig.until(lambda: rig.watermark() == 15)
    assert stored == [2, 5, 8, 11, 14]
    assert len(ran) == 10


def test_whoever_has_lost_the_partition_is_refused(rigs: Callable[..., Rig]) -> None:
    rig = rigs()
    raised: list[CheckpointError] = []
    waiting: list[Any] = []

    @rig.app.job(name="long")
    def long() -> None:
        call = current()
        waiting.append(call)
        while not call.cancelled:
            pass
        try:
            call.checkpoint(1)
        except CheckpointError as error:
            raised.append(error)
            raise

    rig.start()
    rig.assign()
    rig.feed(("k", "long"))
    rig.until(lambda: waiting)
    rig.loop.hear(Lost([HERE]))
    rig.until(lambda: raised)
    assert isinstance(raised[0], CheckpointRefused)
    assert "its partition was taken away" in str(raised[0])
    assert not any(isinstance(command, Save) for command in rig.keeper.heard)


@pytest.mark.parametrize("slots", [1, 4])
def test_many_calls_store_at_once(rigs: Callable[..., Rig], slots: int) -> None:
    rig = rigs(slots=slots)

    @rig.app.job(name="long")
    def long() -> None:
        for n in range(3):
            current().checkpoint(n)

    rig.start()
    rig.assign()
    rig.feed(*[(f"key-{n % 5}", "long") for n in range(40)])
    have_ended(rig, 40)
    rig.until(lambda: rig.watermark() == 40)
    saves = [command for command in rig.keeper.heard if isinstance(command, Save)]
    assert len(saves) == 120
