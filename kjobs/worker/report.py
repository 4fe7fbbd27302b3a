"""Tells people and subscribers what a worker does: log lines, counts, events."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from .. import events
from ..core.commands import Suspecting
from ..core.duration import spoken
from ..core.events import Committed, Place
from ..core.hotkeys import HotKey
from ..core.outcome import Bury
from ..core.partition import Entry
from ..core.resume import Resumption
from .crowds import crowds, line, remark
from .facts import facts, fields, label, one_line
from .overtime import HARD, Late

if TYPE_CHECKING:
    from ..kafka.survey import Unreadable

log = logging.getLogger("kjobs.worker")

#: Seconds that two clocks may be apart, and between two warnings that they are further.
CLOCKS_APART = 5.0
_CLOCKS_EVERY = 60.0
#: Running calls that are told at most.
_RUNNING = 100
#: Seconds between two summaries.
_SUMMARY_EVERY = 10.0


@dataclass(slots=True)
class Totals:
    """What became of calls."""

    done: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    dropped: int = 0

    def __sub__(self, other: Totals) -> Totals:
        return Totals(
            self.done - other.done,
            self.failed - other.failed,
            self.retried - other.retried,
            self.dead - other.dead,
            self.dropped - other.dropped,
        )

    @property
    def calls(self) -> int:
        """Attempts that were made."""
        return self.done + self.failed

    def any(self) -> bool:
        """Whether anything happened."""
        return bool(self.done or self.failed or self.retried or self.dead or self.dropped)

    def __str__(self) -> str:
        return (
            f"{self.done:,} done, {self.failed:,} failed, {self.retried:,} retried, {self.dead:,} dead, "
            f"{self.dropped:,} dropped"
        )


class Report:
    """The voice of a worker.

    Args:
        queues: the queue by topic.
    """

    def __init__(self, queues: Mapping[str, str]) -> None:
        self._queues = queues
        self.totals = Totals()
        self._said = Totals()
        self._said_at = time.monotonic()
        self._clocks_after = 0.0

    def finished(self, count: int) -> None:
        """So many attempts ended well."""
        self.totals.done += count

    def retrying(self, entry: Entry, error: BaseException, due: float, now: float) -> None:
        """A call failed and will be tried again."""
        self.totals.failed += 1
        self.totals.retried += 1
        call = facts(entry, self._queue(entry), entry.failures)
        wait = spoken(round(max(0.0, due - now), 2))
        log.warning(
            "%s: attempt %d failed, retry in %s: %s",
            label(call),
            entry.failures,
            wait,
            brief(error),
            extra=fields("call.retried", call, due=due, error=type(error).__name__),
        )
        events.emit(events.CallRetried(**call, error=error, due=due))

    def running(self, entries: Sequence[Entry]) -> None:
        """Somebody wants to know what runs."""
        shown = [label(facts(e, self._queue(e), e.failures + 1)) for e in entries[:_RUNNING]]
        log.warning(
            "%d calls are running%s",
            len(entries),
            "".join(f"\n  {line}" for line in shown),
            extra={"event": "worker.running", "calls": shown},
        )

    def given_up(self, late: Late) -> None:
        """A call cannot be ended."""
        call = facts(late.entry, self._queue(late.entry), late.entry.failures + 1)
        log.error(
            "%s has not ended %g s after its job's timeout. It counts as failed, and this process ends as "
            "soon as all other calls have, for another one to take its place. It is here:\n%s",
            label(call),
            HARD,
            late.stack,
            extra=fields("call.given_up", call),
        )

    def hot(self, keys: Sequence[HotKey]) -> None:
        """Somebody wants to know what runs, and so what waits behind it."""
        if keys:
            found = crowds(keys)
            log.warning(
                "keys with the most calls in memory:%s",
                "".join(f"\n  {line(crowd)}" for crowd in found),
                extra={"event": "worker.hot", "hot_keys": list(map(asdict, found))},
            )

    def deferred(self, entry: Entry) -> None:
        """The deferred store has a call, which it had not before."""
        if entry.row is None and entry.deferral is not None and events.wanted(events.CallDeferred):
            call = facts(entry, self._queue(entry), entry.failures + 1)
            events.emit(events.CallDeferred(**call, due=entry.deferral.due_ms / 1000))

    def buried(self, entry: Entry, burial: Bury) -> None:
        """A call is on the dead letter queue."""
        self.totals.dead += 1
        self.totals.failed += 1 if burial.attempts else 0
        call = facts(entry, self._queue(entry), burial.attempts)
        error = burial.error
        log.error(
            "%s is dead after %d attempts (%s): %s",
            label(call),
            burial.attempts,
            burial.reason,
            brief(error),
            exc_info=(type(error), error, error.__traceback__),
            extra=fields("call.dead", call, reason=str(burial.reason), error=type(error).__name__),
        )
        events.emit(events.CallBuried(**call, reason=str(burial.reason), error=error))

    def not_buried(self, entry: Entry, error: Exception) -> None:
        """The dead letter topic did not take a call."""
        call = facts(entry, self._queue(entry), entry.failures + 1)
        log.error(
            "%s could not be put on the dead letter queue and holds its key until it is: %s",
            label(call),
            one_line(str(error), 1000),
            extra=fields("burial.failed", call),
        )
        events.emit(events.BurialFailed(**call, error=str(error)))

    def dropped(self, entry: Entry, why: str) -> None:
        """A call was deliberately given up."""
        self.totals.dropped += 1
        call = facts(entry, self._queue(entry), entry.failures + 1)
        log.info(
            "%s dropped: %s", label(call), one_line(why, 300), extra=fields("call.dropped", call, why=why)
        )
        events.emit(events.CallDropped(**call, why=why))

    def resumed(self, place: Place, found: Resumption) -> None:
        """Reading of a partition begins somewhere that people should know of."""
        topic, number = place
        if found.gap is not None:
            first, end = found.gap
            log.error(
                "%s[%d]: offsets %d to %d are gone: retention removed them before this group had finished "
                "them",
                topic,
                number,
                first,
                end - 1,
                extra={
                    "event": "records.missing",
                    "topic": topic,
                    "partition": number,
                    "first": first,
                    "end": end,
                },
            )
            events.emit(events.RecordsMissing(topic, number, first, end))
        if found.replaced:
            log.error(
                "%s[%d] is not the topic whose offsets this group committed: it was deleted and created "
                "again, or cut short. Reading begins at its first record.",
                topic,
                number,
                extra={"event": "topic.replaced", "topic": topic, "partition": number},
            )
            events.emit(events.TopicReplaced(topic, number))

    def unreadable(self, place: Place, found: Unreadable) -> None:
        """A batch of a queue, or of the log of a deferred store, could not be read and was stepped over.

        Of the latter it is told by the keeper's thread.
        """
        topic, number = place
        log.error(
            "%s[%d]: offsets %d to %d cannot be read and were stepped over: %s. %s Kafka keeps them until "
            "retention removes them: see “Records that cannot be read” in docs/reliability.md",
            topic,
            number,
            found.first,
            found.end - 1,
            found.reason,
            "Their calls were not run."
            if topic in self._queues
            else "Delayed calls may be missing, or run though they were cancelled or had run.",
            extra={
                "event": "records.unreadable",
                "topic": topic,
                "partition": number,
                "first": found.first,
                "end": found.end,
                "reason": found.reason,
            },
        )
        events.emit(events.RecordsUnreadable(topic, number, found.first, found.end, found.reason))

    def committed(self, answer: Committed, sent: float) -> None:
        """The broker stored an offset, or did not; ``sent``: when it was asked to (monotonic)."""
        if answer.error is None:
            events.emit(events.OffsetsCommitted([(*answer.place, answer.offset)], sent))
        else:
            self.commit_failed(answer.place, answer.offset, answer.error)

    def commit_failed(self, place: Place, offset: int, error: str) -> None:
        """The broker did not store an offset; the next commit tries again."""
        log.debug("%s[%d]: offset %d not committed: %s", *place, offset, error)
        events.emit(events.CommitFailed(*place, offset, error))

    def clocks_apart(self, ahead: float) -> None:
        """The broker's clock is so many seconds ahead of this worker's (behind, if negative)."""
        now = time.monotonic()
        if abs(ahead) <= CLOCKS_APART or now < self._clocks_after:
            return
        self._clocks_after = now + _CLOCKS_EVERY
        log.warning(
            "this worker's clock is %.0f s %s the broker's: delayed calls start that much too %s",
            abs(ahead),
            "behind" if ahead > 0 else "ahead of",
            "late" if ahead > 0 else "early",
            extra={"event": "clock.apart", "seconds": -ahead},
        )
        events.emit(events.ClocksApart(-ahead))

    def summary_due(self) -> bool:
        """Whether it is time to say what happened."""
        return time.monotonic() - self._said_at >= _SUMMARY_EVERY

    def summary(self, oldest_ms: int | None, held: int, hot: Sequence[HotKey] = ()) -> None:
        """Say what happened since the last time, if anything did.

        Args:
            oldest_ms: when the oldest unfinished call was enqueued (ms since the epoch).
            held: unfinished calls in memory.
            hot: the keys that have the most of them.
        """
        elapsed = time.monotonic() - self._said_at
        recent = self.totals - self._said
        self._said_at = time.monotonic()
        if not recent.any():
            return
        self._said = replace(self.totals)
        wait = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        found = crowds(hot)
        log.info(
            "%s in %s (%s/s), %s in hand, the oldest waits %s%s",
            recent,
            spoken(round(elapsed)),
            f"{recent.done / elapsed:,.0f}",
            f"{held:,}",
            spoken(round(wait, 1)),
            remark(found, held),
            extra={
                "event": "worker.summary",
                "done": recent.done,
                "failed": recent.failed,
                "retried": recent.retried,
                "dead": recent.dead,
                "dropped": recent.dropped,
                "rate": recent.done / elapsed,
                "held": held,
                "longest_wait": wait,
                "hot_keys": list(map(asdict, found)),
            },
        )

    def assigned(self, place: Place, offset: int) -> None:
        """A partition is this worker's now."""
        log.debug("%s[%d] assigned, from offset %d", *place, offset, extra={"event": "partition.assigned"})
        events.emit(events.PartitionsAssigned([(*place, offset)]))

    def suspecting(self, command: Suspecting) -> None:
        """Calls of a partition may have ended the workers that had it."""
        (topic, number), crashes = command.place, command.crashes
        log.warning(
            "%s[%d]: the workers that had it ended %d times in a row without giving it back. What was "
            "unfinished then, at offsets %d to %d, runs in processes of its own until it is through; a call "
            "that crashes there becomes a dead letter.",
            topic,
            number,
            crashes,
            command.start,
            command.end - 1,
            extra={"event": "calls.suspected", "partition": number, "crashes": crashes},
        )
        events.emit(events.CallsSuspected(topic, number, crashes, command.start, command.end))

    def revoked(self, places: Sequence[Place]) -> None:
        """Partitions were taken away in order."""
        log.info("gave back %s", spelled(places), extra={"event": "partitions.revoked"})
        events.emit(events.PartitionsRevoked(places))

    def lost(self, places: Sequence[Place]) -> None:
        """Partitions had been taken away before this worker knew."""
        log.warning(
            "lost %s: the group had not heard from this worker in time. Calls that were running may run "
            "again elsewhere.",
            spelled(places),
            extra={"event": "partitions.lost"},
        )
        events.emit(events.PartitionsLost(places))

    def _queue(self, entry: Entry) -> str:
        return self._queues[entry.partition.place[0]]


def spelled(places: Iterable[Place]) -> str:
    """Partitions as people write them: ``kjobs.mail[0,3,5]``."""
    by_topic: dict[str, list[int]] = {}
    for topic, number in sorted(places):
        by_topic.setdefault(topic, []).append(number)
    return ", ".join(f"{topic}[{','.join(map(str, numbers))}]" for topic, numbers in by_topic.items())


def brief(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = str(error)
    except Exception:
        text = "<its __str__ raised>"
    line = one_line(text, 300)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
