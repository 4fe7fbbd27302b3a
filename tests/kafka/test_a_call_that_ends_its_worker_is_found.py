"""Calls that end the process they run in: they become dead letters, and the others go on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.kafka.worker import Worker
from tests.patience import until
from tests.proof import history as h


def watched(scenario: Scenario) -> Worker:
    """A worker whose processes are replaced at once, and know their partitions by their names."""
    scenario.set_up(partitions=2, session=10.0)
    return scenario.worker("--processes", "2", instance="here").ready()


def attempts(marks: Path) -> int:
    with suppress(FileNotFoundError):
        return len(marks.read_text().split())
    return 0


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "with its worker"])
def test_it_is_dead_after_three_crashes_or_five_and_its_key_and_all_others_go_on(
    scenario: Scenario, whole: bool
) -> None:
    worker = watched(scenario)
    marks = scenario.folder / "marks"
    with Load(scenario, scripts=("ok", "ok", "fail ok")):
        scenario.succeeded(10)
        poison = scenario.enqueue(str(marks), 100, whole, job=scenario.jobs.burst, key="poison")
        behind = scenario.enqueue(key="poison")
        until(lambda: scenario.events(h.Buried), "it is buried", told=scenario.tails)
        until(lambda: behind.id in scenario.succeeded_calls(), "its key goes on", told=scenario.tails)
    scenario.finish()
    (letter,) = scenario.broker.read(scenario.dead_topic)
    headers = {name: (value or b"").decode() for name, value in letter.headers}
    assert headers["kj-id"] == poison.id
    assert headers["kj-reason"] == "crashed"
    assert attempts(marks) == (5 if whole else 3)
    assert "ended 2 times in a row without giving it back" in worker.output
    scenario.judge(slots=None)
