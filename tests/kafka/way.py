"""A call of a scenario that makes steps, and stores each that is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kjobs import Handle
from tests.kafka.scenario import Scenario
from tests.patience import until


class Way:
    """A call that makes steps, and its folder."""

    def __init__(self, scenario: Scenario, job: str, steps: int = 5, *args: Any, **options: Any) -> None:
        self._scenario = scenario
        self._folder = scenario.folder / f"way-{job}-{options.get('key')}"
        self._folder.mkdir()
        self.handle: Handle = scenario.enqueue(
            str(self._folder), steps, *args, job=getattr(scenario.jobs, job), **options
        )

    def let(self, *steps: int) -> None:
        """Let it make steps, and wait until they are made and stored: it is at the next one."""
        for step in steps:
            (self._folder / f"go-{step}").touch()
        until(lambda: self.told[-len(steps) :] == list(steps), f"{steps} are made", told=self._scenario.tails)

    def let_all(self) -> None:
        """Let it go to its end."""
        (self._folder / "go").touch()

    def stored(self, state: int) -> None:
        """Wait until the log has a state."""
        wanted = b"%d" % state

        def is_there() -> bool:
            found = self._scenario.waiting().values()
            return any(dict(record.headers).get("kj-state") == wanted for record in found)

        until(is_there, f"{state} is stored", told=self._scenario.tails)

    @property
    def made(self) -> list[int]:
        """The steps that were made."""
        return [int(line) for line in self._lines("made")]

    @property
    def told(self) -> list[int]:
        """The steps of which it was told that they are stored."""
        return [int(line) for line in self._lines("told")]

    @property
    def begun(self) -> list[str]:
        """What its attempts began with."""
        return self._lines("begun")

    @property
    def refused(self) -> list[str]:
        """What was raised instead of storing a step."""
        return self._lines("refused")

    def _lines(self, name: str) -> list[str]:
        file: Path = self._folder / name
        return file.read_text().split() if file.exists() else []
