"""How this process was begun, so that another one can be begun alike."""

from __future__ import annotations

import sys


def begun_as(*more: str) -> list[str]:
    """The command that this process was begun with, and more arguments."""
    return [sys.executable, *sys.orig_argv[1:], *more]
