"""Scheduler and store together, with everything late and in pieces: order is kept and nothing is lost."""

from __future__ import annotations

from collections import Counter

import pytest

from kjobs.core.deferred import Verdict
from tests.core.playing import Played

KEYS = ("a", "b", "c", None)


def played(
    seed: int, *, chain: int = 1, steps: int = 250, crashes: bool = False, wishes: bool = False
) -> Played:
    """A world that has been through a lot and has come to rest."""
    world = Played(seed, chain=chain)
    world.refusing = not crashes
    rng = world.rng
    for _ in range(steps):
        match rng.randrange(12):
            case 0 | 1:
                world.enqueue(rng.choice(KEYS))
            case 2:
                world.delay(rng.choice(KEYS), rng.choice((0.0, 0.5, 5.0, 4000.0)))
            case 3 if wishes and (delayed := [name for name in world.keys if name[0] == "d"]):
                world.cancel(rng.choice(delayed))
            case 4 if wishes and (delayed := [name for name in world.keys if name[0] == "d"]):
                world.move(rng.choice(delayed), rng.choice((0.0, 1.0, 4000.0)))
            case 5 if crashes and rng.random() < 0.1:
                world.crash()
        for _ in range(6):
            world.step()
    world.settle()
    return world


def queue_order(world: Played, key: bytes) -> list[str]:
    return [name for name in world.keys if name[0] == "q" and world.keys[name] == key]


@pytest.mark.parametrize("seed", range(40))
def test_every_call_succeeds_once_and_each_key_in_order(seed: int) -> None:
    world = played(seed, chain=1 + seed % 3)
    assert Counter(world.succeeded) == Counter(list(world.keys))
    for key in (b"a", b"b", b"c"):
        mine = [name for name in world.succeeded if name[0] == "q" and world.keys[name] == key]
        assert mine == queue_order(world, key)
    assert world.scheduler.partitions[("kjobs.q", 0)].watermark() == len(world.queue)


@pytest.mark.parametrize("seed", range(40))
def test_after_crashes_nothing_is_lost_and_what_comes_again_comes_in_order(seed: int) -> None:
    world = played(seed, chain=1 + seed % 3, crashes=True, steps=400)
    assert set(world.succeeded) == set(world.keys)
    for key in (b"a", b"b", b"c"):
        last = {name: n for n, name in enumerate(world.succeeded) if world.keys[name] == key}
        mine = [name for name in sorted(last, key=lambda name: last[name]) if name[0] == "q"]
        assert mine == queue_order(world, key), "whoever ran again after others did so with them"


@pytest.mark.parametrize("seed", range(60))
def test_a_verdict_that_a_call_is_cancelled_is_true(seed: int) -> None:
    world = played(seed, wishes=True, steps=400)
    begun = Counter(world.begun)
    for name, before in world.begun_when_cancelled.items():
        assert begun[name] == before, f"{name} began after it was said to be cancelled"
    asked = {world.requests[request] for request in world.verdicts if request in world.requests}
    for name in world.keys:
        if name not in asked:
            assert world.succeeded.count(name) == 1
        else:
            assert world.succeeded.count(name) <= 1
    assert set(world.verdicts.values()) >= {Verdict.CANCELLED} or not asked
    unanswered = set(world.requests) - set(world.verdicts)
    assert not unanswered
