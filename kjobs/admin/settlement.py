"""Settlements: records in a dead letter topic that say what was done about a letter before them.

A settlement is in the letter's partition and has the letter's key, no value, and its meaning in headers.
So letters and what became of them are one log, with no other topic to keep, and as the topic forgets by
age, it forgets a letter before its settlement.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ..core.ports import Headers, Record
from ..kafka.log import LoggedRecord, Span
from .deadletter import State, last, moment, number

_SETTLES = "kj-settles"
_SETTLED = "kj-settled"
_AT = "kj-settled-at"
_BY = "kj-settled-by"

#: A state in one byte.
_CODES: Final = {State.OPEN: 0, State.REPLAYED: 1, State.DISCARDED: 2}
_STATES: Final = {code: state for state, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was done about a letter.

    Attributes:
        offset: the letter's offset.
        state: replayed or discarded.
        at: when, if that can be told.
        by: who did it, as ``user@host``.
    """

    offset: int
    state: State
    at: datetime | None
    by: str

    @property
    def headers(self) -> Headers:
        """The headers of its record."""
        told = {_SETTLES: str(self.offset), _SETTLED: str(self.state), _BY: self.by}
        if self.at is not None:
            told[_AT] = str(int(self.at.timestamp() * 1000))
        return [(name, value.encode("utf-8", "replace")) for name, value in told.items()]


def settlement(record: Record) -> Settlement | None:
    """Read a settlement; None if the record is a letter."""
    if record.value() is not None:
        return None
    headers = record.headers() or ()
    offset = number(last(headers, _SETTLES))
    # A letter cannot be settled before it is there.
    if offset is None or offset >= record.offset():
        return None
    # Of a state that a later version knows, this one need only know that the letter is not open.
    replayed = last(headers, _SETTLED) == State.REPLAYED
    return Settlement(
        offset,
        State.REPLAYED if replayed else State.DISCARDED,
        moment(number(last(headers, _AT)) or record.timestamp()[1]),
        last(headers, _BY) or "",
    )


class Fold:
    """The state of every letter of some spans, in a byte each.

    Args:
        spans: the offsets of the letters by partition.
    """

    def __init__(self, spans: Mapping[int, Span]) -> None:
        self._spans = spans
        self._codes = {number: bytearray(span.end - span.first) for number, span in spans.items()}
        #: One past the last letter, by partition; a partition without any is left out.
        self.ends: dict[int, int] = {}

    def take(self, record: LoggedRecord) -> None:
        """Take the next record of the log."""
        partition = record.partition()
        found = settlement(record)
        if found is None:
            self.ends[partition] = record.offset() + 1
        elif found.offset >= self._spans[partition].first:
            self._codes[partition][found.offset - self._spans[partition].first] = _CODES[found.state]

    def state(self, partition: int, offset: int) -> State:
        """The state of a letter."""
        return _STATES[self._codes[partition][offset - self._spans[partition].first]]


def whoami() -> str:
    """Who runs this process, as ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # no name: usual in a container
    return f"{user}@{socket.gethostname()}"
