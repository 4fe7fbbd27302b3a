"""Which dead letters are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .deadletter import DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant: those that agree with all that is given here.

    Attributes:
        job: the job's name.
        key: the ordering key.
        error: the exception's class: its full dotted name or the end of it, such as ``TimeoutError``.
        reason: why it was given up.
        since: given up then or later; an aware datetime.
        until: given up before then; an aware datetime.
        ids: ids of calls, or places of letters as ``partition@offset``; empty for any.

    Raises:
        ValueError: a time is not aware.
    """

    job: str | None = None
    key: str | None = None
    error: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the times."""
        for name, time in (("since", self.since), ("until", self.until)):
            if time is not None and time.tzinfo is None:
                raise ValueError(f"{name}={time}: the time has no time zone; give an aware datetime")

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant."""
        return (
            (self.job is None or letter.job == self.job)
            and (self.key is None or letter.record_key == self.key.encode("utf-8", "surrogateescape"))
            and (self.error is None or f".{letter.error}".endswith(f".{self.error}"))
            and (self.reason is None or letter.reason == self.reason)
            and (not self.ids or letter.id in self.ids or letter.place in self.ids)
            and self._in_time(letter.failed_at)
        )

    def _in_time(self, time: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if time is None:
            return False
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


#: All dead letters.
ALL = Filter()
