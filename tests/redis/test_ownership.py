"""Whose an index in Redis is: one owner writes, and none goes on with an index that is not as it left it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from kjobs.core.deferred import End, Kind
from kjobs.core.ports import StoreAway
from kjobs_redis import RedisStore
from kjobs_redis.scripts import IndexLostError
from tests.patience import until
from tests.redis.log import DUE_MS, Log, free, opener, parked
from tests.servers.redis import Redis

pytestmark = pytest.mark.redis

#: Everything that can be asked of a store.
OPERATIONS: dict[str, Callable[[RedisStore], Any]] = {
    "apply": lambda store: store.apply([free(90)], 91),
    "get": lambda store: store.get("call-1"),
    "taken": lambda store: store.taken("call-1"),
    "due": lambda store: store.due(Kind.FREE, DUE_MS, 10),
    "next_due": lambda store: store.next_due(Kind.FREE),
    "lane": lambda store: store.lane(b"k", 1000, DUE_MS, 10),
    "lanes": lambda store: store.lanes(),
    "sources": lambda store: store.sources(0),
    "last_turn": lambda store: store.last_turn(),
    "lowest": lambda store: store.lowest(),
    "hold": lambda store: store.hold([1]),
    "release": lambda store: store.release([1]),
}


@pytest.fixture(params=sorted(OPERATIONS))
def operation(request: pytest.FixtureRequest) -> Callable[[RedisStore], Any]:
    """Each of the operations."""
    return OPERATIONS[request.param]


def filled(store: RedisStore) -> RedisStore:
    """A store with calls of every kind, one of which is taken."""
    rows = [free(1), free(2), parked(3, 30), parked(4, 40), free(5, key=b"d"), parked(6, 60, relaxed=True)]
    store.apply(rows, 7)
    assert len(store.due(Kind.FREE, DUE_MS, 1)) == 1
    return store


def content(server: Redis) -> dict[bytes, Any]:
    """Everything a server has."""
    client = server.client()
    return {key: client.dump(key) for key in client.scan_iter()}


# --- one owner ------------------------------------------------------------------------------------------


def test_a_store_that_another_worker_has_taken_over_says_and_changes_nothing(
    redis_server: Redis, log: Log, operation: Callable[[RedisStore], Any]
) -> None:
    zombie = filled(log.open(redis_server.url, epoch=1))
    log.open(redis_server.url, epoch=2)
    before = content(redis_server)
    with pytest.raises(StoreAway, match="a later assignment has taken it over"):
        operation(zombie)
    assert content(redis_server) == before


def test_who_takes_a_partition_over_finds_the_calls_and_gets_those_that_were_taken(
    shared_redis: Redis, log: Log
) -> None:
    first = filled(log.open(shared_redis.url, epoch=1))
    assert first.lane(b"k", 1000, DUE_MS, 1)[0]
    second = log.open(shared_redis.url, epoch=2)
    assert (second.position, second.count) == (7, 6)
    assert not any(second.taken(f"call-{n}") for n in range(1, 7))
    assert [row.offset for row in second.due(Kind.FREE, DUE_MS, 10)] == [6, 1, 2]
    assert [row.offset for row in second.lane(b"k", 1000, DUE_MS, 10)[0]] == [3, 4]


def test_an_assignment_whose_store_was_taken_does_not_take_it_back(shared_redis: Redis, log: Log) -> None:
    before, after = opener(shared_redis.url), opener(shared_redis.url)
    before.open(log.state(epoch=4))
    store = filled(after.open(log.state(epoch=5)))
    for attempt in (before.open, before.renew):
        with pytest.raises(StoreAway, match=r"assignment 5; this one is 4"):
            attempt(log.state(epoch=4))
    assert store.count == 6
    assert store.get("call-1") is not None


def test_an_assignment_with_the_same_number_does_not_take_it_back_either(
    shared_redis: Redis, log: Log
) -> None:
    before, after = opener(shared_redis.url), opener(shared_redis.url)
    before.open(log.state(epoch=4))
    store = after.open(log.state(epoch=4))
    with pytest.raises(StoreAway, match="another worker has taken it over"):
        before.open(log.state(epoch=4))
    assert store.lowest() is None


def test_a_new_assignment_takes_the_store_whatever_its_number(shared_redis: Redis, log: Log) -> None:
    # Whoever resets the group's offsets makes assignments count from one again.
    filled(log.open(shared_redis.url, epoch=40))
    assert log.open(shared_redis.url, epoch=1).count == 6


def test_the_owner_takes_it_back_from_an_earlier_one_that_made_it_anew(redis_server: Redis, log: Log) -> None:
    zombie, owner = opener(redis_server.url), opener(redis_server.url)
    zombie.open(log.state(epoch=1))
    owner.open(log.state(epoch=2))
    redis_server.client().flushall()
    stolen = zombie.open(log.state(epoch=1))
    store = owner.renew(log.state(epoch=2))
    store.apply([free(1)], 2)
    with pytest.raises(StoreAway):
        stolen.apply([free(2)], 3)
    with pytest.raises(StoreAway):
        zombie.open(log.state(epoch=1))
    assert store.count == 1


def test_a_rival_that_is_silent_for_long_keeps_nothing(redis_server: Redis, log: Log) -> None:
    owner, rival = opener(redis_server.url), opener(redis_server.url)
    owner.open(log.state(epoch=1))
    rival.open(log.state(epoch=9))
    (name,) = redis_server.client().scan_iter("*:state")
    redis_server.client().hset(name, mapping={"used_ms": 1})
    assert owner.open(log.state(epoch=1)).position == 0


def test_a_store_that_was_closed_says_nothing_more(
    shared_redis: Redis, log: Log, operation: Callable[[RedisStore], Any]
) -> None:
    store = filled(log.open(shared_redis.url))
    store.close()
    with pytest.raises(StoreAway):
        operation(store)


# --- an index that is not as it was left ------------------------------------------------------------------


def test_every_operation_notices_that_everything_is_gone(
    redis_server: Redis, log: Log, operation: Callable[[RedisStore], Any]
) -> None:
    store = filled(log.open(redis_server.url))
    redis_server.client().flushall()
    with pytest.raises(IndexLostError, match="has lost it"):
        operation(store)
    assert content(redis_server) == {}


@pytest.mark.parametrize(
    "part", ["rows", "ids", "lanes", "queued", "turns", "taken", "free", "dated", "ranked"]
)
def test_every_part_that_vanishes_is_noticed(redis_server: Redis, log: Log, part: str) -> None:
    store = filled(log.open(redis_server.url))
    store.apply([parked(70, 5, rank=(5, 2), due_ms=3), free(71, key=b"z")], 72)
    (name,) = redis_server.client().scan_iter(f"*:{part}")
    redis_server.client().delete(name)
    for operation in OPERATIONS.values():
        with pytest.raises(IndexLostError, match="parts of it are gone"):
            operation(store)


@pytest.mark.parametrize("part", ["rows", "ids", "lanes", "taken", "free"])
def test_an_index_with_a_part_missing_is_made_anew_when_it_is_opened(
    redis_server: Redis, log: Log, part: str
) -> None:
    filled(log.open(redis_server.url))
    (name,) = redis_server.client().scan_iter(f"*:{part}")
    redis_server.client().delete(name)
    store = log.open(redis_server.url, epoch=2)
    assert (store.position, store.count) == (0, 0)
    assert store.lowest() is None


def test_an_index_that_was_made_anew_is_empty_and_works(shared_redis: Redis, log: Log) -> None:
    mine = opener(shared_redis.url)
    filled(mine.open(log.state()))
    store = mine.renew(log.state())
    assert (store.position, store.count, store.lowest()) == (0, 0, None)
    assert all(store.next_due(kind) is None for kind in Kind)
    assert filled(store).count == 6


def test_what_a_failover_has_lost_is_noticed_and_read_again(redis_server: Redis, log: Log) -> None:
    redis_server.client().config_set("repl-diskless-sync-delay", 0)
    with Redis(("replicaof", f"127.0.0.1 {redis_server.port}")) as replica:
        mine = opener(redis_server.url)
        store = filled(mine.open(log.state()))
        (name,) = redis_server.client().scan_iter("*:state")
        noted = redis_server.client().hgetall(name)
        until(lambda: replica.client().hgetall(name) == noted, "the replica has everything")
        # From now on nothing reaches the replica.
        replica.client().replicaof("NO", "ONE")
        store.apply([free(7), End(id="call-2", offset=8)], 9)
        redis_server.kill()
        # As a failover does it: another server behind the same name.
        moved = RedisStoreElsewhere(store, replica)
        for operation in OPERATIONS.values():
            with pytest.raises(StoreAway, match="instead of"):
                operation(moved.store)
        again = opener(replica.url).open(log.state())
        assert (again.position, again.count) == (7, 6)
        assert again.get("call-2") is not None
        assert again.get("call-7") is None


def test_a_failover_to_an_empty_server_is_noticed(redis_server: Redis, log: Log) -> None:
    store = filled(log.open(redis_server.url))
    with Redis() as other:
        moved = RedisStoreElsewhere(store, other)
        for operation in OPERATIONS.values():
            with pytest.raises(IndexLostError):
                operation(moved.store)


class RedisStoreElsewhere:
    """A store whose server was replaced by another one."""

    def __init__(self, store: RedisStore, server: Redis) -> None:
        self.store = store
        store._scripts = opener(server.url)._scripts


# --- the server ends ----------------------------------------------------------------------------------------


def test_a_server_that_is_killed_is_away_and_what_it_has_written_comes_back(
    lasting_redis: Redis, log: Log
) -> None:
    mine = opener(lasting_redis.url)
    store = filled(mine.open(log.state()))
    lasting_redis.kill()
    for operation in OPERATIONS.values():
        with pytest.raises(StoreAway, match="does not answer"):
            operation(store)
    lasting_redis.start()
    again = mine.open(log.state())
    assert (again.position, again.count) == (7, 6)
    assert [row.offset for row in again.due(Kind.FREE, DUE_MS, 10)] == [6, 1, 2]


def test_a_server_that_keeps_nothing_has_lost_it_when_it_comes_back(redis_server: Redis, log: Log) -> None:
    store = filled(log.open(redis_server.url))
    redis_server.kill()
    redis_server.start()
    for operation in OPERATIONS.values():
        with pytest.raises((IndexLostError, StoreAway)):
            operation(store)
    assert log.open(redis_server.url).position == 0


def test_a_server_that_comes_back_with_an_old_copy_is_noticed(log: Log) -> None:
    with Redis() as server:
        mine = opener(server.url)
        store = filled(mine.open(log.state()))
        server.client().save()
        copy = server.directory / "copy"
        shutil.copy(server.directory / "dump.rdb", copy)
        store.apply([free(7)], 8)
        server.kill()
        shutil.copy(copy, server.directory / "dump.rdb")
        server.start()
        for operation in OPERATIONS.values():
            with pytest.raises(StoreAway):
                operation(store)
        again = mine.open(log.state())
        assert (again.position, again.count) == (7, 6)


def test_a_server_that_does_not_answer_is_away(redis_server: Redis, log: Log) -> None:
    url = f"{redis_server.url}?socket_timeout=0.2"
    mine = opener(url)
    store = filled(mine.open(log.state()))
    redis_server.pause()
    with pytest.raises(StoreAway, match="does not answer"):
        store.apply([free(7)], 8)
    redis_server.resume()
    # Whether it was done is not known; what is found says it.
    again = mine.open(log.state())
    assert (again.position, again.count) in {(7, 6), (8, 7)}
    again.apply([free(7)], 8)
    assert again.count == 7


def test_a_replica_is_away_for_a_writer(redis_server: Redis, log: Log) -> None:
    store = filled(log.open(redis_server.url))
    with Redis() as primary:
        redis_server.client().replicaof("127.0.0.1", str(primary.port))
        with pytest.raises((StoreAway, IndexLostError)):
            store.apply([free(7)], 8)
        with pytest.raises(StoreAway):
            log.open(redis_server.url)


# --- full ---------------------------------------------------------------------------------------------------


def test_a_full_server_takes_nothing_in_and_goes_on_when_there_is_room(redis_server: Redis, log: Log) -> None:
    mine = opener(redis_server.url)
    store = filled(mine.open(log.state()))
    client = redis_server.client()
    client.config_set("maxmemory", 1_000_000)
    before = content(redis_server)
    for attempt in (lambda: store.apply([free(7)], 8), lambda: mine.open(log.state())):
        with pytest.raises(StoreAway, match=r"is full.*Calls are safe in Kafka.*Give it more memory"):
            attempt()
    assert content(redis_server) == before
    assert store.get("call-1") is not None, "what needs no room goes on"
    client.config_set("maxmemory", 0)
    again = mine.open(log.state())
    again.apply([free(7)], 8)
    assert (again.position, again.count) == (8, 7)


def test_a_batch_is_taken_in_as_a_whole_or_not_at_all_when_memory_ends_in_it(
    redis_server: Redis, log: Log
) -> None:
    mine = opener(redis_server.url)
    store = mine.open(log.state())
    client = redis_server.client()
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 5_000_000)
    position = 0
    with pytest.raises(StoreAway, match="is full"):
        while position < 100_000:
            rows = [free(position + n, value=bytes(200)) for n in range(500)]
            store.apply(rows, position + 500)
            position += 500
    assert position > 0
    client.config_set("maxmemory", 0)
    again = mine.open(log.state())
    assert (again.position, again.count) == (position, position)
