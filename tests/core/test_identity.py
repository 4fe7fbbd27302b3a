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


@given(times)
def test_an_id_has_74_random_bits(milliseconds: int) -> None:
    """All that a UUID of version 7 has room for, whichever bits of the number they are."""
    plain = uuid7(milliseconds, 0)
    assert sum(uuid7(milliseconds, 1 << bit) != plain for bit in range(128)) == 74


@given(times, st.integers(0, 2**200))
def test_a_larger_random_number_does_no_harm(milliseconds: int, random: int) -> None:
    text = uuid7(milliseconds, random)
    assert len(text) == 32
    assert (UUID(text).version, UUID(text).int >> 80) == (7, milliseconds)
