"""The history of a partition whose topic was deleted and made anew: that of each of the topics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proof import history as h

_MISTAKEN = (h.Started, h.Ended, h.Effect, h.Committed, h.CommitFailed)


@dataclass(frozen=True, slots=True)
class Era:
    """The time of one topic.

    Attributes:
        last: it is there still.
    """

    events: Sequence[h.AnyEvent]
    last: bool


def renewals(shard: Path) -> list[float]:
    """When the topic of a shard was made anew."""
    path = shard.parent.with_name("eras.jsonl")
    if not path.exists():
        return []
    topic = shard.stem.rpartition("-")[0]
    told = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(line["t"] for line in told if line["topic"] == topic)


def eras(events: Sequence[h.AnyEvent], renewed: Sequence[float]) -> list[Era]:
    """Take a history apart.

    With the classic protocol a worker goes on at its old position until it looks at the topic's id. What it
    does until it is assigned the partition anew, it does by mistake; that is left out.
    """
    if not renewed:
        return [Era(events, last=True)]
    ordered = sorted(events, key=lambda event: event.t)
    begins = [_taken_over(ordered, t) for t in renewed]
    parts: list[list[h.AnyEvent]] = [[] for _ in range(len(renewed) + 1)]
    of_call: dict[str, int] = {}
    for event in ordered:
        if isinstance(event, h.Enqueued):
            of_call[event.call] = _era(event.t, renewed)
    for event in ordered:
        place = getattr(event, "place", None)
        if place is None:
            for part in parts:
                part.append(event)
        elif isinstance(event, h.Enqueued | h.Logged):
            parts[_era(event.t, renewed)].append(event)
        elif isinstance(event, h.DeadLogged):
            parts[of_call.get(event.call or "", len(renewed))].append(event)
        elif _era(event.t, begins) == _era(event.t, renewed) or not isinstance(event, _MISTAKEN):
            parts[_era(event.t, begins)].append(event)
    return [Era(part, last=index == len(renewed)) for index, part in enumerate(parts)]


def _taken_over(ordered: Sequence[h.AnyEvent], renewed: float) -> float:
    """When somebody was assigned the partition for the first time since then."""
    found = (event.t for event in ordered if isinstance(event, h.AssignedTo) and event.t > renewed)
    return min(found, default=float("inf"))


def _era(t: float, borders: Sequence[float]) -> int:
    return sum(t >= border for border in borders)
