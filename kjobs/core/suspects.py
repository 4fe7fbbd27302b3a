"""The suspects of a worker: a few at a time, and each only when the group knows that it runs.

A suspect whose own process crashes is found out. If the whole machine or container goes with it, those that
ran are named in the last commit: they were a few, it is counted for each of them, and from then on each of
them runs alone. So it is known after at most five such crashes which one it was, and nobody else is blamed
who does not happen to run at three of them.

    waits ─► claimed ─► the commit that says so is acknowledged ─► runs, in a process of its own
"""

from __future__ import annotations

from collections import deque

from .burials import Burials
from .checkpoint import Accused
from .outcome import MOST_CRASHES, Bury, Crashed, Outcome, Reason, WorkerDied
from .partition import Entry, Partition
from .suspicion import ALONE_FROM, known, name_of

#: Suspects that run at a time: each has a process with all the jobs' modules in it.
AT_A_TIME = 4


class Suspects:
    """Suspects that wait, or run.

    Args:
        burials: for those that have ended too many processes.

    Attributes:
        claimed: those that are named in a commit, or will be in the next; with the number of the snapshot
            before it.
    """

    def __init__(self, burials: Burials) -> None:
        self._burials = burials
        self._waiting: deque[Entry] = deque()
        self._alone: deque[Entry] = deque()
        self.claimed: dict[Entry, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._alone or self.claimed)

    def take(self, entry: Entry) -> None:
        """A suspect could begin."""
        entry.crashes = known(self._accused(entry), entry)
        if entry.crashes >= MOST_CRASHES:
            died = WorkerDied(f"its process ended {entry.crashes} times while it ran; it was not begun again")
            self._burials.order(entry, Bury(Reason.CRASHED, died, entry.failures + entry.crashes))
        else:
            (self._alone if entry.crashes >= ALONE_FROM else self._waiting).append(entry)

    def claim(self) -> bool:
        """Choose those that run next; True if there are any, so that a commit is wanted at once."""
        claimed = False
        while (entry := self._next()) is not None:
            name = name_of(entry)
            self._accused(entry)[name] = Accused(*name, entry.crashes, runs=True)
            self.claimed[entry] = entry.partition.snapshots
            entry.partition.dirty = claimed = True
        return claimed

    def confirmed(self, partition: Partition, snapshot: int) -> list[Entry]:
        """Those that may run, because the group has a commit that names them.

        Args:
            partition: whose commit was acknowledged.
            snapshot: the number of its snapshot.
        """
        return [
            entry
            for entry, before in self.claimed.items()
            if entry.partition is partition and before < snapshot and not entry.suspect
        ]

    def runs(self, partition: Partition) -> bool:
        """Whether one of a partition runs, or is about to; it may have gone into the store since it began."""
        return any(entry.partition is partition for entry in self.claimed)

    def ended(self, entry: Entry) -> None:
        """One that ran has ended."""
        del self._accused(entry)[name_of(entry)]
        self._release(entry)

    def taken_back(self, entry: Entry) -> None:
        """One that was claimed has not begun, and may be offered again, here or elsewhere."""
        name = name_of(entry)
        self._accused(entry)[name] = Accused(*name, entry.crashes, runs=False)
        self._release(entry)

    def _release(self, entry: Entry) -> None:
        del self.claimed[entry]
        entry.suspect = False
        entry.partition.dirty = True

    def _accused(self, entry: Entry) -> dict[tuple[bool, int], Accused]:
        suspicion = entry.partition.suspicion
        assert suspicion is not None
        return suspicion.accused

    def convicted(self, entry: Entry, outcome: Outcome) -> int:
        """One that ran has ended otherwise than by success; how many crashes before this end are its own."""
        self.ended(entry)
        suspicion = entry.partition.suspicion
        assert suspicion is not None
        # If its own process crashed, it is known who ended the others.
        return max(entry.crashes, suspicion.crashes) if isinstance(outcome, Crashed) else entry.crashes

    def forget(self, partition: Partition) -> None:
        """A partition was taken away."""
        for line in (self._waiting, self._alone):
            kept = [entry for entry in line if entry.partition is not partition]
            line.clear()
            line.extend(kept)
        self.claimed = {e: before for e, before in self.claimed.items() if e.partition is not partition}

    def _next(self) -> Entry | None:
        if self._alone:
            return None if self.claimed else self._alone.popleft()
        if len(self.claimed) >= AT_A_TIME or any(entry.crashes >= ALONE_FROM for entry in self.claimed):
            return None
        return self._waiting.popleft() if self._waiting else None
