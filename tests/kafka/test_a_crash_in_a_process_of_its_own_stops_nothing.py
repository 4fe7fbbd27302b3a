"""Isolated calls that crash: they are tried again, given up after three, and nothing else notices."""

from __future__ import annotations

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


def test_a_call_that_crashes_every_time_is_dead_after_three_and_others_do_not_notice(
    scenario: Scenario,
) -> None:
    scenario.set_up(partitions=2)
    worker = scenario.worker().ready()
    marks = scenario.folder / "marks"
    with Load(scenario, scripts=("ok", "ok", "fail ok")):
        poison = scenario.enqueue(str(marks), 100, job=scenario.jobs.crack, key="poison")
        behind = scenario.enqueue(key="poison")
        until(lambda: scenario.events(h.Buried), "it is buried", told=scenario.tails)
        until(lambda: behind.id in scenario.succeeded_calls(), "its key goes on", told=scenario.tails)
    scenario.finish()
    assert len(marks.read_text().split()) == 3
    (letter,) = scenario.broker.read(scenario.dead_topic)
    headers = {name: (value or b"").decode() for name, value in letter.headers}
    assert headers["kj-id"] == poison.id
    assert headers["kj-reason"] == "crashed"
    assert headers["kj-attempts"] == "3"
    assert "was killed by SIGSEGV" in headers["kj-message"]
    assert worker.code == 0


def test_crashes_are_remembered_by_the_next_worker(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    marks = scenario.folder / "marks"
    first = scenario.worker().ready()
    scenario.enqueue(str(marks), 100, job=scenario.jobs.crack, key="poison")
    first.says("its process was killed by SIGSEGV")
    until(lambda: scenario.events(h.Ended), "it is known", told=scenario.tails)
    first.stop()
    scenario.worker().ready()
    scenario.finish()
    assert len(marks.read_text().split()) == 3
    assert len(scenario.broker.read(scenario.dead_topic)) == 1


def test_one_that_crashes_twice_and_not_again_succeeds(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    marks = scenario.folder / "marks"
    scenario.enqueue(str(marks), 2, job=scenario.jobs.crack, key="k")
    scenario.finish()
    assert len(marks.read_text().split()) == 3
    assert not scenario.broker.read(scenario.dead_topic)
