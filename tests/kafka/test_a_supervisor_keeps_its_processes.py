"""Several worker processes under one supervisor: they come and go, and no call is lost or run twice."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.kafka.worker import Worker
from tests.patience import until


def supervised(scenario: Scenario, processes: int = 2, **settings: object) -> Worker:
    return scenario.worker("--processes", str(processes), **settings).ready()


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def inc(worker: Worker, number: int) -> str:
    """How one of its processes is called in the history."""
    return f"{worker.inc}-{worker.children[number]}"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_restart_of_one_process_after_the_other_runs_no_call_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=6, session=10.0)
    worker = supervised(scenario)
    before = worker.children
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok")):
        scenario.succeeded(30)
        worker.signal(signal.SIGHUP)
        until(
            lambda: not set(worker.children.values()) & set(before.values()),
            "both are replaced",
            told=scenario.tails,
        )
        count = len(scenario.succeeded_calls())
        scenario.succeeded(count + 30)
    scenario.finish()
    assert all(map(gone, before.values()))
    scenario.judge(graceful_only=True, slots=None)


def test_one_process_more_and_one_less_under_load_run_no_call_twice(scenario: Scenario) -> None:
    scenario.set_up(partitions=6, session=10.0)
    worker = supervised(scenario)
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok")):
        scenario.succeeded(30)
        worker.signal(signal.SIGTTIN)
        until(lambda: 2 in worker.children, "a third one begins", told=scenario.tails)
        scenario.succeeded(1, by=inc(worker, 2))
        worker.signal(signal.SIGTTOU)
        until(lambda: gone(worker.children[2]), "the third one ends", told=scenario.tails)
        count = len(scenario.succeeded_calls())
        scenario.succeeded(count + 30)
    scenario.finish()
    scenario.judge(graceful_only=True, slots=None)


def test_a_process_that_is_killed_is_replaced_and_nothing_is_lost(scenario: Scenario) -> None:
    scenario.set_up(partitions=6, session=6.0)
    worker = supervised(scenario)
    first = worker.children[1]
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok")):
        scenario.succeeded(30)
        os.kill(first, signal.SIGKILL)
        scenario.killed(inc(worker, 1))
        until(lambda: worker.children[1] != first, "it is replaced", told=scenario.tails)
        count = len(scenario.succeeded_calls())
        scenario.succeeded(count + 60)
    scenario.finish()
    scenario.judge(slots=None)


def test_a_named_process_that_is_killed_has_its_partitions_back_before_its_session_is_over(
    scenario: Scenario,
) -> None:
    # A session that nobody would wait for: what goes on within it does so because the name is known.
    scenario.set_up(partitions=4, session=60.0)
    worker = supervised(scenario, instance="here")
    killed = worker.children[1]
    with Load(scenario, scripts=("ok",)):
        scenario.succeeded(30)
        os.kill(killed, signal.SIGKILL)
        scenario.killed(inc(worker, 1))
        worker.says("killed by SIGKILL; the next one begins now")
        until(lambda: worker.children[1] != killed, "it is replaced", told=scenario.tails)
        scenario.succeeded(10, by=inc(worker, 1))
    scenario.finish()
    scenario.judge(slots=None)


@pytest.mark.parametrize("protocol", ["consumer"])
def test_a_name_that_the_group_still_holds_is_asked_for_until_it_is_free(scenario: Scenario) -> None:
    # The new protocol gives a name away when the session of the one who had it is over, and not before.
    scenario.set_up(partitions=4, session=6.0)
    worker = supervised(scenario, instance="here")
    killed = worker.children[1]
    with Load(scenario, scripts=("ok",)):
        scenario.succeeded(30)
        os.kill(killed, signal.SIGKILL)
        scenario.killed(inc(worker, 1))
        worker.says("the Kafka consumer cannot go on")
        until(lambda: scenario.succeeded_calls(by=inc(worker, 1)), "the next one works", told=scenario.tails)
    scenario.finish()
    assert worker.children[1] != killed
    scenario.judge(slots=None)


def test_a_job_that_holds_the_interpreter_is_ended_and_told_where_it_is(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=6.0)
    worker = supervised(scenario, watchdog=2.0, instance="here")
    mark = scenario.folder / "mark"
    held = scenario.enqueue(str(mark), job=scenario.jobs.grip, key="k")
    behind = scenario.enqueue(key="k")
    until(lambda: {held.id, behind.id} <= scenario.succeeded_calls(), "both are done", told=scenario.tails)
    scenario.finish()
    assert "its owner thread has given no sign for 2 s" in worker.output
    assert "in grip\n" in worker.output, "its stack is not there"


def test_processes_without_a_supervisor_stop_in_order(scenario: Scenario) -> None:
    scenario.set_up(partitions=4, session=10.0)
    worker = supervised(scenario)
    with Load(scenario, scripts=("ok", "ok", "ok", "fail ok")):
        scenario.succeeded(30)
        worker.kill()
        for pid in worker.children.values():
            until(lambda pid=pid: gone(pid), "it ends", told=scenario.tails)  # type: ignore[misc]
        assert "the supervisor is gone: stopping" in worker.output
        supervised(scenario)
        count = len(scenario.succeeded_calls())
        scenario.succeeded(count + 30)
    scenario.finish()
    scenario.judge(graceful_only=True, slots=None)


def test_quiet_processes_begin_nothing_and_keep_their_partitions(scenario: Scenario) -> None:
    scenario.set_up(partitions=2, session=6.0)
    gate = scenario.folder / "gate"
    worker = supervised(scenario)
    running = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="k")
    scenario.begun(running)
    worker.signal(signal.SIGTSTP)
    until(lambda: worker.output.count("no more calls begin") == 2, "both are quiet", told=scenario.tails)
    later = [scenario.enqueue(key=key).id for key in ("k", "l", "m", "n", None)]
    gate.touch()
    until(lambda: running.id in scenario.succeeded_calls(), "what runs ends", told=scenario.tails)
    worker.stop()
    assert scenario.succeeded_calls() == {running.id}
    supervised(scenario)
    scenario.finish()
    assert scenario.succeeded_calls() == {running.id, *later}
    scenario.judge(graceful_only=True, slots=None)


def test_they_say_what_runs_and_where_it_is(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    gate = scenario.folder / "gate"
    worker = supervised(scenario)
    running = scenario.enqueue(str(gate), job=scenario.jobs.wait, key="k")
    scenario.begun(running)
    worker.signal(signal.SIGUSR1)
    worker.says(f"wait {running.id} key='k'")
    worker.says("in wait\n")
    gate.touch()
    scenario.finish()


def test_the_second_request_to_stop_is_obeyed_at_once(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    worker = supervised(scenario)
    running = scenario.enqueue(str(scenario.folder / "never"), job=scenario.jobs.wait)
    scenario.begun(running)
    worker.term()
    worker.says("waiting for them")
    worker.signal(signal.SIGTERM)
    worker.ends(2)
    assert all(map(gone, worker.children.values()))


def test_the_supervisor_knows_neither_kafka_nor_jobs(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    worker = supervised(scenario)
    assert "rdkafka" not in Path(f"/proc/{worker.pid}/maps").read_text()
    assert "rdkafka" in Path(f"/proc/{worker.children[0]}/maps").read_text()
    scenario.finish()


def test_modules_that_cannot_be_imported_are_told_once(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    process = scenario.process("-m", "kjobs", "worker", "no.such.jobs", "--processes", "3")
    process.ends(2)
    assert "there is no module 'no.such.jobs'" in process.output
    assert "begins in" not in process.output
