"""Retention overtakes the group: the exact range that is gone is told, and what is left is run."""

from __future__ import annotations

import time

import pytest

from kjobs.core.checkpoint import decode
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h


def _delete(scenario: Scenario, before: int) -> None:
    """Delete what is below an offset, as retention does."""
    place = (scenario.topic, 0)
    first = scenario.broker.starts([place])[place]
    scenario.broker.delete_records(place, before)
    scenario.tell(h.GapInjected(time.monotonic(), place=place, first=first, after=before))


def _finished_above(scenario: Scenario) -> list[tuple[int, int]]:
    """What a commit at offset 0 says to be unfinished below its highest finished offset, if that is 10."""
    offset, text = scenario.broker.metadata(scenario.group, (scenario.topic, 0))
    checkpoint = decode(offset, text)
    if checkpoint is None or (offset, checkpoint.high) != (0, 10):
        return []
    return list(checkpoint.unfinished)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_retention_overtakes_while_no_worker_runs(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.enqueue_many([("ok",)] * 20, key="a")
    scenario.worker("--burst").ends(0)
    scenario.enqueue_many([("ok",)] * 30, key="a")
    _delete(scenario, 35)
    scenario.worker().ready()
    scenario.finish()
    history = scenario.judge()

    gaps = [(event.first, event.after) for event in history if isinstance(event, h.Gap)]
    assert gaps == [(20, 35)]
    assert len(scenario.succeeded_calls()) == 35


def test_retention_that_took_what_a_failing_call_was_not_done_with(scenario: Scenario) -> None:
    """The commit says that calls above the gap are finished, and how often others failed."""
    scenario.set_up(partitions=1)
    gate = scenario.folder / "gate"
    scenario.enqueue(str(gate), job=scenario.jobs.wait, key="stuck")
    scenario.enqueue_many([("ok",)] * 9, key="a")
    first = scenario.worker(session_timeout=1.5)
    scenario.succeeded(9)
    until(lambda: _finished_above(scenario) == [(0, 1)], "a commit that tells all nine")
    first.kill()
    _delete(scenario, 5)
    scenario.enqueue_many([("ok",)] * 3, key="stuck")
    scenario.worker().ready()
    scenario.finish()
    history = scenario.judge()

    gaps = [(event.first, event.after) for event in history if isinstance(event, h.Gap)]
    assert gaps == [(0, 5)]
    starts = [event.offset for event in history if isinstance(event, h.Started)]
    assert sorted(starts) == list(range(13)), "what was finished above the gap ran again"


def test_retention_overtakes_a_slow_worker(scenario: Scenario) -> None:
    scenario.set_up(partitions=1, threads=1)
    gate = scenario.folder / "gate"
    scenario.enqueue(str(gate), job=scenario.jobs.wait)
    for _ in range(300):
        scenario.enqueue("ok")
    # It reads little ahead: a few kilobytes, and what twice its buffer of ten is.
    scenario.worker(buffer=10, kafka_fetch_message_max_bytes=2000).ready()
    scenario.sees(h.Started)
    _delete(scenario, 250)
    gate.touch()
    scenario.finish()
    history = scenario.judge()

    (gap,) = (event for event in history if isinstance(event, h.Gap))
    assert gap.after == 250
    starts = [event.offset for event in history if isinstance(event, h.Started)]
    assert starts == [*range(gap.first), *range(250, 301)]
