"""Keeps account of what each partition of the embedded broker holds unconsumed, so that nothing is dropped.

A mock cluster keeps the newest 5 MiB of a partition, as stored, and drops older batches whether they were
consumed or not. It cannot be asked how many bytes lie between two offsets. But whoever sends knows the size
of each record, and its offset once it is acknowledged. So senders *claim* bytes here before they send, and
later *report* what they sent where. Bytes that are claimed and not reported may be in any partition, and
are counted in all of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

#: Bytes of unconsumed records that a partition may hold. The mock drops whole batches, the oldest first, when
#: it has more than 5 MiB of a partition: what is unconsumed is safe below that by the size of a batch.
ROOM = 4 * 1024 * 1024

#: The largest record, with OVERHEAD; no less than librdkafka's ``batch.size``. ROOM plus one such batch is
#: below the 5 MiB that the mock keeps.
LARGEST = 1_000_000

#: What a record takes besides key, value and headers, at most: it may be alone in its batch. As every record
#: counts for more than this, a full partition has fewer than ROOM / OVERHEAD = 43,691 of them unconsumed, and
#: the mock's other limit, 100,000 batches, is never met.
OVERHEAD = 96

#: Near the limit a claim is granted a part of what is left only, for there may be other senders.
_SHARE = 8

#: Bytes of the log of a deferred store that calls leave to whoever takes calls out of it, and that those
#: leave to whoever moves calls up, to make room. A call of more than the latter cannot be moved.
SPARED_BY_CALLS = 1024 * 1024
SPARED_BY_ENDS = 512 * 1024


class Report(NamedTuple):
    """Records that a sender was told are in a partition: the offset of the last, and their bytes."""

    partition: int
    last: int
    size: int


class Offsets(Protocol):
    """How to learn what is in a topic, by partition; both answer with nothing if it cannot be told now."""

    def finished(self, topic: str, groups: Collection[str]) -> Sequence[int]:
        """The offset up to which the slowest of the groups has finished."""
        ...

    def ends(self, topic: str) -> Sequence[int]:
        """The offset that the next record will get."""
        ...


@dataclass(slots=True)
class _Account:
    """What is known of one topic."""

    #: What was sent, by partition and in the order of reports: the last offset and the bytes of each report.
    sent: dict[int, deque[tuple[int, int]]] = field(default_factory=dict)
    #: The sum of bytes in ``sent``, by partition.
    held: dict[int, int] = field(default_factory=dict)
    #: Bytes claimed and not reported, by sender.
    claimed: dict[Hashable, int] = field(default_factory=dict)
    #: Bytes claimed by senders that went away without a report.
    orphaned: int = 0
    groups: frozenset[str] = frozenset()

    def room(self) -> int:
        return ROOM - max(self.held.values(), default=0) - sum(self.claimed.values()) - self.orphaned

    def add(self, report: Report) -> None:
        self.sent.setdefault(report.partition, deque()).append((report.last, report.size))
        self.held[report.partition] = self.held.get(report.partition, 0) + report.size

    def forget_finished(self, finished: Sequence[int]) -> None:
        for partition, offset in enumerate(finished):
            batches = self.sent.get(partition)
            if not batches:
                continue
            # Reports of several senders come in any order.
            kept = deque(batch for batch in batches if batch[0] >= offset)
            self.sent[partition] = kept
            self.held[partition] = sum(size for _, size in kept)


class Accounts:
    """What every topic holds unconsumed, and who may send how much to it.

    Args:
        offsets: tells what is finished, and where partitions end.
    """

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}

    def claim(
        self,
        sender: Hashable,
        topic: str,
        groups: frozenset[str],
        size: int,
        wish: int,
        spare: int = 0,
        spared: int = 0,
    ) -> int:
        """Let ``sender`` send ``size`` bytes to ``topic``, and up to ``wish`` if there is plenty of room.

        Args:
            sender: who asks.
            topic: where it is to go.
            groups: those that must have finished it before it may be dropped.
            size: bytes that are needed now.
            wish: bytes that will be, perhaps.
            spare: bytes of room that are to be left by the former.
            spared: bytes of room that are to be left by the latter.

        Returns:
            The bytes granted; 0 if there is no room for ``size`` until the slowest of the groups finishes
            more of what the topic holds.
        """
        with self._lock:
            account = self._accounts.setdefault(topic, _Account())
            account.groups |= groups
            room = account.room()
            if room - spare < size:
                self._refresh(topic, account)
                room = account.room()
            if room - spare < size:
                return 0
            granted = max(size, min(wish, (room - spared) // _SHARE))
            account.claimed[sender] = account.claimed.get(sender, 0) + granted
            return granted

    def report(self, sender: Hashable, topic: str, reports: Sequence[Report], returned: int) -> None:
        """Note where the sender's records are, and the bytes of its claim that it did not use after all."""
        with self._lock:
            account = self._accounts.setdefault(topic, _Account())
            for report in reports:
                account.add(report)
                returned += report.size
            left = account.claimed.get(sender, 0) - returned
            if left > 0:
                account.claimed[sender] = left
            else:
                account.claimed.pop(sender, None)

    def forget(self, topic: str) -> None:
        """The topic was deleted."""
        with self._lock:
            self._accounts.pop(topic, None)

    def emptied(self, topic: str, partition: int, before: int) -> None:
        """The records of a partition below an offset were deleted."""
        with self._lock:
            account = self._accounts.get(topic)
            if account is not None:
                account.forget_finished([0] * partition + [before])

    def gone(self, sender: Hashable) -> None:
        """The sender went away; what it claimed and did not report, it may have sent."""
        with self._lock:
            for account in self._accounts.values():
                account.orphaned += account.claimed.pop(sender, 0)

    def _refresh(self, topic: str, account: _Account) -> None:
        """Forget what is consumed by now."""
        if account.orphaned and (ends := self._offsets.ends(topic)):
            # It is in the log by now, if it ever will be: consumed once all that is there now is.
            for partition, end in enumerate(ends):
                account.add(Report(partition, end - 1, account.orphaned))
            account.orphaned = 0
        account.forget_finished(self._offsets.finished(topic, account.groups))
