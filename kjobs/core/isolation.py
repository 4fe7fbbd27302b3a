"""What a job asks for when its calls run in processes of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .duration import Duration, seconds

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE = re.compile(r"(\d+)\s*([KMG]?)(?:iB|B)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """Limits of a process that runs calls of a job, one at a time; macOS keeps to ``cpu`` only.

    >>> Isolation(memory="512M", cpu="60s").memory
    536870912

    Args:
        memory: bytes of address space, or text such as "512M" (1M is 1,048,576); None for no limit. A call
            that wants more gets a ``MemoryError``, or is ended by the code that did not expect one.
        cpu: processor time of one call; None for no limit. A call that needs more is killed.

    Raises:
        ValueError: a limit cannot be read, or is zero.
    """

    memory: int | str | None = None
    cpu: Duration | None = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            object.__setattr__(self, "memory", _bytes(self.memory))
        if self.cpu is not None:
            object.__setattr__(self, "cpu", seconds(self.cpu))
            if not self.cpu:
                raise ValueError("Isolation(cpu=0): expected more than no time")

    @property
    def bytes(self) -> int | None:
        """The limit of memory, in bytes."""
        return self.memory if isinstance(self.memory, int) else None

    @property
    def cpu_seconds(self) -> float | None:
        """The limit of processor time, in seconds."""
        return None if self.cpu is None else seconds(self.cpu)


def _bytes(size: int | str) -> int:
    """A size in bytes."""
    found = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found is not None:
        size = int(found[1]) * _UNITS[found[2].upper()]
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f'Isolation(memory={size!r}): expected bytes, or text such as "512M"')
    return size
