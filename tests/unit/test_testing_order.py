"""Order by key and fairness between keys are the scheduler's own, also in tests."""

from __future__ import annotations

import pytest

from kjobs import App, Backoff, current, testing


@pytest.fixture
def app() -> App:
    """An app whose calls all share a partition, where order is hardest to get right."""
    return App(partitions=1)


def test_a_failing_call_holds_its_key_and_no_other(app: App) -> None:
    ran: list[str] = []

    @app.job(key="customer", retries=2)
    def charge(customer: str, number: int) -> None:
        ran.append(f"{customer}{number} attempt {current().attempt}")
        if (customer, number) == ("a", 1):
            raise ConnectionError

    with testing.manual(app) as queue:
        charge.delay_many([("a", 1), ("a", 2), ("b", 1), ("b", 2)])
        queue.drain(advance=False)
        assert ran == ["a1 attempt 1", "b1 attempt 1", "b2 attempt 1"]
        queue.drain()
        assert ran[3:] == ["a1 attempt 2", "a1 attempt 3", "a2 attempt 1"]
        queue.assert_dead(charge, "a", 1)
        queue.assert_succeeded(charge, times=3)


def test_with_relaxed_order_later_calls_of_the_key_pass(app: App) -> None:
    ran: list[str] = []

    @app.job(key="customer", order="relaxed")
    def charge(customer: str, number: int) -> None:
        ran.append(f"{customer}{number}")
        if number == 1 and current().attempt == 1:
            raise ConnectionError

    with testing.manual(app) as queue:
        charge.delay_many([("a", 1), ("a", 2)])
        queue.drain()
    assert ran == ["a1", "a2", "a1"]


def test_a_key_with_many_calls_does_not_starve_another(app: App) -> None:
    ran: list[str] = []

    @app.job(key="customer")
    def charge(customer: str) -> None:
        ran.append(customer)

    with testing.manual(app) as queue:
        charge.delay_many([("a",)] * 5 + [("b",)] * 2)
        queue.drain()
    assert ran == ["a", "b", "a", "b", "a", "a", "a"]


def test_a_call_that_a_job_enqueues_under_its_own_key_runs_after_it(app: App) -> None:
    ran: list[str] = []

    @app.job(key="customer")
    def step(customer: str, number: int) -> None:
        ran.append(f"begin {number}")
        if number == 1:
            step.delay(customer, 2)
        ran.append(f"end {number}")

    with testing.inline(app):
        step.delay("a", 1)
    assert ran == ["begin 1", "end 1", "begin 2", "end 2"]


def test_a_delayed_call_takes_its_place_in_its_key_only_when_it_is_due(app: App) -> None:
    ran: list[int] = []

    @app.job(key="customer")
    def charge(customer: str, number: int) -> None:
        ran.append(number)

    with testing.manual(app) as queue:
        charge.options(delay="5s").delay("a", 1)
        charge.delay("a", 2)
        queue.drain(advance=False)
        assert ran == [2], "it holds nobody before its time"
        queue.clock.advance("5s")
        charge.delay("a", 3)
        queue.drain(advance=False)
        assert ran == [2, 1, 3]


def test_keys_stay_in_order_whatever_fails(app: App) -> None:
    ran: dict[str, list[int]] = {"a": [], "b": [], "c": []}

    @app.job(key="customer", retries=5, backoff=Backoff(base=1, factor=1.5))
    def charge(customer: str, number: int) -> None:
        if (number + current().attempt) % 3:
            raise ConnectionError
        ran[customer].append(number)

    with testing.manual(app) as queue:
        for number in range(20):
            for customer in ran:
                charge.delay(customer, number)
        queue.drain()
    assert ran == {customer: list(range(20)) for customer in "abc"}
