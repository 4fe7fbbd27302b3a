"""Every way that enqueueing can end: acknowledged, refused for certain, or nobody knows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from kjobs import (
    App,
    BatchError,
    CallTooLarge,
    EnqueueError,
    EnqueueRefused,
    Handle,
    OutcomeUnknown,
    UnknownQueue,
    args,
    events,
)
from kjobs.events import EnqueueFailed
from tests.kafka import jobs
from tests.kafka.scenario import Scenario
from tests.patience import PATIENCE, until
from tests.proof import history as h
from tests.servers.kafka import Kafka
from tests.servers.ports import free_ports

#: Keys, and their murmur2 hash as Kafka's own tests have it (UtilsTest.testMurmur2).
_HASHES = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def test_calls_go_to_the_partition_that_java_would_choose(scenario: Scenario) -> None:
    scenario.set_up(partitions=7)
    for key, hashed in _HASHES.items():
        handle = scenario.enqueue(key=key)
        assert handle.partition == (hashed & 0x7FFFFFFF) % 7, key
    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)


def test_calls_without_a_key_go_to_every_partition(scenario: Scenario) -> None:
    scenario.set_up(partitions=4)
    handles = [scenario.enqueue() for _ in range(40)] + scenario.enqueue_many([("ok",)] * 200)
    counts = Counter(handle.partition for handle in handles)
    assert len(counts) == 4
    assert min(counts.values()) >= 15, counts
    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)


def test_what_is_refused_for_certain_never_runs(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    act = scenario.jobs.act

    def refused(kind: type[EnqueueError], enqueue: Callable[[], object]) -> None:
        with pytest.raises(kind) as raised:
            enqueue()
        assert raised.value.definite
        scenario.not_enqueued(raised.value)

    refused(UnknownQueue, lambda: act.options(queue="nowhere").delay("ok"))
    refused(CallTooLarge, lambda: act.delay("x" * 300_000))
    refused(UnknownQueue, lambda: asyncio.run(act.options(queue="nowhere").adelay("ok")))
    refused(CallTooLarge, lambda: asyncio.run(act.adelay("x" * 300_000)))
    # The broker has a limit of its own, and the app may not know it.
    scenario.app.configure(max_size=4_000_000)
    text = random.Random(14).randbytes(1_000_000).hex()  # which does not get much smaller by compression
    refused(CallTooLarge, lambda: act.delay(text))
    scenario.enqueue()
    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)
    assert len(scenario.succeeded_calls()) == 1


def test_a_broker_that_cannot_be_reached_is_a_definite_failure(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    (port,) = free_ports(1)
    app = App(bootstrap_servers=f"127.0.0.1:{port}", prefix=scenario.prefix, enqueue_timeout=1.0)
    act = jobs.declare(app).act
    with pytest.raises(EnqueueRefused, match="cannot be reached") as raised:
        act.delay("ok")
    assert raised.value.definite
    scenario.not_enqueued(raised.value)
    app.close()
    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)


def test_a_call_whose_fate_is_unknown_may_turn_up(private_scenario: Scenario, private_kafka: Kafka) -> None:
    scenario = private_scenario
    scenario.set_up(partitions=2)
    failures: list[EnqueueFailed] = []
    unsubscribe = events.subscribe(failures.append, EnqueueFailed)
    known = scenario.enqueue(key="a")
    scenario.app.configure(enqueue_timeout=0.5)
    private_kafka.pause()
    act = scenario.jobs.act.options(key="a")
    with pytest.raises(OutcomeUnknown) as one:
        act.delay()
    with pytest.raises(OutcomeUnknown) as other:
        asyncio.run(act.adelay())
    with pytest.raises(BatchError) as batch:
        act.delay_many([("ok",), ("fail ok",)])
    assert [position for position, _ in batch.value.failures] == [0, 1]
    assert not batch.value.definite
    unknown = [one.value, other.value, *(failure for _, failure in batch.value.failures)]
    assert not any(error.definite for error in unknown)
    for error in unknown:
        scenario.not_enqueued(error)
    # It does not wait, so it cannot say that it does not know.
    silent = scenario.jobs.act.options(key="a", ack="none").delay()
    private_kafka.resume()
    until(lambda: silent.offset is not None, "the silent call has arrived")
    scenario.acknowledged(silent)
    scenario.app.configure(enqueue_timeout=PATIENCE)
    last = scenario.enqueue(key="a")
    scenario.worker("--burst").ends(0)
    history = scenario.judge(graceful_only=True)

    order = [event.call for event in history if isinstance(event, h.Effect) and event.ok]
    assert order == [known.id, *(error.call_id for error in unknown), silent.id, last.id]
    assert not failures
    unsubscribe()


def test_many_calls_are_sent_together_and_failures_are_listed(scenario: Scenario) -> None:
    scenario.set_up(partitions=3)
    act = scenario.jobs.act
    with pytest.raises(BatchError) as raised:
        act.delay_many([("ok",), args("x" * 300_000), args(script="fail ok"), ("y" * 300_000, 0.0), ("ok",)])
    assert [position for position, _ in raised.value.failures] == [1, 3]
    assert all(isinstance(failure, CallTooLarge) for _, failure in raised.value.failures)
    _note(scenario, raised.value)

    with scenario.app.batch():
        inside = [act.options(key="a").delay("ok") for _ in range(50)]
        assert all(handle.offset is None for handle in inside), "a batch sends at its end"
    for handle in inside:
        scenario.acknowledged(handle)
    with pytest.raises(BatchError) as raised, scenario.app.batch():
        act.delay("ok")
        act.options(queue="nowhere").delay("ok")
        act.delay("ok")
    assert [(position, type(failure)) for position, failure in raised.value.failures] == [(1, UnknownQueue)]
    _note(scenario, raised.value)
    with pytest.raises(ZeroDivisionError), scenario.app.batch():
        never = act.delay("ok")
        raise ZeroDivisionError
    scenario.not_enqueued(EnqueueRefused("", call_id=never.id))

    scenario.worker("--burst").ends(0)
    scenario.judge(graceful_only=True)
    assert len(scenario.succeeded_calls()) == 3 + 50 + 2


def _note(scenario: Scenario, error: BatchError) -> None:
    """Write down what became of each call of a batch."""
    failures = dict(error.failures)
    for position, handle in enumerate(error.handles):
        assert isinstance(handle, Handle)
        if position in failures:
            scenario.not_enqueued(failures[position])
        else:
            scenario.acknowledged(handle)
