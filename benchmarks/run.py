"""A run: round after round of all rows, then the results."""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.servers.kafka import FAST
from tests.servers.shared import SharedKafka
from tests.servers.source import Given, find

from . import machine
from .bench import Bench
from .children import ChildFailedError, Children
from .disturbance import QUIET, Disturbance
from .measure import Measured, spelled
from .results import Run, written
from .rows.row import Row, SkippedError
from .scale import Scale
from .topics import FillError


class Progress:
    """Tells what is being done, and what came out, as it comes."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """A line, with the time since the beginning."""
        print(f"{time.monotonic() - self._begun:6.0f} s  {text}", file=sys.stderr, flush=True)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun


class Rounds:
    """All rows, round after round.

    Args:
        rows: in the order of a round.
        bench: what they work with.
        progress: told of every number.
    """

    def __init__(self, rows: Sequence[Row], bench: Bench, progress: Progress) -> None:
        self._rows = list(rows)
        self._bench = bench
        self._progress = progress
        self._samples: dict[str, list[float]] = {}
        #: Rows that gave no numbers, and why.
        self.skipped: dict[str, str] = {}
        #: Rows that failed, and how. They are not tried again.
        self.failed: dict[str, str] = {}

    def prepare(self) -> None:
        """Make what the rows need."""
        for row in self._rows:
            self._progress.say(f"preparing: {row.name}")
            try:
                row.prepare(self._bench)
            except SkippedError as why:
                self.skipped[row.name] = str(why)
                self._progress.say(f"not measured: {row.name}: {why}")
            except (ChildFailedError, FillError) as error:
                self._fail(row, error)

    def go(self, number: int, of: int) -> None:
        """Measure every row once."""
        for row in self._rows:
            if row.name in self.skipped or row.name in self.failed:
                continue
            titles = {measure.name: measure for measure in row.measures}
            try:
                for name, value in row.measure(self._bench):
                    self._samples.setdefault(name, []).append(value)
                    measure = titles[name]
                    shown = spelled(value, measure.unit)
                    self._progress.say(f"round {number}/{of}  {row.name:8} {shown:>18}  {measure.title}")
            except ChildFailedError as error:
                self._fail(row, error)

    def measured(self) -> list[Measured]:
        """What came out; a row that failed on the way is left out."""
        return [
            Measured(measure, self._samples[measure.name])
            for row in self._rows
            if row.name not in self.failed
            for measure in row.measures
            if measure.name in self._samples
        ]

    def _fail(self, row: Row, error: Exception) -> None:
        self.failed[row.name] = str(error)
        self._progress.say(f"FAILED: {row.name}: {error}")


def run(rows: Sequence[Row], scale: Scale, scale_name: str) -> tuple[str, Mapping[str, str]]:
    """Measure; the results as text, and the rows that failed.

    Raises:
        NoServerError: there is no Kafka.
    """
    progress, disturbance = Progress(), Disturbance()
    began = datetime.now(UTC)
    with ExitStack() as stack:
        source = find()
        own = not isinstance(source, Given)
        description = machine.describe(own_broker=own)
        for name, what in description.items():
            progress.say(f"{name}: {what}")
        progress.say("starting Kafka")
        bootstrap = stack.enter_context(SharedKafka(jvm=FAST, source=source)).bootstrap()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kjobs-bench-")))
        children = stack.enter_context(Children(directory))
        bench = Bench(bootstrap, f"bench-{secrets.token_hex(4)}", scale, directory, children)
        if not own:
            stack.callback(bench.topics.remove)
        rounds = Rounds(rows, bench, progress)
        rounds.prepare()
        for number in range(1, scale.rounds + 1):
            rounds.go(number, scale.rounds)
    # A broker that is not our child would count as somebody else.
    others = disturbance.share() if own else None
    if others is not None and others > QUIET:
        progress.say(f"THE MACHINE WAS NOT QUIET: {others:.0%} of its time went to other processes")
    outcome = Run(
        scale=scale_name,
        began=f"{began:%Y-%m-%d %H:%M} UTC",
        seconds=progress.seconds,
        rounds=scale.rounds,
        machine=description,
        others=others,
        not_measured={**rounds.skipped, **dict.fromkeys(rounds.failed, "it failed")},
    )
    return written(outcome, rounds.measured()), rounds.failed
