"""How many processors this process may use."""

from __future__ import annotations

import os
from pathlib import Path

#: Where Linux keeps what a container may use: "quota period" in microseconds, or "max period".
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """The processors that this process may use, at least one; a container's limit is rounded up."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        allowed = os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    if not quota.isdigit():
        return allowed
    return max(1, min(allowed, -(-int(quota) // int(period))))
