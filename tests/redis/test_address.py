"""The setting ``delay_store`` for Redis: what it may say, and what of it is shown."""

from __future__ import annotations

import pytest

from kjobs import ConfigError
from kjobs.deferred.opener import opener
from kjobs_redis import RedisOpener
from kjobs_redis.address import address, tag
from tests.redis.log import settings

CANARY = "canary-5ecret"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_every_scheme_is_one_of_the_installed_stores(scheme: str) -> None:
    assert isinstance(opener(settings(f"{scheme}://127.0.0.1:1/0")), RedisOpener)


def test_a_socket_is_an_address() -> None:
    found = address("unix://worker:pw@/run/redis.sock?db=2")
    assert found.url == "unix://worker:pw@/run/redis.sock?db=2"
    assert found.shown == "unix://worker@/run/redis.sock"
    pool = found.connect().connection_pool
    assert pool.connection_kwargs["path"] == "/run/redis.sock"
    assert pool.connection_kwargs["db"] == 2


def test_the_login_and_options_go_to_the_client() -> None:
    found = address("rediss://worker:p%40ss@redis.shop:7000/3?ssl_ca_certs=/etc/ca.pem&socket_timeout=0.5")
    options = found.connect().connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["db"]) == ("redis.shop", 7000, 3)
    assert (options["username"], options["password"]) == ("worker", "p@ss")
    assert options["ssl_ca_certs"] == "/etc/ca.pem"
    assert options["socket_timeout"] == 0.5


def test_the_client_never_tries_again_by_itself() -> None:
    client = address("redis://127.0.0.1:1/0").connect()
    assert client.connection_pool.connection_kwargs["retry"]._retries == 0


def test_valkey_is_addressed_as_redis_is() -> None:
    assert address("valkeys://h:1/0").url.startswith("rediss://h:1/0")


def test_the_prefix_is_kjobs_or_what_the_address_says() -> None:
    assert address("redis://h/0").prefix == "kjobs"
    assert address("redis://h/0?prefix=shop:eu").prefix == "shop:eu"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis:///0", "no host"),
        ("redis://h:port/0", "wrong port"),
        ("redis://h/zero", "number of a database"),
        ("redis://h/0?prefix=a}b", "must be letters"),
        ("redis://h/0?timeout=3", "unknown option 'timeout'"),
        ("redis://h/0?redis_connect_func=os.abort", "unknown option"),
        ("redis://h/0?ssl_ca_certs=/etc/ca.pem", "rediss:// only"),
        ("redis://h/0?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_a_wrong_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        RedisOpener(url, settings(url))
    assert "delay_store=redis://" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://worker:{CANARY}@h:port/0",
        f"redis://worker:{CANARY}/@h/0",
        f"redis://worker:{CANARY}#@h/0",
        f"redis://worker:{CANARY}@h/0?timeout=3",
        f"redis://worker:{CANARY}@h/zero",
        f"redis://h/0?password={CANARY}&timeout=3",
        f"redis://worker:{CANARY}@h/0?socket_timeout=soon",
    ],
)
def test_no_refusal_tells_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisOpener(url, settings(url))
    assert CANARY not in str(caught.value)


def test_what_is_shown_of_an_address_is_not_its_password() -> None:
    found = address(f"redis://worker:{CANARY}@redis.shop/0?prefix=shop")
    assert CANARY not in repr(found)
    told = RedisOpener(found.url, settings(found.url)).describe()
    assert told.startswith("Redis at redis://worker@redis.shop/0")
    assert CANARY not in told


def test_names_in_a_tag_cannot_be_taken_for_others() -> None:
    assert tag("p", "a:b", "c") != tag("p", "a", "b:c")
    assert tag("p", "a}b", 3) == "p:a%7Db:3"
