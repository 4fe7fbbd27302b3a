"""The plan of a run: which faults, when, at whom. Drawn from a seed, written before it is carried out.

Swarm style: the run is cut into segments, and each draws a few kinds of faults with rates of its own. A plan
is the same for a seed, a length and a set of kinds; what comes of it is not, as processes run as they do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

#: Kinds of faults in a segment.
_FEWEST, _MOST = 2, 4


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of fault, as far as a plan has to know it.

    Attributes:
        name: such as "F3".
        title: what it is.
        variants: of which each fault is one.
        seconds: how long it lasts at least, and at most.
        gap: seconds between two of this kind in a segment, on average, at least and at most.
        nodes: brokers that it needs.
    """

    name: str
    title: str
    variants: tuple[str, ...] = ("",)
    seconds: tuple[float, float] = (0.0, 0.0)
    gap: tuple[float, float] = (4.0, 20.0)
    nodes: int = 1


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the plan.

    Attributes:
        at: seconds after the beginning.
        fault: its name, such as "F3".
        variant: which of its kind.
        seconds: until it is healed.
        draw: in [0, 1); chooses the target among those that there are then.
    """

    at: float
    fault: str
    variant: str = ""
    seconds: float = 0.0
    draw: float = 0.0


def drawn(seed: int, seconds: float, rows: Sequence[Row], segment: float) -> list[Order]:
    """Draw a plan.

    Args:
        seed: of the draws.
        seconds: how long it is; the last faults are healed by then.
        rows: the kinds of faults.
        segment: seconds for which kinds and rates stay.
    """
    rng = random.Random(seed)
    plan: list[Order] = []
    began = 0.0
    while began < seconds:
        ends = min(began + segment, seconds)
        few = min(len(rows), rng.randint(_FEWEST, _MOST))
        for row in rng.sample(list(rows), few):
            plan += _of(row, rng, began, ends, seconds)
        began = ends
    return sorted(plan, key=lambda order: order.at)


def _of(row: Row, rng: random.Random, began: float, ends: float, last: float) -> Iterable[Order]:
    """The faults of one kind in a segment: one at least, if there is time for it."""
    gap = rng.uniform(*row.gap)
    at = began + rng.uniform(0.0, min(gap, ends - began))
    while at < ends:
        length = rng.uniform(*row.seconds)
        if at + length < last:
            yield Order(
                at=round(at, 3),
                fault=row.name,
                variant=rng.choice(row.variants),
                seconds=round(length, 3),
                draw=round(rng.random(), 6),
            )
        at += max(0.2, rng.expovariate(1 / gap))


def write(plan: Iterable[Order], path: Path) -> None:
    """Write a plan, a line for each fault."""
    encode = msgspec.json.Encoder().encode
    path.write_bytes(b"".join(encode(order) + b"\n" for order in plan))


def read(path: Path) -> list[Order]:
    """Read a plan."""
    decode = msgspec.json.Decoder(Order).decode
    return [decode(line) for line in path.read_bytes().splitlines() if line.strip()]
