"""The delayed calls of a queue: looking at them, cancelling them, giving them another time."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from ..app import App
from ..connect import open_cluster, open_producer
from ..core.deferred import Verdict
from ..core.envelope import LATEST
from ..core.partitioner import partition_of
from ..deferred.inquiry import Wish
from ..deferred.requests import Requests
from ..deferred.wire import name_bytes
from ..errors import BrokerError, EnqueueError
from ..handle import moment_ms
from ..kafka.log import Log
from .deadletter import moment
from .delayedcall import DelayedCall, State, delayed_call
from .delayedfilter import ALL, DelayedFilter
from .delayedindex import DelayedIndex, Progress
from .missing import missing

_PLACE = re.compile(r"(\d{1,9})@(\d{1,18})")
#: Kinds of calls that a survey tells apart; names of jobs are not ours to bound.
_KINDS = 1000
#: Seconds between two reports of progress.
_TELL_EVERY = 0.1
#: Seconds for what the producer still has to send.
_FAREWELL = 5.0


@dataclass(frozen=True, slots=True)
class DelayedSurvey:
    """What a filter matched.

    Attributes:
        calls: how many calls.
        kinds: how many of each job and state; None stands for all others.
        states: how many of each state.
        overdue: how many whose time has come, and that do not wait for others of their key.
        soonest: when the first of them is due; None if that cannot be said of any.
        latest: when the last of them is.
        ends: up to where the log was looked at, by partition.
    """

    calls: int
    kinds: Mapping[tuple[str | None, State] | None, int]
    states: Mapping[State, int]
    overdue: int
    soonest: datetime | None
    latest: datetime | None
    ends: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class DelayedOutcome:
    """What became of the wish to cancel calls, or to give them another time.

    Attributes:
        verdicts: how many calls have each verdict; what each means: :class:`kjobs.Verdict`.
    """

    verdicts: Mapping[Verdict, int]

    @property
    def calls(self) -> int:
        """How many calls it is known of."""
        return sum(self.verdicts.values())

    def of(self, verdict: Verdict) -> int:
        """How many calls have this verdict."""
        return self.verdicts.get(verdict, 0)


class DelayedCalls:
    """The delayed calls of a queue: those with a time, and what waits in the deferred store beside them.

    >>> with DelayedCalls(app, "mail") as calls:
    ...     for call in calls.list(DelayedFilter(job="mail.remind")):
    ...         print(call.id, call.due)
    ...     calls.cancel(DelayedFilter(key="7"))

    The log of the store is read from outside, into an index on disk, in ``tempfile.gettempdir()``; what was
    read once is not read again while this object is open. In memory are some megabytes. What it tells was so
    a moment ago; what it does about a call is up to the worker that has the call.

    Args:
        app: whose queue.
        queue: the queue's name.

    Raises:
        ValueError: this cannot be a queue's name.
        UnknownQueue: it does not exist.
        BrokerError: Kafka cannot be reached.
    """

    def __init__(self, app: App, queue: str) -> None:
        self.queue = app.check_queue(queue)
        self._settings = app.settings
        self._topic = app.names.delayed(queue)
        partitions = open_cluster(self._settings).partitions
        if self._topic not in partitions:
            raise missing(
                self._settings,
                partitions,
                queue,
                self._topic,
                "deferred store: {} does not exist, so no call of it can be delayed",
            )
        self._count = partitions[self._topic]
        self._index = DelayedIndex()

    def __enter__(self) -> Self:
        """Nothing is done yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Forget what was read; what is asked next is read anew."""
        self._index.close()

    # --- looking -----------------------------------------------------------------------------------

    def list(
        self, matching: DelayedFilter = ALL, *, progress: Progress | None = None
    ) -> Iterator[DelayedCall]:
        """The calls that match, those that are due first at first, and those that have no time at the end.

        Args:
            matching: which calls.
            progress: told now and then how much of the log is read, and how much there is.

        Raises:
            BrokerError: the log cannot be read.
        """
        with self._read(matching, progress) as index:
            yield from self._calls(index, matching)

    def find(self, name: str, *, progress: Progress | None = None) -> Sequence[DelayedCall]:
        """The calls of an id, or the one whose record is at ``partition@offset``, or was.

        Where calls without a key are is looked first, and if there is one of this id, nowhere else: no two
        calls should have the same.

        Args:
            name: a call's id, or that of its record, or a place.
            progress: told now and then how much of the log is read, and how much there is.

        Raises:
            BrokerError: the log cannot be read.
        """
        matching = DelayedFilter(ids=frozenset({name}))
        for partitions in self._candidates(name):
            with self._read(matching, progress, partitions) as index:
                if found := list(self._calls(index, matching)):
                    return found
        return ()

    def _candidates(self, name: str) -> Iterable[Sequence[int]]:
        """Where to look for a call, in this order."""
        place = _PLACE.fullmatch(name)
        likely = [partition_of(name_bytes(name), self._count)]
        if place is not None and int(place[1]) < self._count:
            likely.insert(0, int(place[1]))
        yield from ([number] for number in likely)
        yield [number for number in range(self._count) if number not in likely]

    def count(self, matching: DelayedFilter = ALL) -> int:
        """How many calls match.

        Raises:
            BrokerError: the log cannot be read.
        """
        return sum(1 for _ in self.list(matching))

    def survey(self, matching: DelayedFilter = ALL, *, progress: Progress | None = None) -> DelayedSurvey:
        """Count the calls that match.

        Args:
            matching: which calls.
            progress: told now and then how much of the log is read, and how much there is.

        Raises:
            BrokerError: the log cannot be read.
        """
        kinds: Counter[tuple[str | None, State] | None] = Counter()
        states: Counter[State] = Counter()
        overdue = 0
        soonest: datetime | None = None
        latest: datetime | None = None
        now = moment(_now_ms())
        assert now is not None
        with self._read(matching, progress) as index:
            for call in self._calls(index, matching):
                kind = (call.job, call.state)
                kinds[kind if kind in kinds or len(kinds) < _KINDS else None] += 1
                states[call.state] += 1
                overdue += call.overdue(now)
                if call.due is not None:
                    soonest = call.due if soonest is None else soonest
                    latest = call.due
            return DelayedSurvey(states.total(), kinds, states, overdue, soonest, latest, dict(index.ends))

    # --- doing -------------------------------------------------------------------------------------

    def cancel(
        self,
        matching: DelayedFilter = ALL,
        *,
        progress: Callable[[DelayedOutcome], object] | None = None,
        within: DelayedSurvey | None = None,
    ) -> DelayedOutcome:
        """Let the calls that match not run.

        The worker that has a call answers for it, within ``enqueue_timeout``; if none does, the verdict is
        ``UNKNOWN``: the wish stays in Kafka, and counts for a call that has not begun when a worker reads it.

        Args:
            matching: which calls.
            progress: told now and then of what is known by now.
            within: only calls that were there, as they are, when this survey was made.

        Raises:
            BrokerError: it did not come to the end; begin it again to go on.
            UnknownQueue: the queue is no more.
        """
        return self._settle(matching, None, progress, within)

    def reschedule(
        self,
        at: datetime,
        matching: DelayedFilter = ALL,
        *,
        progress: Callable[[DelayedOutcome], object] | None = None,
        within: DelayedSurvey | None = None,
    ) -> DelayedOutcome:
        """Let the calls that match run at another time, and not before. See :meth:`cancel`.

        Those with a key give up their places in its order, and take one when they are due.

        Args:
            at: an aware datetime.
            matching: which calls.
            progress: told now and then of what is known by now.
            within: only calls that were there, as they are, when this survey was made.

        Raises:
            ValueError: the time is not aware.
            BrokerError: it did not come to the end; begin it again to go on.
            UnknownQueue: the queue is no more.
        """
        return self._settle(matching, min(moment_ms(at), LATEST), progress, within)

    def _settle(
        self,
        matching: DelayedFilter,
        due_ms: int | None,
        progress: Callable[[DelayedOutcome], object] | None,
        within: DelayedSurvey | None,
    ) -> DelayedOutcome:
        verdicts: Counter[Verdict] = Counter()
        told_at = time.monotonic()
        producer = open_producer(self._settings)
        try:
            with self._read(matching, None) as index:
                calls = self._calls(index, matching, within)
                wishes = (Wish(call.partition, call.record_id) for call in calls)
                for _, verdict in Requests(producer, self._settings).many(self.queue, wishes, due_ms):
                    verdicts[verdict] += 1
                    if progress is not None and time.monotonic() - told_at >= _TELL_EVERY:
                        told_at = time.monotonic()
                        progress(DelayedOutcome(dict(verdicts)))
        except EnqueueError as error:
            raise BrokerError(
                f"{error} Before that, {verdicts.total():,} calls were asked for. Begin again to go on."
            ) from None
        finally:
            producer.close(_FAREWELL)
        outcome = DelayedOutcome(dict(verdicts))
        if progress is not None:
            progress(outcome)
        return outcome

    # --- the log -----------------------------------------------------------------------------------

    @contextmanager
    def _read(
        self, matching: DelayedFilter, progress: Progress | None, partitions: Sequence[int] | None = None
    ) -> Iterator[DelayedIndex]:
        """An index that has what matches, as it is now."""
        index = DelayedIndex(matching.ids) if matching.ids else self._index
        try:
            with Log(self._settings.bootstrap_servers, self._settings.kafka, self._topic) as log:
                index.read(log, range(self._count) if partitions is None else partitions, progress)
            yield index
        finally:
            if index is not self._index:
                index.close()

    def _calls(
        self, index: DelayedIndex, matching: DelayedFilter, within: DelayedSurvey | None = None
    ) -> Iterator[DelayedCall]:
        now_ms = _now_ms()
        for number, row in index.rows(None if within is None else within.ends):
            call = delayed_call(row, queue=self.queue, partition=number, now_ms=now_ms)
            if matching.matches(call):
                yield call


def _now_ms() -> int:
    return int(time.time() * 1000)
