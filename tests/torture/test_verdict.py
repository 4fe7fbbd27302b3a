"""A verdict says what was found, and is good only if that is nothing."""

from __future__ import annotations

import json

from tests.proof.checker import CODES
from tests.torture.verdict import MEANINGS, Verdict


def verdict() -> Verdict:
    return Verdict(
        seed=7, profile="pr", nodes=1, protocol="classic", seconds=75.0, faults={"F10": 2, "F3": 1}, host="x"
    )


def test_it_is_good_if_nothing_was_found() -> None:
    assert verdict().good
    assert "GOOD" in verdict().table()


def test_it_is_bad_if_anything_was_found_and_says_what() -> None:
    found = verdict()
    found.add("I3", "the second before the first")
    assert not found.good
    assert found.violations == {"I3": 1}
    assert "BAD: I3 1" in found.table()
    assert "out of order in a key" in found.table()
    assert found.told == ["I3: the second before the first"]


def test_a_program_can_read_it() -> None:
    read = json.loads(verdict().as_json())
    assert read["good"] is True
    assert (read["seed"], read["faults"]) == (7, {"F10": 2, "F3": 1})


def test_faults_are_listed_by_their_numbers() -> None:
    assert "F3 1, F10 2" in verdict().table()


def test_what_must_be_nought_is_shown_also_when_it_is() -> None:
    table = verdict().table()
    for meaning in ("lost", "out of order in a key", "early", "committed past something unfinished"):
        assert meaning in table


def test_every_code_of_the_checker_has_a_meaning() -> None:
    assert set(CODES) - set(MEANINGS) <= {"I11"}  # that nothing at all failed is never so here
