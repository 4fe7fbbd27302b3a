"""How hard, and for how long: the profiles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.torture.faults import FAULTS
from tests.torture.plan import Order, Row, drawn


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile.

    Attributes:
        seconds: how long faults go on; putting up, healing, draining and judging come on top.
        segment: seconds for which a few kinds of faults are drawn.
        pace: calls per second of each caller.
        protocols: of the groups, one run after the other.
    """

    name: str
    seconds: float
    segment: float
    pace: float
    protocols: tuple[str, ...]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("pr", 75.0, 25.0, 80.0, ("classic",)),
        Profile("nightly", 1.5 * 3600, 60.0, 300.0, ("classic", "consumer")),
        Profile("release", 12 * 3600, 60.0, 300.0, ("classic", "consumer")),
    )
}
#: For a length of one's own.
CUSTOM = Profile("custom", 180.0, 45.0, 300.0, ("classic",))


def rows(nodes: int, only: Collection[str] = ()) -> list[Row]:
    """The kinds of faults that so many brokers can have; of these, if any are named."""
    return [
        kind.row for name, kind in FAULTS.items() if kind.row.nodes <= nodes and (not only or name in only)
    ]


def plan_of(profile: Profile, seed: int, seconds: float, nodes: int, only: Collection[str]) -> list[Order]:
    """The plan of a run."""
    return drawn(seed, seconds, rows(nodes, only), profile.segment)
