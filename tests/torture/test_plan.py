"""A plan is drawn from a seed, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.faults import FAULTS
from tests.torture.plan import Order, drawn, read, write
from tests.torture.profile import PROFILES, plan_of, rows

_ROWS = rows(3)


def plan(seed: int, seconds: float = 600.0) -> list[Order]:
    return drawn(seed, seconds, _ROWS, 60.0)


def test_the_same_seed_draws_the_same_plan() -> None:
    assert plan(7) == plan(7)


def test_another_seed_draws_another_plan() -> None:
    assert plan(7) != plan(8)


def test_every_kind_of_fault_is_drawn_sooner_or_later() -> None:
    found = {order.fault for seed in range(30) for order in plan(seed)}
    assert found == set(FAULTS)


def test_every_variant_of_every_fault_is_drawn_sooner_or_later() -> None:
    found = {(order.fault, order.variant) for seed in range(150) for order in plan(seed)}
    assert found == {(row.name, variant) for row in _ROWS for variant in row.variants}


def test_all_the_faults_that_were_promised_are_there() -> None:
    numbers = {*range(1, 21), *range(22, 27), *range(29, 37)}
    assert set(FAULTS) == {f"F{number}" for number in numbers}


def test_faults_come_by_their_times_and_are_over_before_the_end() -> None:
    for seed in range(20):
        orders = plan(seed)
        assert [order.at for order in orders] == sorted(order.at for order in orders)
        assert all(order.at + order.seconds <= 600.0 for order in orders)


def test_a_segment_has_two_to_four_kinds_of_faults() -> None:
    for seed in range(20):
        for began in range(0, 600, 60):
            kinds = {order.fault for order in plan(seed) if began <= order.at < began + 60}
            assert 1 <= len(kinds) <= 4  # of those that were drawn one may have had no time


def test_one_broker_is_not_asked_for_what_only_three_can_do() -> None:
    assert {"F10", "F12", "F15"} == {row.name for row in rows(3)} - {row.name for row in rows(1)}


def test_only_the_faults_that_were_asked_for_are_drawn() -> None:
    orders = plan_of(PROFILES["nightly"], 1, 600.0, 1, {"F1", "F3"})
    assert {order.fault for order in orders} == {"F1", "F3"}


def test_an_hour_has_hundreds_of_faults() -> None:
    assert all(len(plan_of(PROFILES["nightly"], seed, 3600.0, 1, ())) > 400 for seed in range(5))


def test_a_plan_that_was_written_is_read_again(tmp_path: Path) -> None:
    write(plan(3), tmp_path / "plan.jsonl")
    assert read(tmp_path / "plan.jsonl") == plan(3)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_says_what_it_is(name: str) -> None:
    row = FAULTS[name].row
    assert row.name == name
    assert row.title
    assert row.seconds[0] <= row.seconds[1]


def test_the_page_lists_every_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for name, kind in FAULTS.items():
        assert f"| {name} | {kind.row.title}" in page
