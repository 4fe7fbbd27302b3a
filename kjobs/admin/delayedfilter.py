"""Which calls of the deferred store are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .delayedcall import DelayedCall, State


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedFilter:
    """Which calls of the deferred store are meant: those that agree with all that is given here.

    Attributes:
        job: the job's name.
        key: the ordering key.
        state: what they wait for.
        due_after: due then or later; an aware datetime.
        due_before: due before then; an aware datetime. Of a call that waits only for others of its key it
            cannot be said when it is due.
        ids: ids of calls, or of their records, or places in the log as ``partition@offset``; empty for any.

    Raises:
        ValueError: a time is not aware.
    """

    job: str | None = None
    key: str | None = None
    state: State | None = None
    due_after: datetime | None = None
    due_before: datetime | None = None
    ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the times."""
        for name, time in (("due_after", self.due_after), ("due_before", self.due_before)):
            if time is not None and time.tzinfo is None:
                raise ValueError(f"{name}={time}: the time has no time zone; give an aware datetime")

    def matches(self, call: DelayedCall) -> bool:
        """Whether a call is meant. Those of other ``ids`` are left out before."""
        return (
            (self.job is None or call.job == self.job)
            and (self.key is None or call.record_key == self.key.encode("utf-8", "surrogateescape"))
            and (self.state is None or call.state is self.state)
            and self._in_time(call.due)
        )

    def _in_time(self, due: datetime | None) -> bool:
        if self.due_after is None and self.due_before is None:
            return True
        if due is None:
            return False
        return (self.due_after is None or due >= self.due_after) and (
            self.due_before is None or due < self.due_before
        )


#: All calls.
ALL = DelayedFilter()
