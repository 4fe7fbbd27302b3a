"""What a run found, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: What violations of an invariant mean, in the words of the promises.
MEANINGS = {
    "I1": "lost",
    "I2": "never enqueued, or refused, and run",
    "I3": "out of order in a key",
    "I4": "a replay that leaves something out",
    "I5": "two at once of one key, in one process",
    "I6": "fences that do not rise",
    "I7": "begun without owning the partition",
    "I8": "committed past something unfinished",
    "I9": "commits that went back",
    "I10": "run twice, and nothing explains it",
    "I12": "early",
    "I13": "delayed: lost, or a verdict that is not true",
    "I14": "attempts counted wrongly",
    "I15": "dead letters that are not complete",
    "I16": "dead and done",
    "I17": "crashes again and again, and is not given up",
    "I18": "undecodable and not buried",
    "I19": "taken by retention, and nobody said so",
    "I20": "commits that do not reach the end",
    "I23": "in the log out of the order of the calls",
    "I24": "one offset, two calls",
    "I25": "more memory than allowed",
    "I26": "stops that took too long",
    "I30": "attempts that do not go on with what was saved last",
    "H0": "a history that contradicts itself",
    "DRAIN": "not finished when everything was well again",
    "HARNESS": "the torture itself failed",
}


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The verdict of a run.

    Attributes:
        seed, profile, nodes, protocol, seconds: what was run.
        faults: how often each was injected.
        missed: faults of the plan that could not be injected, and why.
        figures: what was counted.
        violations: by code.
        told: some of them, in words.
    """

    seed: int
    profile: str
    nodes: int
    protocol: str
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    host: str = field(default_factory=lambda: _host())

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not any(self.violations.values())

    def add(self, code: str, words: str) -> None:
        """Take in another violation."""
        self.violations[code] = self.violations.get(code, 0) + 1
        self.told.append(f"{code}: {words}")

    def as_json(self) -> str:
        """The verdict for programs."""
        return json.dumps({"good": self.good, **asdict(self)}, indent=1)

    def write(self, path: Path) -> None:
        """Write it down."""
        path.write_text(self.as_json() + "\n")

    def table(self) -> str:
        """The verdict for people."""
        rows: list[tuple[str, Any]] = [
            ("run", f"seed {self.seed}, {self.profile}, {self.nodes} broker(s), {self.protocol} protocol"),
            ("host", self.host),
            ("faults", f"{sum(self.faults.values()):,}  ({_listed(self.faults)})"),
        ]
        if self.missed:
            rows.append(("not injected", f"{sum(self.missed.values()):,}  ({_listed(self.missed)})"))
        rows += [(name, f"{value:,.10g}") for name, value in self.figures.items()]
        for code, meaning in MEANINGS.items():
            if code in ("I1", "I3", "I8", "I10", "I12") or self.violations.get(code):
                rows.append((f"{code} {meaning}", self.violations.get(code, 0)))
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        lines.append("")
        lines.append("GOOD: nothing was found" if self.good else f"BAD: {_listed(self.violations)}")
        return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    def number(name: str) -> tuple[int, str]:
        digits = name[1:]
        return (int(digits) if digits.isdigit() else 0, name)

    return ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts, key=number) if counts[name])


def _host() -> str:
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores ({model or platform.processor()}), Python {platform.python_version()}"
