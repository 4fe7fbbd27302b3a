"""Real servers, and the scenarios of the tests that need Kafka as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kafka.conftest import protocol, scenario
from tests.redis.log import Log
from tests.servers.failure import NoServerError
from tests.servers.redis import Redis

__all__ = ["protocol", "scenario"]


def started(server: Redis) -> Redis:
    """A server, started; without one the test fails, everywhere."""
    try:
        server.start()
    except NoServerError as failure:
        server.close()
        raise pytest.fail.Exception(str(failure), pytrace=False) from None
    return server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Redis]:
    """A server that nobody harms."""
    server = started(Redis())
    yield server
    server.close()


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A server of the test's own, which keeps nothing when it ends."""
    server = started(Redis())
    yield server
    server.close()


@pytest.fixture
def lasting_redis() -> Iterator[Redis]:
    """A server of the test's own, which writes everything to the disk before it answers."""
    server = started(Redis(("appendonly", "yes"), ("appendfsync", "always")))
    yield server
    server.close()


@pytest.fixture
def log() -> Log:
    """A partition's log that is made up, of a cluster that nobody else has."""
    return Log()
