"""What is wrong with a history: violations, each under the code of the invariant that it breaks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .history import Event


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that a history breaks.

    Attributes:
        code: "I1" and so on; "H0" for a history that contradicts itself.
        message: what happened, in words.
        events: the events that show it, the offending one last.
    """

    code: str
    message: str
    events: tuple[Event, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}", *(f"    {event}" for event in self.events)]
        return "\n".join(lines)


@dataclass(slots=True)
class Findings:
    """Collects violations, and stops listing those of one code after ``most``."""

    most: int
    found: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, code: str, message: str, *events: Event | None) -> None:
        """Note a violation; events that are None are left out."""
        self.counts[code] += 1
        if self.counts[code] <= self.most:
            self.found.append(Violation(code, message, tuple(e for e in events if e is not None)))

    def told(self) -> list[Violation]:
        """The violations, the earliest offence first: it is often the cause of the others."""
        ordered = sorted(self.found, key=lambda v: v.events[-1].t if v.events else float("inf"))
        for code, count in sorted(self.counts.items()):
            if count > self.most:
                ordered.append(Violation(code, f"and {count - self.most} more violations of {code}"))
        return ordered
