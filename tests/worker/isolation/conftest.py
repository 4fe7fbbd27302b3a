"""Cells of the jobs in ``shop.py``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kjobs.context import Context
from kjobs.core.envelope import decode
from kjobs.core.outcome import Outcome
from kjobs.core.partition import Entry
from kjobs.worker.isolation.cells import Cells
from kjobs.worker.isolation.outside import isolated
from tests.worker.invoking import DRAW, call_of, entry_of
from tests.worker.isolation.shop import app

COMMAND = (sys.executable, "-m", "kjobs", "worker", "tests.worker.isolation.shop:app")


class Ward:
    """Runs calls in cells.

    Args:
        cells: where.
    """

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def entry(self, job: str, *args: Any, **more: Any) -> Entry:
        """A call as a worker has it."""
        return entry_of(call_of(job, *args), **more)

    def run(self, entry: Entry) -> Outcome:
        """Make an attempt."""
        envelope = decode(entry.record.value())
        context = Context(entry, envelope, "mail")
        return isolated(context, app.jobs[envelope.job].policy, self.cells, lambda: DRAW)

    def call(self, job: str, *args: Any, **more: Any) -> Outcome:
        """Make an attempt at a new call."""
        return self.run(self.entry(job, *args, **more))


@pytest.fixture
def ward() -> Iterator[Ward]:
    cells = Cells(COMMAND)
    yield Ward(cells)
    cells.close()
