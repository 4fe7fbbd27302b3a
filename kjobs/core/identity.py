"""Ids of calls: UUID version 7, sortable by the time they were made.

See RFC 9562, section 5.7.
"""

from __future__ import annotations

_VERSION = 7 << 76
_VARIANT = 2 << 62
_LOW_62 = (1 << 62) - 1


def uuid7(milliseconds: int, random: int) -> str:
    """The id for a time and 74 random bits, as 32 hexadecimal digits.

    >>> uuid7(1795452627661, 0)
    '01a20950eacd70008000000000000000'
    """
    low = random & _LOW_62
    high = random >> 62 & 0xFFF
    return f"{milliseconds << 80 | _VERSION | high << 64 | _VARIANT | low:032x}"
