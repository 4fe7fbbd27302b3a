"""A batch that no client can read: exactly that one is stepped over, loudly, and everything else is run."""

from __future__ import annotations

import time

import pytest

from kjobs.admin.dead import DeadLetters
from kjobs.errors import BrokerError
from tests.kafka import damage, jobs
from tests.kafka.damage import Harm
from tests.kafka.scenario import Scenario
from tests.patience import until
from tests.proof import history as h
from tests.proof.history import Place
from tests.servers.kafka import Kafka

#: Bytes of values that are together more than what a client unpacks, which is 100 MB.
_TOO_MUCH = [40_000_000] * 3
#: Seconds in which a partition is to go on.
_SOON = 10.0


def _gaps(scenario: Scenario) -> list[tuple[Place, int, int]]:
    return [(gap.place, gap.first, gap.after) for gap in scenario.events(h.Gap)]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_decompression_bomb_is_stepped_over_while_the_worker_works(scenario: Scenario) -> None:
    scenario.set_up(partitions=2)
    worker = scenario.worker().ready()
    keys = [f"key-{number}" for number in range(8)]
    scenario.enqueue_batch([(("ok",), key) for key in keys * 5])
    scenario.succeeded(40)
    place = (scenario.topic, 0)
    first = damage.produce(scenario.broker.bootstrap, place, damage.bomb(_TOO_MUCH))
    armed = time.monotonic()
    scenario.enqueue_batch([(("ok",), key) for key in keys * 5])
    scenario.succeeded(80)
    (gap,) = scenario.events(h.Gap)
    assert (gap.place, gap.first, gap.after) == (place, first, first + 3)
    assert gap.t - armed < _SOON
    scenario.finish()  # commits have passed it
    assert len(scenario.events(h.Started)) == 80
    assert "cannot be read and were stepped over" in worker.output


@pytest.mark.parametrize("harm", Harm)
def test_a_batch_that_was_damaged_on_the_brokers_disk_is_stepped_over(
    private_scenario: Scenario, private_kafka: Kafka, harm: Harm
) -> None:
    scenario = private_scenario
    scenario.set_up(partitions=2)
    place = (scenario.topic, 0)
    handles = [handle for _ in range(6) for handle in scenario.enqueue_many([("ok",)] * 20, key="a")]
    assert {handle.partition for handle in handles} == {0}
    others = scenario.enqueue_many([("ok",)] * 20, key="d")
    assert {handle.partition for handle in others} == {1}
    private_kafka.stop()
    log = private_kafka.directory / "data" / f"{scenario.topic}-0" / f"{0:020}.log"
    harmed = max(list(damage.batches(log))[1:-1], key=lambda batch: batch.last - batch.first)
    assert harmed.last > harmed.first
    damage.harm(log, harmed, harm)
    private_kafka.start()

    scenario.worker().ready()
    begun = time.monotonic()
    scenario.finish()  # commits have passed it
    (gap,) = scenario.events(h.Gap)
    assert (gap.place, gap.first, gap.after) == (place, harmed.first, harmed.last + 1)
    assert gap.t - begun < _SOON
    unread = range(harmed.first, harmed.last + 1)
    readable = {handle.id for handle in handles if handle.offset not in unread}
    assert scenario.succeeded_calls() == readable | {handle.id for handle in others}
    assert len(scenario.events(h.Started)) == len(readable) + len(others), "something ran twice"


def test_two_damaged_batches_in_a_row_and_one_at_the_end_are_told_one_by_one(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    place = (scenario.topic, 0)
    scenario.enqueue_many([("ok",)] * 5, key="a")
    bombs = [damage.produce(scenario.broker.bootstrap, place, damage.bomb(_TOO_MUCH)) for _ in range(2)]
    scenario.enqueue_many([("ok",)] * 5, key="a")
    bombs.append(damage.produce(scenario.broker.bootstrap, place, damage.bomb(_TOO_MUCH)))
    scenario.worker().ready()
    scenario.finish()
    assert _gaps(scenario) == [(place, first, first + 3) for first in bombs]
    assert len(scenario.succeeded_calls()) == 10


def test_a_worker_that_resumes_in_the_middle_tells_only_what_was_left(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    place = (scenario.topic, 0)
    first = damage.produce(scenario.broker.bootstrap, place, damage.bomb(_TOO_MUCH))
    scenario.enqueue(key="a")
    scenario.broker.commit(scenario.group, place, first + 1)
    scenario.worker().ready()
    scenario.finish()
    assert _gaps(scenario) == [(place, first + 1, first + 3)]


def test_the_deferred_store_goes_on_behind_a_batch_of_its_log(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    place = (scenario.log_topic, 0)
    before = scenario.enqueue(key="a", delay=1.0)
    first = damage.produce(scenario.broker.bootstrap, place, damage.bomb(_TOO_MUCH))
    behind = scenario.enqueue(key="b", delay=1.0)
    worker = scenario.worker().ready()
    until(lambda: {before.id, behind.id} <= scenario.succeeded_calls(), "both run", told=scenario.tails)
    assert _gaps(scenario) == [(place, first, first + 3)]
    worker.stop()
    assert "Delayed calls may be missing" in worker.output


def test_dead_letters_that_cannot_be_read_are_an_error_that_says_so(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    first = damage.produce(scenario.broker.bootstrap, (scenario.dead_topic, 0), damage.bomb(_TOO_MUCH))
    begun = time.monotonic()
    with pytest.raises(BrokerError, match=rf"offsets {first} to {first + 2} are in a batch that is damaged"):
        list(DeadLetters(scenario.app, jobs.QUEUE).list())
    assert time.monotonic() - begun < _SOON
