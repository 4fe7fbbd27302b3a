"""A real worker with its indexes in Redis: what it does when that fails, in each of the ways it can.

Each row of the table in ``docs/delay-stores.md`` is here or, as far as it is about the index alone, in
``test_ownership.py``.
"""

from __future__ import annotations

import random

import pytest

from kjobs import Handle
from tests.kafka.delays import assert_in_order, assert_never_early
from tests.kafka.load import Load
from tests.kafka.scenario import Scenario
from tests.kafka.way import Way
from tests.patience import until
from tests.proof import history as h
from tests.servers.ports import free_ports
from tests.servers.redis import Redis


def wait_for(scenario: Scenario, handles: list[Handle]) -> None:
    """Wait until calls have had their effects."""
    wanted = {handle.id for handle in handles}
    until(lambda: wanted <= scenario.succeeded_calls(), "the calls run", told=scenario.tails)


def assert_once(scenario: Scenario, *handles: Handle) -> None:
    """Every one of these calls, and no other, was made, once, and not before its time."""
    effects = [effect.call for effect in scenario.events(h.Effect)]
    assert sorted(effects) == sorted(handle.id for handle in handles)
    assert_never_early(scenario)


def indexed(server: Redis) -> int:
    """How many calls Redis knows of."""
    client = server.client()
    return sum(client.hlen(name) for name in client.scan_iter("*:rows"))


def known(server: Redis, number: int, scenario: Scenario) -> None:
    """Wait until Redis knows of so many calls."""
    until(lambda: indexed(server) == number, f"Redis knows of {number} calls", told=scenario.tails)


# --- all is well ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_calls_are_delayed_and_retried_and_keep_their_order(scenario: Scenario, shared_redis: Redis) -> None:
    scenario.set_up(partitions=3)
    worker = scenario.worker(lane_wait=0, delay_store=shared_redis.url).ready()
    draw = random.Random(5)
    for _ in range(150):
        key = draw.choice([None, *(f"key-{n}" for n in range(6))])
        script = draw.choice(["ok", "ok", "ok", "fail ok", "fail fail ok", "fail dead"])
        scenario.enqueue(script, key=key, delay=draw.choice([None, None, 0.2, 1.0]))
    scenario.finish()
    attempts = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    assert len(attempts) == len(set(attempts))
    assert_in_order(scenario)
    assert_never_early(scenario)
    assert f"Redis at {shared_redis.url}" in worker.output


def test_a_long_call_goes_on_where_it_was(scenario: Scenario, shared_redis: Redis) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker(delay_store=shared_redis.url).ready()
    way = Way(scenario, "climb", key="k")
    behind = scenario.enqueue("ok", key="k")
    way.let(0, 1, 2)
    first.kill()
    scenario.worker(delay_store=shared_redis.url).ready()
    way.let_all()
    scenario.finish()
    assert way.begun == ["None", "3"]
    assert way.made == [0, 1, 2, 3, 4]
    assert [effect.call for effect in scenario.events(h.Effect)] == [way.handle.id, behind.id]


def test_a_cancelled_call_does_not_run_and_a_moved_one_runs_then(
    scenario: Scenario, shared_redis: Redis
) -> None:
    scenario.set_up(partitions=1)
    scenario.worker(delay_store=shared_redis.url).ready()
    cancelled, moved = scenario.enqueue(delay=30.0), scenario.enqueue(delay=30.0)
    assert cancelled.cancel().value == "cancelled"
    assert moved.reschedule(delay=0.5).value == "moved"
    wait_for(scenario, [moved])
    assert not cancelled.cancel()
    scenario.stop()
    assert [effect.call for effect in scenario.events(h.Effect)] == [moved.id]


def test_a_worker_elsewhere_finds_the_index_and_reads_only_what_is_new(
    scenario: Scenario, redis_server: Redis
) -> None:
    scenario.set_up(partitions=1)
    first = scenario.worker(delay_store=redis_server.url, state_dir=scenario.folder / "a").ready()
    handles = [scenario.enqueue(delay=6.0) for _ in range(40)]
    known(redis_server, 40, scenario)
    first.kill()
    handles += [scenario.enqueue(delay=1.0) for _ in range(3)]
    second = scenario.worker(delay_store=redis_server.url, state_dir=scenario.folder / "b").ready()
    wait_for(scenario, handles)
    scenario.finish()
    assert_once(scenario, *handles)
    assert "made anew" not in second.output


def test_partitions_that_come_and_go_run_nothing_twice(scenario: Scenario, shared_redis: Redis) -> None:
    scenario.set_up(partitions=4)
    scenario.worker(lane_wait=0, delay_store=shared_redis.url).ready()
    with Load(scenario, scripts=("ok", "ok", "fail ok"), delays=(None, 0.2, 1.0)) as load:
        for _ in range(3):
            other = scenario.worker(lane_wait=0, delay_store=shared_redis.url).ready()
            scenario.succeeded(len(scenario.succeeded_calls()) + 20)
            other.stop()
            scenario.succeeded(len(scenario.succeeded_calls()) + 20)
    scenario.finish()
    attempts = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    assert len(attempts) == len(set(attempts))
    assert scenario.succeeded_calls() == set(load.enqueued)
    assert_in_order(scenario)
    assert_never_early(scenario)


# --- Redis fails ------------------------------------------------------------------------------------------


def test_delayed_calls_wait_for_a_redis_that_is_killed_and_others_do_not(
    scenario: Scenario, lasting_redis: Redis
) -> None:
    scenario.set_up(partitions=2)
    worker = scenario.worker(delay_store=lasting_redis.url).ready()
    handles = [scenario.enqueue(delay=3.0, key=key) for key in (None, "a", "b") for _ in range(5)]
    handles += [scenario.enqueue(delay=8.0) for _ in range(5)]
    known(lasting_redis, 20, scenario)
    lasting_redis.kill()
    worker.says("does not answer")
    plain = [scenario.enqueue(key=key) for key in (None, "a", "b")]
    # Put in while it is away.
    handles += [scenario.enqueue(delay=1.0) for _ in range(5)]
    wait_for(scenario, plain)
    assert scenario.succeeded_calls() == {handle.id for handle in plain}
    lasting_redis.start()
    scenario.finish()
    assert_once(scenario, *handles, *plain)
    assert "is there again" in worker.output
    assert "made anew" not in worker.output


def test_a_redis_that_comes_back_without_its_data_is_filled_from_kafka(
    scenario: Scenario, redis_server: Redis
) -> None:
    scenario.set_up(partitions=2)
    scenario.worker(delay_store=redis_server.url).ready()
    handles = [scenario.enqueue(delay=delay) for delay in (2.0, 7.0) for _ in range(20)]
    known(redis_server, 40, scenario)
    redis_server.kill()
    redis_server.start()
    scenario.finish()
    assert_once(scenario, *handles)


def test_flushall_loses_nothing_and_is_noticed_before_anything_is_due(
    scenario: Scenario, redis_server: Redis
) -> None:
    scenario.set_up(partitions=2)
    worker = scenario.worker(delay_store=redis_server.url).ready()
    handles = [scenario.enqueue(delay=20.0, key=key) for key in (None, "a") for _ in range(20)]
    known(redis_server, 40, scenario)
    redis_server.client().flushall()
    known(redis_server, 40, scenario)
    assert not scenario.events(h.Started)
    assert "has lost it" in worker.output
    # And again while calls run, fail and are due.
    for handle in handles:
        assert handle.reschedule(delay=1.0)
    handles += [scenario.enqueue("fail ok", delay=0.5, key="a") for _ in range(10)]
    scenario.begun(handles[0])
    redis_server.client().flushall()
    scenario.finish()
    assert scenario.succeeded_calls() == {handle.id for handle in handles}
    attempts = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    assert len(attempts) == len(set(attempts))


def test_flushall_again_and_again_runs_nothing_twice(scenario: Scenario, redis_server: Redis) -> None:
    scenario.set_up(partitions=3)
    scenario.worker(lane_wait=0, delay_store=redis_server.url).ready()
    with Load(scenario, scripts=("ok", "ok", "fail ok"), delays=(None, 0.1, 0.5)) as load:
        for _ in range(10):
            scenario.succeeded(len(scenario.succeeded_calls()) + 10)
            redis_server.client().flushall()
    scenario.finish()
    attempts = [(effect.call, effect.attempt) for effect in scenario.events(h.Effect)]
    assert len(attempts) == len(set(attempts))
    assert scenario.succeeded_calls() == set(load.enqueued)
    assert_in_order(scenario)
    assert_never_early(scenario)


def test_calls_are_safe_while_redis_is_full_and_go_on_when_it_has_room(
    scenario: Scenario, redis_server: Redis
) -> None:
    scenario.set_up(partitions=1)
    worker = scenario.worker(delay_store=redis_server.url).ready()
    handles = [scenario.enqueue(delay=2.0) for _ in range(5)]
    known(redis_server, 5, scenario)
    client = redis_server.client()
    client.config_set("maxmemory", 1_000_000)
    handles += [scenario.enqueue(delay=1.0) for _ in range(5)]
    plain = scenario.enqueue()
    worker.says("is full: it has reached its maxmemory")
    wait_for(scenario, [plain])
    assert scenario.succeeded_calls() == {plain.id}
    client.config_set("maxmemory", 0)
    scenario.finish()
    assert_once(scenario, plain, *handles)


def test_a_failover_that_loses_the_last_writes_loses_no_call(scenario: Scenario, redis_server: Redis) -> None:
    scenario.set_up(partitions=2)
    primary = redis_server
    primary.client().config_set("repl-diskless-sync-delay", 0)
    worker = scenario.worker(delay_store=primary.url).ready()
    handles = [scenario.enqueue(delay=5.0, key=key) for key in (None, "a") for _ in range(10)]
    gone = [scenario.enqueue(delay=5.0) for _ in range(5)]
    known(primary, 25, scenario)
    with Redis(("replicaof", f"127.0.0.1 {primary.port}")) as replica:
        until(lambda: indexed(replica) == 25, "a replica follows", told=scenario.tails)
        replica.client().replicaof("NO", "ONE")
        # What it does not hear of any more.
        handles += [scenario.enqueue(delay=4.0) for _ in range(10)]
        for handle in gone:
            assert handle.cancel()
        known(primary, 30, scenario)
        primary.kill()
        worker.says("does not answer")
        # As behind a name that follows the primary.
        replica.client().config_set("port", primary.port)
        scenario.finish()
        assert_once(scenario, *handles)
        assert "made anew" not in worker.output


def test_calls_that_are_not_delayed_go_on_while_redis_is_frozen(
    scenario: Scenario, redis_server: Redis
) -> None:
    scenario.set_up(partitions=2)
    worker = scenario.worker(delay_store=f"{redis_server.url}?socket_timeout=0.5").ready()
    handles = [scenario.enqueue(delay=1.0, key=key) for key in (None, "a") for _ in range(5)]
    known(redis_server, 10, scenario)
    redis_server.pause()
    worker.says("does not answer")
    plain = [scenario.enqueue(key=key) for key in (None, "a")]
    wait_for(scenario, plain)
    redis_server.resume()
    scenario.finish()
    assert_once(scenario, *handles, *plain)


# --- at the start -----------------------------------------------------------------------------------------


def test_a_worker_does_not_start_with_a_policy_that_evicts(scenario: Scenario, redis_server: Redis) -> None:
    scenario.set_up(partitions=1)
    redis_server.client().config_set("maxmemory-policy", "allkeys-lru")
    worker = scenario.worker(delay_store=redis_server.url)
    worker.ends(2)
    assert "maxmemory-policy is allkeys-lru" in worker.output
    assert "Traceback" not in worker.output


def test_a_worker_does_not_start_without_its_redis(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    (port,) = free_ports(1)
    worker = scenario.worker(delay_store=f"redis://worker:canary-5ecret@127.0.0.1:{port}/0")
    worker.ends(2)
    assert f"redis://worker@127.0.0.1:{port}/0: Redis cannot be reached" in worker.output
    assert "canary" not in worker.output
    assert "Traceback" not in worker.output


def test_a_partition_that_is_taken_over_while_redis_is_away_begins_nothing_before_it_is_back(
    scenario: Scenario, lasting_redis: Redis
) -> None:
    scenario.set_up(partitions=2)
    workers = [scenario.worker(delay_store=lasting_redis.url).ready() for _ in range(2)]
    handles = [scenario.enqueue(key=f"key-{n}", delay=2.0) for n in range(10)]
    assert len({handle.partition for handle in handles}) == 2
    known(lasting_redis, 10, scenario)
    lasting_redis.kill()
    workers[1].kill()
    workers[0].says("cannot be opened, and no call of it begins")
    plain = [scenario.enqueue(key=f"key-{n}") for n in range(10)]
    moved = scenario.events(h.AssignedTo, workers[0].inc)[-1].place[1]
    wait_for(scenario, [handle for handle in plain if handle.partition != moved])
    started = {event.place[1] for event in scenario.events(h.Started)}
    assert started == {1 - moved}
    lasting_redis.start()
    scenario.finish()
    assert_once(scenario, *handles, *plain)


def test_a_worker_that_was_frozen_while_another_took_over_runs_nothing_of_what_it_had(
    scenario: Scenario, shared_redis: Redis
) -> None:
    scenario.set_up(partitions=2, session=1.5)
    first = scenario.worker(delay_store=shared_redis.url).ready()
    handles = [scenario.enqueue(delay=delay, key=key) for delay in (6.0, 9.0) for key in (None, "a", "b")]
    first.freeze()
    second = scenario.worker(delay_store=shared_redis.url)
    second.ready()
    first.thaw()
    scenario.finish()
    assert_once(scenario, *handles)
