"""Counts executions from outside the process that executes.

A job appends bytes to a file, one system call each; whoever looks at the file's size knows how many ran.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .children import Child, ChildFailedError

#: Seconds between two looks.
_LOOK = 0.001


@dataclass(frozen=True, slots=True)
class Span:
    """What was seen between the first look that saw something and the last."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        """Executions per second."""
        return self.count / self.seconds


class Tally:
    """A file of marks.

    Args:
        path: the file; made empty.
        width: the bytes of one mark.
    """

    def __init__(self, path: Path, width: int = 1) -> None:
        self.path = path
        self._width = width
        path.write_bytes(b"")

    @property
    def count(self) -> int:
        """Marks so far."""
        return self.path.stat().st_size // self._width

    def numbers(self) -> list[int]:
        """The marks as whole numbers, in the order they were appended."""
        marks = self.path.read_bytes()
        return [
            int.from_bytes(marks[at : at + self._width], "little", signed=True)
            for at in range(0, len(marks) - self._width + 1, self._width)
        ]

    def watch(self, total: int, child: Child, seconds: float, before: int = 0) -> Span:
        """Time the way from the first mark to the last one.

        The marks that are there at the first look are not counted: nobody saw when they came.

        Args:
            total: how many marks there will be.
            child: who makes them.
            seconds: how long that may take.
            before: marks of what ended before.

        Raises:
            ChildFailedError: the child ended, or the time was over, before the last mark.
        """
        deadline = time.monotonic() + seconds
        child.await_that(lambda: self.count > before, "its first execution", seconds)
        begun, first = time.monotonic(), self.count
        while (count := self.count) < total:
            now = time.monotonic()
            if now > deadline or not child.running:
                raise child.failure(f"had executed {count:,} of {total:,} after {now - begun:.1f} s")
            time.sleep(_LOOK)
        ended = time.monotonic()
        if count == first:
            raise ChildFailedError(f"all {total:,} executions were done at the first look; measure more")
        return Span(count - first, ended - begun)
