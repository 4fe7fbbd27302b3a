"""Which Redis will do is found out when a worker starts, and what it is told if one will not."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kjobs import ConfigError
from kjobs.core.deferred import Kind
from kjobs.core.ports import StoreAway
from kjobs_redis.address import address
from kjobs_redis.scripts import Scripts
from kjobs_redis.server import Server
from tests.patience import until
from tests.redis.conftest import started
from tests.redis.log import DUE_MS, Log, free, opener, parked
from tests.servers.certificates import Certificates, make
from tests.servers.ports import free_ports
from tests.servers.redis import Redis, found

pytestmark = pytest.mark.redis

PAGE = Path(__file__).resolve().parents[2] / "docs" / "delay-stores.md"
PASSWORD = "canary-5ecret"


def works(url: str, log: Log) -> None:
    """See that a worker may do everything there."""
    mine = opener(url)
    mine.check()
    store = mine.open(log.state())
    store.apply([free(1), parked(2, 20), parked(3, 30)], 4)
    assert store.due(Kind.FREE, DUE_MS, 5)
    assert store.lanes() == {b"k": 21}
    assert store.lane(b"k", 100, DUE_MS, 1)[0]
    store.release([1, 2])
    store.hold([3])
    assert store.lowest() == 1
    assert mine.renew(log.state()).count == 0


def refusal(url: str) -> str:
    """What a worker is told that starts with this address."""
    with pytest.raises(ConfigError) as caught:
        opener(url).check()
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


# --- eviction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_policy_that_throws_indexes_away_is_refused(redis_server: Redis, policy: str) -> None:
    redis_server.client().config_set("maxmemory-policy", policy)
    said = refusal(redis_server.url)
    assert f"maxmemory-policy is {policy}" in said
    assert "noeviction" in said
    assert redis_server.url in said


@pytest.mark.parametrize(
    "policy", ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
)
def test_a_policy_that_leaves_indexes_alone_is_taken(redis_server: Redis, log: Log, policy: str) -> None:
    redis_server.client().config_set("maxmemory-policy", policy)
    works(redis_server.url, log)


def test_keys_have_no_end(redis_server: Redis, log: Log) -> None:
    log.open(redis_server.url).apply([free(1), parked(2, 20)], 3)
    client = redis_server.client()
    assert {client.ttl(key) for key in client.scan_iter()} == {-1}


@pytest.mark.parametrize(
    ("rights", "refused"),
    [("-config", True), ("-info", True), ("-config -info", False)],
)
def test_the_policy_is_found_out_in_one_way_or_the_other(
    redis_server: Redis, caplog: pytest.LogCaptureFixture, rights: str, refused: bool
) -> None:
    client = redis_server.client()
    client.execute_command("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~*", "+@all", *rights.split())
    client.config_set("maxmemory-policy", "allkeys-lru")
    url = f"redis://worker:{PASSWORD}@127.0.0.1:{redis_server.port}/0"
    if refused:
        assert "allkeys-lru" in refusal(url)
    else:
        with caplog.at_level(logging.WARNING, "kjobs.worker"):
            opener(url).check()
        assert "does not tell its eviction policy" in caplog.text
        assert PASSWORD not in caplog.text


# --- who is let in ------------------------------------------------------------------------------------------


def documented() -> str:
    """The rights of a user, as the page tells them."""
    line = re.search(r"^ACL SETUSER kjobs ((?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    return line[1].replace("\\\n", " ")


def test_a_user_with_the_rights_that_the_page_tells_can_do_everything(redis_server: Redis, log: Log) -> None:
    rights = documented().replace("the-password", PASSWORD).split()
    redis_server.client().execute_command("ACL", "SETUSER", "kjobs", *rights)
    url = f"redis://kjobs:{PASSWORD}@127.0.0.1:{redis_server.port}/0"
    works(url, log)
    assert "may not do what is needed" in refusal(f"{url}?prefix=others")


def test_the_page_tells_no_right_that_is_not_needed(redis_server: Redis) -> None:
    client = redis_server.client()
    rights = documented().replace("the-password", PASSWORD).split()
    url = f"redis://kjobs:{PASSWORD}@127.0.0.1:{redis_server.port}/0"
    optional = {"+info", "+config|get"}
    for right in rights:
        if right.startswith("+") and right not in optional:
            client.script_flush()
            client.execute_command("ACL", "SETUSER", "kjobs", "reset", *[r for r in rights if r != right])
            with pytest.raises(ConfigError, match="may not do what is needed"):
                opener(url).check()


def test_a_right_that_is_taken_away_later_is_waited_for_and_nothing_half_done_is_believed(
    redis_server: Redis, log: Log
) -> None:
    client = redis_server.client()
    client.execute_command("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~*", "+@all")
    mine = opener(f"redis://worker:{PASSWORD}@127.0.0.1:{redis_server.port}/0")
    store = mine.open(log.state())
    store.apply([free(1)], 2)
    # In the middle of a script, which nothing undoes.
    client.execute_command("ACL", "SETUSER", "worker", "-zadd")
    with pytest.raises(StoreAway):
        store.apply([free(2)], 3)
    client.execute_command("ACL", "SETUSER", "worker", "-evalsha")
    with pytest.raises(StoreAway):
        mine.open(log.state())
    client.execute_command("ACL", "SETUSER", "worker", "+@all")
    again = mine.open(log.state())
    assert (again.position, again.count) == (0, 0)


def test_a_wrong_password_is_told_and_not_shown(redis_server: Redis) -> None:
    redis_server.client().execute_command("ACL", "SETUSER", "worker", "on", ">another", "~*", "+@all")
    said = refusal(f"redis://worker:{PASSWORD}@127.0.0.1:{redis_server.port}/0")
    assert "does not let this worker in" in said
    assert f"redis://worker@127.0.0.1:{redis_server.port}/0" in said


def test_a_password_without_a_user_is_one(redis_server: Redis, log: Log) -> None:
    redis_server.client().config_set("requirepass", PASSWORD)
    assert "Authentication required" in refusal(redis_server.url)
    works(f"redis://:{PASSWORD}@127.0.0.1:{redis_server.port}/0", log)


# --- where it is ------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    (port,) = free_ports(1)
    said = refusal(f"redis://worker:{PASSWORD}@127.0.0.1:{port}/0")
    assert f"delay_store=redis://worker@127.0.0.1:{port}/0: Redis cannot be reached" in said
    assert "refused" in said


def test_a_server_that_does_not_answer_is_told_with_its_address(redis_server: Redis) -> None:
    redis_server.pause()
    said = refusal(f"{redis_server.url}?socket_timeout=0.2")
    assert f"{redis_server.url}: Redis cannot be reached" in said


def test_a_socket_will_do(tmp_path: Path, log: Log) -> None:
    socket = tmp_path / "redis.sock"
    server = started(Redis(("unixsocket", str(socket))))
    with server.client():
        works(f"unix://{socket}?db=1", log)
        assert server.client().dbsize() == 0, "it is in the other database"
    server.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a server that listens at 127.0.0.1."""
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_url(certificates: Certificates) -> Iterator[str]:
    """The address of a server that speaks only TLS, without an authority."""
    (port,) = free_ports(1)
    server = started(
        Redis(
            ("tls-port", str(port)),
            ("tls-cert-file", str(certificates.certificate)),
            ("tls-key-file", str(certificates.key)),
            ("tls-auth-clients", "no"),
        )
    )
    yield f"rediss://127.0.0.1:{port}/0"
    server.close()


def test_tls_with_an_authority_of_ones_own_will_do(
    tls_url: str, certificates: Certificates, log: Log
) -> None:
    works(f"{tls_url}?ssl_ca_certs={certificates.authority}", log)


def test_a_server_that_nobody_vouches_for_is_refused(tls_url: str) -> None:
    assert "certificate verify failed" in refusal(tls_url).lower()


def test_a_server_that_has_another_name_is_refused(tls_url: str, certificates: Certificates) -> None:
    elsewhere = tls_url.replace("127.0.0.1", "localhost")
    said = refusal(f"{elsewhere}?ssl_ca_certs={certificates.authority}&ssl_check_hostname=true")
    assert "mismatch" in said.lower()


# --- what it is -------------------------------------------------------------------------------------------


class OldServer:
    """What a server tells of itself that is too old for this."""

    def info(self, section: str) -> dict[str, Any]:
        return {"server": {"redis_version": "5.0.14", "redis_mode": "standalone"}}[section]


def test_a_server_that_is_too_old_is_refused(shared_redis: Redis) -> None:
    where = address(shared_redis.url)
    server = Server(OldServer(), Scripts(where.connect(), where.shown), where)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"this is Redis 5\.0\.14, and at least 6\.2 is needed"):
        server.check()


def test_a_node_of_a_cluster_is_refused() -> None:
    server = started(Redis(("cluster-enabled", "yes")))
    assert "a node of a Redis Cluster" in refusal(server.url)
    server.close()


def test_a_server_that_is_still_reading_its_data_is_waited_for(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    # Ten milliseconds for every key, and a look at its clients after each.
    slowly = (("key-load-delay", "10000"), ("loading-process-events-interval-bytes", "1024"))
    with Redis(*slowly) as server:
        client = server.client()
        client.mset({f"other-{n}": secrets.token_bytes(1500) for n in range(2000)})
        client.save()
        server.kill()
        server.launch()
        until(lambda: "LOADING" in loading(server), "it reads its data")
        with caplog.at_level(logging.WARNING, "kjobs.worker"):
            opener(server.url).check()
        assert "has to wait" in caplog.text
        with pytest.raises(StoreAway, match=r"(?i)loading"):
            log.open(server.url)
        server.kill()


def loading(server: Redis) -> str:
    """What a server answers to whom it serves nothing yet."""
    try:
        server.client().ping()
    except Exception as error:
        return repr(error).upper()
    return ""


# --- keys ---------------------------------------------------------------------------------------------------


def test_all_keys_of_a_partition_are_under_one_tag_and_the_prefix(redis_server: Redis, log: Log) -> None:
    mine = opener(f"{redis_server.url}?prefix=shop", group="mail & more")
    mine.check()
    store = mine.open(log.state())
    store.apply([free(1), free(2, key=b"x"), parked(3, 30), parked(4, 40, rank=(40, 1), due_ms=7)], 5)
    assert store.due(Kind.FREE, DUE_MS, 1)
    names = {key.decode() for key in redis_server.client().scan_iter()}
    tag = f"{{shop:{log.cluster}:mail%20%26%20more:shop.work:0}}"
    parts = ("state", "rows", "ids", "lanes", "queued", "turns", "taken", "dated", "ranked")
    assert names == {f"{tag}:{part}" for part in parts}


def test_partitions_groups_clusters_and_prefixes_do_not_meet(redis_server: Redis, log: Log) -> None:
    log.open(redis_server.url).apply([free(1)], 2)
    others = [
        opener(redis_server.url).open(log.state(place=("shop.work", 1))),
        opener(redis_server.url).open(log.state(place=("shop.mail", 0))),
        opener(redis_server.url, group="other").open(log.state()),
        opener(f"{redis_server.url}?prefix=other").open(log.state()),
        opener(redis_server.url).open(Log().state()),
    ]
    assert [other.count for other in others] == [0] * 5
    assert log.open(redis_server.url).count == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"log_id": "another"}, "id of its log's topic"),
        ({"queue_id": "another"}, "id of its queue's topic"),
        ({"high": 1}, "the log ends at 1"),
        ({"low": 3}, "the log begins at 3"),
        ({"now_ms": 4_000_000_000_000}, "last used"),
    ],
)
def test_an_index_that_cannot_be_trusted_is_made_anew(
    shared_redis: Redis, log: Log, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], why: str
) -> None:
    log.open(shared_redis.url).apply([free(1)], 2)
    with caplog.at_level(logging.WARNING, "kjobs.worker"):
        store = opener(shared_redis.url).open(log.state(**changed))
    assert (store.position, store.count) == (0, 0)
    assert "made anew" in caplog.text
    assert why in caplog.text


def test_an_index_that_never_was_whole_is_no_younger_than_it_was(redis_server: Redis, log: Log) -> None:
    mine, client = opener(redis_server.url), redis_server.client()
    store = mine.open(log.state(high=10))
    store.apply([free(1)], 5)
    (name,) = client.scan_iter("*:state")

    def seen() -> int:
        return int(client.hget(name, "seen_ms"))

    client.hset(name, "seen_ms", 7)
    store.apply([free(6)], 9)
    store = mine.open(log.state(high=10, now_ms=7))
    assert seen() == 7
    store.apply([], 10)
    assert seen() > 7
    client.hset(name, "seen_ms", 7)
    mine.open(log.state(high=10, now_ms=7))
    assert seen() > 7


def test_an_index_of_another_format_is_made_anew(redis_server: Redis, log: Log) -> None:
    log.open(redis_server.url).apply([free(1)], 2)
    (name,) = redis_server.client().scan_iter("*:state")
    redis_server.client().hset(name, "schema", 99)
    assert log.open(redis_server.url).position == 0


def test_the_tests_say_what_is_missing_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert found() is None
    with pytest.raises(pytest.fail.Exception, match="apt-get install redis-server"):
        started(Redis())
