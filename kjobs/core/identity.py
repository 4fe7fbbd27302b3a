"""Ids of calls: UUID version 7, sortable by the time they were made.

See RFC 9562, section 5.7.
"""

from __future__ import annotations

_VARIANT = 2 << 62
_RANDOM = 0xFFF << 64 | (1 << 62) - 1


def head(milliseconds: int) -> str:
    """The first 13 digits of the ids of a millisecond: the time and the version."""
    return f"{milliseconds:012x}7"


def tail(random: int) -> str:
    """The last 19 digits: 74 of 76 random bits, and the variant in place of the others."""
    return "%019x" % (random & _RANDOM | _VARIANT)


def uuid7(milliseconds: int, random: int) -> str:
    """The id for a time and 76 random bits, as 32 hexadecimal digits.

    >>> uuid7(1795452627661, 0)
    '01a20950eacd70008000000000000000'
    """
    return head(milliseconds) + tail(random)
