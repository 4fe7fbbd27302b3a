"""A call that outlasts its time limit in C code: its process makes room, and no other call notices."""

from __future__ import annotations

import pytest

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.patience import until


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_it_is_tried_again_in_a_new_process_and_no_other_call_is_run_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=4, session=10.0)
    worker = scenario.worker("--processes", "2").ready()
    before = dict(worker.children)
    mark = scenario.folder / "mark"
    with Load(scenario, scripts=("ok", "ok", "fail ok")):
        scenario.succeeded(10)
        stuck = scenario.enqueue(str(mark), job=scenario.jobs.stick, key="stuck")
        behind = scenario.enqueue(key="stuck")
        until(
            lambda: {stuck.id, behind.id} <= scenario.succeeded_calls(), "both are done", told=scenario.tails
        )
        until(
            lambda: set(worker.children.values()) != set(before.values()),
            "its process is replaced",
            told=scenario.tails,
        )
        count = len(scenario.succeeded_calls())
        scenario.succeeded(count + 20)
    scenario.finish()
    assert "has not ended 5 s after its job's timeout" in worker.output
    assert "ctypes.CDLL(None).sleep(3600)" in worker.output, "where it is"
    assert len(set(worker.children.values()) & set(before.values())) == 1, "the other one goes on"
    scenario.judge(graceful_only=True, slots=None)
