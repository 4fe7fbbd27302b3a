"""What the tests of delayed calls in a user's tests share."""

from __future__ import annotations

from typing import Any

import pytest

from kjobs import App, Backoff, current, testing


@pytest.fixture
def app() -> App:
    """An app whose calls all share a partition, where order is hardest to get right."""
    return App(partitions=1)


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def remind(app: App, ran: list[Any]) -> Any:
    """A job that notes its argument."""

    @app.job(name="remind")
    def remind(what: str = "") -> None:
        ran.append(what)

    return remind


@pytest.fixture
def charge(app: App, ran: list[Any]) -> Any:
    """A keyed job that notes its number, and fails at first where it is told to."""

    @app.job(name="charge", key="customer", backoff=Backoff(base="6h", factor=2, cap="30d"))
    def charge(customer: str, number: int, fails: int = 0) -> None:
        ran.append((customer, number, current().attempt))
        if current().attempt <= fails:
            raise ConnectionError("the bank is closed")

    return charge


@pytest.fixture
def queue(app: App) -> Any:
    with testing.manual(app) as queue:
        yield queue
