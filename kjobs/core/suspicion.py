"""Which calls of a partition may have ended the processes of those who had it before.

A call that crashes its process leaves no word of it. What it leaves is a partition that nobody has let go:
the last commit is not one of those that are made when a partition is given back (``Checkpoint.clean``).
That alone says little, because machines are switched off, too. But when a partition is left like that twice
in a row, with some calls unfinished both times, these are *suspects*: they may begin, but in processes of
their own, and not before the group knows of it. So the next crash says which call it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from .checkpoint import Accused, Checkpoint, Suspected
from .partition import Entry, Partition

#: Crashes in a row after which calls that were unfinished are suspects.
SUSPECTED_AFTER = 2
#: Crashes known to be its own from which on a suspect runs alone.
ALONE_FROM = 1
#: Seconds for which a suspicion lasts at least: until then the store has told of all that was due before.
SHORTEST = 60.0


@dataclass(slots=True)
class Suspicion:
    """What is known of a partition that was left without a word.

    Attributes:
        crashes: how many times in a row that happened.
        end: calls of the queue from this offset on have not been begun by anybody before.
        since: when this assignment began (epoch seconds); the same for calls of the store that are due later.
        accused: what is known of single calls, by their names: see :func:`name_of`.
    """

    crashes: int
    end: int
    since: float
    accused: dict[tuple[bool, int], Accused] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether there are suspects."""
        return self.crashes >= SUSPECTED_AFTER

    def covers(self, entry: Entry) -> bool:
        """Whether a call is a suspect."""
        return self.active and self._reaches(entry)

    def _reaches(self, entry: Entry) -> bool:
        """Whether a call may have run before."""
        if entry.row is not None:
            return entry.row.due_ms <= self.since * 1000
        return entry.offset < self.end

    def unless_over(self, partition: Partition, now: float) -> Suspicion | None:
        """This, or None if every call of the partition is through that may have run before."""
        if partition.watermark() < self.end or now < self.since + SHORTEST:
            return self
        stored = partition.stored.rows.values()
        return self if any(map(self._reaches, stored)) else None

    def told(self) -> Suspected:
        """What the next commit says of it."""
        return Suspected(self.crashes, self.end, tuple(sorted(self.accused.values())))


def suspicion(
    restored: Checkpoint | None, offset: int, end: int, reach: int, since: float, *, crashed: bool
) -> Suspicion | None:
    """What an assignment begins with; None if there is nothing to be suspected.

    Args:
        restored: what the last owner committed.
        offset: where the queue is read from.
        end: one past the last offset that the queue has now.
        reach: calls that an owner may have begun beyond the highest that it said is finished.
        since: when the assignment begins (epoch seconds).
        crashed: the last owner may have: it did not give the partition back.
    """
    if restored is None:
        return None
    before = restored.suspected or Suspected(0, 0)
    crashes = before.crashes + crashed
    if not crashes:
        return None
    window = max(before.window, offset, min(end, restored.high + reach))
    accused = [_counted(one, crashed=crashed) for one in before.accused]
    return Suspicion(crashes, window, since, {(one.delayed, one.number): one for one in accused})


def _counted(one: Accused, *, crashed: bool) -> Accused:
    """What is known of a call now that an assignment has ended in which it may have run."""
    return Accused(one.delayed, one.number, one.crashes + (crashed and one.runs), runs=False)


def name_of(entry: Entry) -> tuple[bool, int]:
    """What a suspect is known by, also to the next owner, and wherever it is in between."""
    if entry.row is None:
        return False, entry.offset
    if entry.row.source is not None:
        return False, entry.row.source
    return True, zlib.crc32(entry.row.id.encode())


def known(accused: Mapping[tuple[bool, int], Accused], entry: Entry) -> int:
    """Crashes that are known to be of a call."""
    one = accused.get(name_of(entry))
    return max(entry.crashes, one.crashes if one is not None else 0)
