"""Appends marks to the file that is watched from outside; imports nothing that costs anything."""

from __future__ import annotations

import os

_file = os.open(os.environ.get("BENCH_TALLY", os.devnull), os.O_WRONLY | os.O_APPEND)


def one() -> None:
    """Count an execution."""
    os.write(_file, b".")


def number(value: int) -> None:
    """Count an execution by a number."""
    os.write(_file, value.to_bytes(8, "little", signed=True))
