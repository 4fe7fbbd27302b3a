"""The few numbers that the README shows, kept up to date with the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .children import ROOT
from .markdown import table
from .measure import spelled
from .peers.system import SYSTEMS

PAGE = ROOT / "README.md"

_BEGIN, _END = "<!-- written by python -m benchmarks report -->\n", "<!-- end -->"
_COLUMNS = ("noop", "pause", "p50", "p99")
_KJOBS = ("drain.keyed.8", "pauses.10ms.threads.64", "latency.kjobs.p50", "latency.kjobs.p99")
_UNITS = ("/s", "/s", "ms", "ms")


def block(results: Mapping[str, Any]) -> str:
    """The numbers of kjobs beside those of the other systems: medians only."""
    found = results["measures"]
    lines = [_line(found, "**kjobs**, one process, on Kafka", _KJOBS)]
    for system in SYSTEMS:
        names = tuple(f"peers.{system.name}.{column}" for column in _COLUMNS)
        lines.append(_line(found, f"{system.title}, on Redis", names))
    return table(("", "No-op jobs", "10 ms jobs, 64 threads", "Enqueue to start, p50", "p99"), lines) + "\n"


def inside(text: str) -> str:
    """What a text has between the marks."""
    return text.partition(_BEGIN)[2].partition(_END)[0]


def write(results: Mapping[str, Any], path: Path = PAGE) -> None:
    """Put the numbers where the old ones are."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    path.write_text(before + _BEGIN + block(results) + _END + after, encoding="utf-8")


def _line(found: Mapping[str, Any], title: str, names: tuple[str, ...]) -> tuple[str, ...]:
    cells = (found.get(name) for name in names)
    return (
        title,
        *("-" if c is None else spelled(c["median"], unit) for c, unit in zip(cells, _UNITS, strict=True)),
    )
