"""How much of the machine went to processes that are none of ours while a run lasted."""

from __future__ import annotations

import os
import resource
from pathlib import Path

#: Share of the machine's time that others may have without being spoken of.
QUIET = 0.05

_STAT = Path("/proc/stat")


class Disturbance:
    """Begins to look when it is made."""

    def __init__(self) -> None:
        self._begun = _times()

    def share(self) -> float | None:
        """The share of the processors' time that others used, or that the host did not give us.

        To be asked when all children have ended: the kernel tells of their time then. None where the
        system does not say.
        """
        ended = _times()
        if self._begun is None or ended is None:
            return None
        total, busy, own = (after - before for after, before in zip(ended, self._begun, strict=True))
        return max(0.0, busy - own) / total if total else None


def _times() -> tuple[float, float, float] | None:
    """Seconds in all, busy or stolen ones, and those of this process and its ended children."""
    if not _STAT.exists():
        return None
    ticks = [int(word) for word in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, idle, waiting, interrupts, soft, stolen = ticks
    busy = user + nice + system + interrupts + soft + stolen
    second = os.sysconf("SC_CLK_TCK")
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return (busy + idle + waiting) / second, busy / second, own
