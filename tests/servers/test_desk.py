"""Worker processes get one broker between them, and the reason when there is none."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.servers.desk import Borrowed, Desk
from tests.servers.failure import NoServerError, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator


class CountedBroker:
    """Counts how often it was opened, and lets everybody queue up before it answers."""

    def __init__(self, failure: NoServerError | None = None) -> None:
        self.asked = threading.Event()
        self.opened = 0
        self._failure = failure

    def bootstrap(self) -> str:
        self.opened += 1
        self.asked.set()
        if self._failure is not None:
            raise self._failure
        return "127.0.0.1:12345"

    def close(self) -> None:
        pass


@pytest.fixture
def broker() -> CountedBroker:
    return CountedBroker()


@pytest.fixture
def desk(broker: CountedBroker) -> Iterator[Desk]:
    desk = Desk(broker)
    yield desk
    desk.close()


def test_no_broker_is_opened_before_somebody_asks(broker: CountedBroker, desk: Desk) -> None:
    Borrowed(desk.address)
    assert broker.opened == 0


def test_all_workers_hear_the_same_address(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda _: Borrowed(desk.address).bootstrap(), range(8)))
    assert answers == ["127.0.0.1:12345"] * 8


def test_a_worker_asks_once(broker: CountedBroker, desk: Desk) -> None:
    borrowed = Borrowed(desk.address)
    borrowed.bootstrap()
    borrowed.bootstrap()
    assert broker.opened == 1


def test_a_worker_hears_why_there_is_none() -> None:
    desk = Desk(CountedBroker(ServerMissingError("install Java (größer als 16)")))
    with pytest.raises(NoServerError, match="größer als 16"):
        Borrowed(desk.address).bootstrap()
    desk.close()
