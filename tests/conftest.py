"""What every test can ask for: the shared broker, a broker of its own, names nobody else uses."""

from __future__ import annotations

import re
import secrets
import signal
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.servers.desk import Borrowed, Broker, Desk
from tests.servers.failure import NoServerError
from tests.servers.kafka import Kafka
from tests.servers.shared import SharedKafka

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Worker(Protocol):
    """What the hook below needs to know of pytest-xdist's type, which has no stubs."""

    config: pytest.Config
    workerinput: dict[str, object]


_BROKER = pytest.StashKey[Broker]()
_DESK = pytest.StashKey[Desk]()

_BROKER_FIXTURES = {"kafka", "private_kafka"}
_REDIS_FIXTURES = {"shared_redis", "redis_server", "lasting_redis"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """How hard to look."""
    parser.addoption("--worlds", type=int, default=3000, help="simulated worlds to play (default: 3000)")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and have a broker ready to be asked for: our own, or the main process's."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has put us in the background; commands under test are to hear Ctrl-C all the same.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "kafka: needs a real broker (set by itself on tests that use its fixtures)"
    )
    config.addinivalue_line(
        "markers", "redis: needs a real Redis (set by itself on tests that use its fixtures)"
    )
    desk = getattr(config, "workerinput", {}).get("kafka_desk")
    config.stash[_BROKER] = Borrowed(desk) if desk else SharedKafka()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: _Worker) -> None:
    """Tell a worker process of pytest-xdist where to ask for the broker."""
    stash = node.config.stash
    if _DESK not in stash:
        stash[_DESK] = Desk(stash[_BROKER])
    node.workerinput["kafka_desk"] = stash[_DESK].address


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, so that ``-m "not kafka and not redis"`` runs anywhere."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if _BROKER_FIXTURES.intersection(names):
            item.add_marker(pytest.mark.kafka)
        if _REDIS_FIXTURES.intersection(names):
            item.add_marker(pytest.mark.redis)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if _DESK in config.stash:
        config.stash[_DESK].close()
    config.stash[_BROKER].close()


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> str:
    """The bootstrap servers of the broker that all tests share. Without one the test fails, everywhere."""
    try:
        return pytestconfig.stash[_BROKER].bootstrap()
    except NoServerError as failure:
        raise pytest.fail.Exception(str(failure), pytrace=False) from None


@pytest.fixture
def private_kafka() -> Iterator[Kafka]:
    """A running broker of the test's own, to kill, freeze and restart."""
    broker = Kafka()
    try:
        broker.start()
    except NoServerError as failure:
        broker.close()
        raise pytest.fail.Exception(str(failure), pytrace=False) from None
    yield broker
    broker.close()


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix for topics and groups that tells a reader of the broker's log which test they belong to."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    return f"{words[:40].strip('-')}-{secrets.token_hex(4)}"
