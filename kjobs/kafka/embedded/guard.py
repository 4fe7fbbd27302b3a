"""Keeps senders from filling the embedded broker until it drops calls that nobody has run yet."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.ports import Headers
from ...errors import CallTooLarge, EmbeddedBrokerError
from .accounts import LARGEST, OVERHEAD, Report
from .control import Control

#: Bytes that a process claims at first, when it may have one call to send only, and at most.
_FIRST_WISH = 2 * 1024
_LARGEST_WISH = 64 * 1024

#: Bytes of acknowledged records that are reported without waiting for the next claim, which an idle process
#: does not make. Those of a partition are reported as one, and take room until the last of them is consumed.
_UNREPORTED = 64 * 1024

#: Seconds for which a refusal stands, so that waiting senders do not ask all the time.
_REFUSED = 0.005


def weight(value: bytes | None, key: bytes | None, headers: Headers | None) -> int:
    """Bytes of a record's value, key and headers."""
    size = len(value or b"") + len(key or b"")
    return size + sum(len(name) + len(text or b"") for name, text in headers or ())


@dataclass(slots=True)
class _Purse:
    """What this process may still send to a topic, and what it has to report about it."""

    groups: list[str]
    balance: int = 0
    wish: int = _FIRST_WISH
    #: By how much was to be spared.
    refused_until: dict[int, float] = field(default_factory=dict)
    #: By partition: what is acknowledged and not reported; and the bytes of it all.
    sent: dict[int, Report] = field(default_factory=dict)
    unreported: int = 0

    def note(self, partition: int, offset: int, size: int) -> None:
        self.unreported += size
        before = self.sent.get(partition)
        if before is not None:
            offset, size = max(offset, before.last), size + before.size
        self.sent[partition] = Report(partition, offset, size)

    def take_reports(self) -> list[Report]:
        reports = list(self.sent.values())
        self.sent.clear()
        self.unreported = 0
        return reports


class EmbeddedGuard:
    """Tells a producer whether a topic of the embedded broker may take another record.

    The mock cluster keeps 5 MiB of a partition and silently drops what is older. With every producer of a
    topic behind a guard, unconsumed records of a partition stay within 4 MiB, and none is dropped: not with
    any number of processes, any mix of sizes, or any number of records under way. For that the process of
    the broker keeps account of claims (:mod:`.accounts`); this class holds a process's claims, asks
    for more once per 64 KiB, and reports as often what became of them.

    The bound holds for producers whose ``batch.size`` is at most librdkafka's default of 1 MB. Records that
    are produced without a guard are not counted. A retry of the client after a broken connection, which the
    mock appends twice, is counted once.

    For one process (create it after a fork), any thread.

    Args:
        bootstrap: the address of the embedded broker.
        groups: names the groups that must have finished a topic's records before these may be dropped. A
            topic without a group is not guarded: nobody ever finishes its records, so it would stay full.
        spared: tells how many bytes of a topic's room its records leave to those that are more urgent.
    """

    def __init__(
        self,
        bootstrap: str,
        groups: Callable[[str], Collection[str]],
        spared: Callable[[str], int] = lambda topic: 0,
    ) -> None:
        self._bootstrap = bootstrap
        self._groups = groups
        self._spared = spared
        self._lock = threading.Lock()
        self._purses: dict[str, _Purse] = {}
        self._control: Control | None = None

    def admit(self, topic: str, size: int, spare: int | None = None) -> bool:
        """Whether a record may be produced now; if so, :meth:`settled` must be called for it later.

        Blocks for a fraction of a millisecond once per 64 KiB, to claim more.

        Args:
            topic: where it is to go.
            size: bytes of its key, value and headers.
            spare: bytes of room that it must leave; as usual for the topic if not given.

        Raises:
            CallTooLarge: the embedded broker cannot hold a record of this size safely.
            EmbeddedBrokerError: the broker is gone.
        """
        needed = size + OVERHEAD
        with self._lock:
            purse = self._purses.get(topic)
            if purse is None:
                purse = self._purses[topic] = _Purse(sorted(self._groups(topic)))
            if purse.balance < needed and purse.groups:
                self._claim(topic, purse, needed, self._spared(topic) if spare is None else spare)
            if purse.balance < needed and purse.groups:
                return False
            purse.balance -= needed
            return True

    def settled(self, topic: str, size: int, partition: int, offset: int) -> None:
        """The fate of an admitted record is known.

        Args:
            topic: as admitted.
            size: as admitted.
            partition: where it is; -1 if it was not sent, or failed.
            offset: its offset; of no account if it was not sent, or failed.
        """
        taken = size + OVERHEAD
        with self._lock:
            purse = self._purses.get(topic)
            if purse is None or not purse.groups:
                return
            if partition < 0:
                purse.balance += taken
            else:
                purse.note(partition, offset, taken)
            if purse.unreported > _UNREPORTED or purse.balance > 2 * _LARGEST_WISH:
                # If the broker is gone, the next to be admitted is told.
                with contextlib.suppress(EmbeddedBrokerError):
                    self._report(topic, purse, keep=_LARGEST_WISH)

    def close(self) -> None:
        """Report what was sent, give back what was not, and disconnect."""
        with self._lock:
            # A broker that is gone needs no report.
            with contextlib.suppress(EmbeddedBrokerError):
                for topic, purse in list(self._purses.items()):
                    if purse.groups and self._control is not None:
                        self._report(topic, purse, keep=0)
            self._forget()

    def _claim(self, topic: str, purse: _Purse, needed: int, spare: int) -> None:
        if needed > LARGEST:
            raise CallTooLarge(
                f"a call of {needed - OVERHEAD:,} bytes for {topic} is not enqueued: the embedded broker "
                "drops old records when it runs full, whole batches at a time, and can be kept from it only "
                f"for records of at most {LARGEST - OVERHEAD:,} bytes. Pass a reference to large data "
                "instead of the data, or use a real Kafka."
            )
        now = time.monotonic()
        if now < purse.refused_until.get(spare, 0.0):
            return
        answer = self._ask(
            {
                "do": "claim",
                "topic": topic,
                "groups": purse.groups,
                "sent": purse.take_reports(),
                "size": needed - purse.balance,
                "wish": purse.wish,
                "spare": spare,
                "spared": self._spared(topic),
            }
        )
        granted = int(answer["granted"])
        if granted:
            purse.balance += granted
            purse.wish = min(2 * purse.wish, _LARGEST_WISH)
        else:
            purse.refused_until[spare] = now + _REFUSED

    def _report(self, topic: str, purse: _Purse, keep: int) -> None:
        surplus = max(0, purse.balance - keep)
        purse.balance -= surplus
        self._ask({"do": "report", "topic": topic, "sent": purse.take_reports(), "returned": surplus})

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            if self._control is None:
                self._control = Control(self._bootstrap)
            return self._control.ask(request)
        except EmbeddedBrokerError:
            # Another broker may be there the next time, which granted nothing yet.
            self._forget()
            raise

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control = None
        self._purses.clear()
