"""What a change of the source that breaks one rule is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the source that breaks one rule.

    Attributes:
        module: a path in ``kjobs``.
        test: the test that notices, where worlds in which it matters are too rare.
    """

    name: str
    rule: str
    module: str
    old: str
    new: str
    test: str = ""
