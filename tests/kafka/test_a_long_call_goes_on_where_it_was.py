"""Calls that store how far they are: whatever becomes of their worker, the next one goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kjobs import Handle
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


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
        until(lambda: self.made[-len(steps) :] == list(steps), f"{steps} are made", told=self._scenario.tails)

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
    def begun(self) -> list[str]:
        """What its attempts began with."""
        return self._lines("begun")

    def _lines(self, name: str) -> list[str]:
        file: Path = self._folder / name
        return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("job", ["climb", "rove", "trek"])
def test_after_a_crash_of_its_worker_it_goes_on_and_its_key_waits(scenario: Scenario, job: str) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker().ready()
    way = Way(scenario, job, key="k")
    behind = [scenario.enqueue("ok", key="k") for _ in range(3)]
    others = [scenario.enqueue("ok", key=f"other-{n}") for n in range(5)]
    way.let(0, 1, 2)
    way.stored(3)
    until(lambda: {call.id for call in others} <= scenario.succeeded_calls(), "others go on")
    first.kill()
    scenario.worker().ready()
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "3"]
    assert way.made == [0, 1, 2, 3, 4]
    order = [effect.call for effect in scenario.events(h.Effect) if effect.ok]
    assert [call for call in order if call in {way.handle.id, *(b.id for b in behind)}] == [
        way.handle.id,
        *(b.id for b in behind),
    ]
    if job != "trek":  # a call in a cell is witnessed twice
        scenario.judge()
