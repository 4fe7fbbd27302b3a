"""Queues take turns by their weights, whatever backlog one of them has."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.partition import Entry, Partition
from kjobs.worker.turns import Turns
from tests.core.record import FakeRecord

A, B, C = "kjobs.a", "kjobs.b", "kjobs.c"


def entries(topic: str, count: int) -> list[Entry]:
    where = Partition((topic, 0), 0, None, "")
    return [Entry(where, number, None, FakeRecord(number), 0) for number in range(count)]


def topics(taken: list[Entry]) -> list[str]:
    return [entry.partition.place[0] for entry in taken]


def test_queues_of_one_weight_take_turns() -> None:
    turns = Turns({A: 1, B: 1})
    turns.put(entries(A, 1000))
    turns.put(entries(B, 3))
    assert Counter(topics(turns.take(6))) == {A: 3, B: 3}
    assert topics(turns.take(3)) == [A, A, A]


@pytest.mark.parametrize("weights", [{A: 4, B: 1}, {A: 3, B: 2, C: 1}, {A: 1, B: 10}])
def test_they_are_served_in_proportion_to_their_weights(weights: dict[str, int]) -> None:
    turns = Turns(weights)
    for topic in weights:
        turns.put(entries(topic, 1000))
    served = Counter(topics(turns.take(60)))
    whole = sum(weights.values())
    for topic, weight in weights.items():
        assert abs(served[topic] - 60 * weight / whole) <= 1


def test_a_queue_that_had_nothing_to_do_has_saved_up_nothing() -> None:
    turns = Turns({A: 1, B: 1})
    turns.put(entries(A, 1000))
    turns.take(500)
    turns.put(entries(B, 1000))
    assert Counter(topics(turns.take(100))) == {A: 50, B: 50}


def test_what_comes_to_an_idle_queue_is_next_though_another_has_a_backlog() -> None:
    turns = Turns({A: 1, B: 1})
    turns.put(entries(A, 5000))
    turns.take(256)
    turns.put(entries(B, 1))
    assert B in topics(turns.take(2))


def test_entries_of_a_queue_keep_their_order() -> None:
    turns = Turns({A: 2, B: 1})
    turns.put(entries(A, 50))
    turns.put(entries(B, 50))
    taken = turns.take(100)
    assert [e.offset for e in taken if e.partition.place[0] == A] == list(range(50))
    assert not turns


def test_everything_is_given_back() -> None:
    turns = Turns({A: 1, B: 1})
    both = [*entries(A, 5), *entries(B, 5)]
    turns.put(both)
    assert {id(entry) for entry in turns.recall()} == {id(entry) for entry in both}
    assert turns.take(1) == []


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_nothing_is_lost_or_given_twice(steps: list[tuple[str, int, int]]) -> None:
    turns = Turns({A: 1, B: 2, C: 7})
    put: list[Entry] = []
    taken: list[Entry] = []
    for topic, came, asked in steps:
        new = entries(topic, came)
        turns.put(new)
        put += new
        taken += turns.take(asked)
        assert len(turns) == len(put) - len(taken)
    taken += turns.take(1000)
    assert sorted(map(id, put)) == sorted(map(id, taken))
