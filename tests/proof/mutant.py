"""What a change of the source that breaks one rule is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the source that breaks one rule; ``module`` is a path in ``kjobs``."""

    name: str
    rule: str
    module: str
    old: str
    new: str
