"""The reference model with one mistake each: what the checker must notice in random runs."""

from __future__ import annotations

from typing import Final

from .history import Logged
from .reference_model import PARTS, Memory, Model, Zombie
from .script import Run


class Overtaking(Model):
    """Begins calls whose key is not free."""

    def _ready(self) -> list[Logged]:
        running = {(run.record.place, run.record.offset) for run in self._running}
        return [
            record
            for part in PARTS
            for record in self._unfinished(part)
            if (record.place, record.offset) not in running
            and self._memory[part].due.get(record.offset, 0.0) <= self.script.now
        ]


class CommitsTheHighest(Model):
    """Commits past calls that still run."""

    def _watermark(self, part: int) -> int:
        return max(self._memory[part].finished, default=-1) + 1


class CommitsNothingAboveTheWatermark(Model):
    """Forgets in a crash what finished out of order."""

    def commit(self, choice: int = 0) -> None:
        super().commit(choice)
        for part in PARTS:
            kept = self._kept[part]
            kept.finished = set(range(self._watermark(part)))


class ForgetsFailures(Model):
    """Counts from the beginning after every crash."""

    def commit(self, choice: int = 0) -> None:
        super().commit(choice)
        for part in PARTS:
            self._kept[part].failures.clear()
            self._kept[part].due.clear()


class Impatient(Model):
    """Does not wait between attempts."""

    def _wait(self, run: Run, result: str, seconds: float) -> None:
        super()._wait(run, result, seconds)
        self._memory[run.record.place[1]].due.clear()


class CountsSnoozes(Model):
    """Takes a snooze for a failure."""

    def _wait(self, run: Run, result: str, seconds: float) -> None:
        super()._wait(run, result, seconds)
        if result == "snoozed":
            failures = self._memory[run.record.place[1]].failures
            failures[run.record.offset] = failures.get(run.record.offset, 0) + 1


class BuriesWithoutWaiting(Model):
    """Takes a dead letter for written that never was."""

    def _bury(self, record: Logged, reason: str) -> None:
        self._memory[record.place[1]].finished.add(record.offset)


class GoesOn(Model):
    """Goes on after a freeze as if nothing had happened."""

    def _resume(self, zombie: Zombie) -> None:
        super()._resume(zombie)
        for record in self._ready()[:1]:
            if record.call is not None:
                self.script.end(self.script.start(zombie.inc, record))


class Hasty(Model):
    """Takes over from a process that is not frozen, and whose lease is not over."""

    def _suspend(self) -> None:
        pass

    def _resume(self, zombie: Zombie) -> None:
        pass


class Rewinding(Model):
    """Starts from the beginning after a crash, whatever was committed."""

    def crash(self, choice: int) -> None:
        self._kept = {part: Memory() for part in PARTS}
        for part in PARTS:
            self.script.shelf(part).committed = 0
        super().crash(choice)


class Unleased(Model):
    """Does not commit unless it is asked to."""

    def _keep_up(self) -> None:
        pass

    def wait(self, choice: int) -> None:
        self.script.tick(1.0 * (1 + choice % 6))


#: The mistakes, and a code under which each must be noticed.
WRONG: Final[tuple[tuple[type[Model], str], ...]] = (
    (Overtaking, "I3"),
    (Overtaking, "I5"),
    (CommitsTheHighest, "I8"),
    (CommitsNothingAboveTheWatermark, "I10"),
    (ForgetsFailures, "I14"),
    (Impatient, "I14"),
    (CountsSnoozes, "I14"),
    (BuriesWithoutWaiting, "I8"),
    (BuriesWithoutWaiting, "I18"),
    (GoesOn, "I7"),
    (Hasty, "I6"),
    (Rewinding, "I4"),
    (Rewinding, "I9"),
    (Unleased, "I7"),
)
