"""Ids of calls: version 7 UUIDs that sort by time."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.identity import uuid7

times = st.integers(0, 2**48 - 1)
randoms = st.integers(0, 2**74 - 1)


@given(times, randoms)
def test_an_id_is_a_uuid_of_version_7(milliseconds: int, random: int) -> None:
    text = uuid7(milliseconds, random)
    assert len(text) == 32
    assert text == text.lower()
    found = UUID(text)
    assert (found.version, found.variant) == (7, RFC_4122)
    assert found.int >> 80 == milliseconds


@given(times, times, randoms, randoms)
def test_ids_sort_by_time_as_text(one: int, other: int, first: int, second: int) -> None:
    if one != other:
        assert (uuid7(one, first) < uuid7(other, second)) == (one < other)


@given(times, randoms, randoms)
def test_every_random_bit_counts(milliseconds: int, one: int, other: int) -> None:
    assert (uuid7(milliseconds, one) == uuid7(milliseconds, other)) == (one == other)


@given(st.integers(75, 200), randoms)
def test_more_random_bits_than_there_is_room_for_do_no_harm(bits: int, random: int) -> None:
    assert UUID(uuid7(1, random | 1 << bits)).version == 7
    assert uuid7(1, random | 1 << bits) == uuid7(1, random)
