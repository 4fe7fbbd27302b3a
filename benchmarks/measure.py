"""A measure: one number, taken once in each round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured.

    Attributes:
        name: unique, with the row's name in front: ``drain.keyed.8``.
        title: the same for people.
        unit: of the number.
        worst: one bad round is bad: the largest number is told, and not the median.
    """

    name: str
    title: str
    unit: str
    worst: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure with what came out, one number per round."""

    measure: Measure
    samples: Sequence[float]

    @property
    def median(self) -> float:
        """The number that is told."""
        return max(self.samples) if self.measure.worst else statistics.median(self.samples)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; the nearest one that was seen."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def spelled(value: float, unit: str = "") -> str:
    """A number as people read it: as exact as it is worth."""
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif abs(value) >= 100:
        text = f"{value:.0f}"
    elif abs(value) >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}"
    if not unit:
        return text
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"
