"""What the scheduler has, and by which offsets it knows it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kjobs.core.deferred import Kind, Row
from kjobs.deferred.hands import Hands
from tests.deferred.calls import dated, free, parked


def at(offset: int, call: Row | None = None) -> Row:
    return replace(free(f"f{offset}") if call is None else call, offset=offset)


def test_what_is_given_is_in_hand_and_counted() -> None:
    hands = Hands()
    hands.give([at(1), at(2, dated("d")), at(3)])
    hands.give([at(4, parked("p@4", 4))])
    assert list(hands) == [1, 2, 3, 4]
    assert [hands.count(kind) for kind in Kind] == [2, 1, 1]
    assert 3 in hands
    assert 5 not in hands
    assert hands.find("d") == 2


def test_what_comes_back_is_not_in_hand_any_more() -> None:
    hands = Hands()
    hands.give([at(1), at(2)])
    assert hands.back(1) == 1
    assert list(hands) == [2]
    assert hands.count(Kind.FREE) == 1
    assert hands.find("f1") is None
    assert not hands.knows(1)


def test_what_was_not_given_comes_back_as_nothing() -> None:
    hands = Hands()
    hands.give([at(1)])
    assert hands.back(7) == 7
    assert hands.count(Kind.FREE) == 1


@pytest.mark.parametrize("by", [1, 9], ids=["as given", "as it is now"])
def test_a_call_that_has_another_offset_is_known_by_both(by: int) -> None:
    hands = Hands()
    hands.give([at(1)])
    hands.move(1, 5)
    hands.move(5, 9)
    assert list(hands) == [9]
    assert (hands.given(9), hands.now(1)) == (1, 9)
    assert hands.find("f1") == 9
    assert hands.knows(1)
    assert hands.knows(9)
    assert not hands.knows(5)
    assert hands.back(by) == 9
    assert not list(hands)
    assert hands.count(Kind.FREE) == 0
    # And nothing of it is left.
    assert (hands.given(9), hands.now(1), hands.knows(1), hands.find("f1")) == (9, 1, False, None)


def test_of_two_calls_with_one_id_the_later_is_found() -> None:
    hands = Hands()
    old, new = at(1, free("a")), at(2, free("a"))
    hands.give([old])
    hands.give([new])
    hands.back(1)
    assert hands.find("a") == 2
    hands.back(2)
    assert hands.find("a") is None
