"""What every row is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.measure import Measure


class SkippedError(Exception):
    """A row cannot be measured here; the message says why."""


class Row(Protocol):
    """A question and how to answer it.

    Attributes:
        name: what ``--only`` takes.
        title: the heading of its table.
        about: sentences about how it is measured.
        measures: the numbers that answer it.
    """

    name: str
    title: str
    about: str

    @property
    def measures(self) -> Sequence[Measure]: ...

    def prepare(self, bench: Bench) -> None:
        """Make what all rounds need, such as filled queues.

        Raises:
            SkippedError: it cannot be measured on this machine.
        """
        ...

    def measure(self, bench: Bench) -> Iterator[tuple[str, float]]:
        """Measure once; gives the name of each measure with its number, as soon as there is one."""
        ...
