"""How much memory processes have, by the kernel's word; in MB, 1,000,000 bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .children import Child


def megabytes(child: Child, what: str) -> float:
    """A line of a process' status: ``VmRSS``, what it has now, or ``VmHWM``, the most it had."""
    match = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
    if match is None:
        raise child.failure(f"has no {what}")
    return int(match[1]) * 1024 / 1e6


def of_all(child: Child) -> float:
    """What a process and those that it started have now; what they share counts once."""
    kilobytes = 0
    for process in _session(child.pid):
        with suppress(OSError):  # it may have ended
            match = re.search(r"^Pss:\s*(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
            kilobytes += int(match[1]) if match else 0
    return kilobytes * 1024 / 1e6


def _session(leader: int) -> Iterator[Path]:
    """The processes of a child's session, which is its own."""
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getsid(int(process.name)) == leader:
                yield process
