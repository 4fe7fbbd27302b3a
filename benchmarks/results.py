"""What a run found, as it is kept: ``benchmarks/results/latest.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figure import FIGURES, Verdict
from .measure import Measured

#: The results that the documentation shows.
LATEST = Path(__file__).with_name("results") / "latest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The frame of a run.

    Attributes:
        scale: "full" or "quick".
        began: when, as text.
        seconds: how long it took.
        rounds: how many were finished.
        machine: what it ran on.
        others: the share of the machine's time that went to other processes, if that is known.
        not_measured: rows without numbers, with the reason.
    """

    scale: str
    began: str
    seconds: float
    rounds: int
    machine: Mapping[str, str]
    others: float | None
    not_measured: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reached:
    """A figure's value and what it is worth."""

    title: str
    unit: str
    minimum: float
    aim: float
    value: float
    verdict: Verdict
    at_most: bool


def figures(medians: Mapping[str, float]) -> list[Reached]:
    """The figures whose measures were taken."""
    found: list[Reached] = []
    for figure in FIGURES:
        try:
            value = figure.value(medians)
        except KeyError:
            continue
        found.append(
            Reached(
                *(figure.title, figure.unit, figure.minimum, figure.aim, value),
                verdict=figure.verdict(value),
                at_most=figure.at_most,
            )
        )
    return found


def written(run: Run, measured: Sequence[Measured]) -> str:
    """Results as the text of a file."""
    medians = {each.measure.name: each.median for each in measured}
    whole = {
        "format": 1,
        "scale": run.scale,
        "began": run.began,
        "seconds": round(run.seconds),
        "rounds": run.rounds,
        "machine": dict(run.machine),
        "others": None if run.others is None else rounded(run.others),
        "not_measured": dict(run.not_measured),
        "measures": {
            each.measure.name: {
                "unit": each.measure.unit,
                "min": rounded(min(each.samples)),
                "median": rounded(each.median),
                "max": rounded(max(each.samples)),
                "samples": [rounded(sample) for sample in each.samples],
            }
            for each in measured
        },
        "figures": [
            {
                "title": reached.title,
                "value": rounded(reached.value),
                "unit": reached.unit,
                "limit": "at most" if reached.at_most else "at least",
                "minimum": reached.minimum,
                "aim": reached.aim,
                "verdict": reached.verdict,
            }
            for reached in figures(medians)
        ],
    }
    return json.dumps(whole, indent=2) + "\n"


def rounded(value: float) -> float:
    """Four digits are more than a measurement is worth."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def read(path: Path) -> dict[str, Any]:
    """Results as they were kept."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
