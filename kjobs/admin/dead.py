"""The dead letters of a queue: looking at them, replaying them, discarding them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ..app import App
from ..connect import open_cluster
from ..errors import BrokerError, UnknownQueue
from ..kafka.log import Log, Span
from ..kafka.transaction import Fenced, Transactions, Write
from .deadletter import DeadLetter, State, dead_letter
from .filters import ALL, Filter
from .missing import missing
from .replay import batches, note, replayed_call
from .settlement import Fold, Settlement, settlement, whoami

_PLACE = re.compile(r"(\d{1,9})@(\d{1,18})")
#: Kinds of letters that a survey tells apart; names of jobs and errors are not ours to bound.
_KINDS = 1000


@dataclass(frozen=True, slots=True)
class Survey:
    """What a filter matched.

    Attributes:
        letters: how many open letters.
        kinds: how many of each job and error; None stands for all others.
        ends: up to where the log was looked at, by partition.
    """

    letters: int
    kinds: Mapping[tuple[str | None, str] | None, int]
    ends: Mapping[int, int]


class DeadLetters:
    """The dead letters of a queue.

    >>> letters = DeadLetters(app, "mail")
    >>> for letter in letters.list(Filter(job="mail.send")):
    ...     print(letter.id, letter.message)
    >>> letters.replay(Filter(error="ConnectionError"))
    12

    The log is read twice each time, first for what is settled; what is held in memory is a byte for each of
    its records, and some letters.

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
        self._topic = app.names.queue(queue)
        self._dead_topic = app.names.dead(queue)
        cluster = open_cluster(self._settings)
        self._partitions = cluster.partitions
        #: Whether this is the embedded broker, where what is written together may be written in part.
        self.embedded = cluster.embedded
        if self._dead_topic not in self._partitions:
            raise missing(
                self._settings,
                cluster.partitions,
                queue,
                self._dead_topic,
                "dead letter topic: {} does not exist, so nothing of it can be buried either",
            )

    # --- looking -----------------------------------------------------------------------------------

    def list(self, matching: Filter = ALL, *, settled: bool = False) -> Iterator[DeadLetter]:
        """The letters that match, partition by partition, the oldest first.

        Args:
            matching: which letters.
            settled: also those that were replayed or discarded.

        Raises:
            BrokerError: the log cannot be read.
        """
        with self._log() as log:
            spans = log.spans(self._numbers)
            yield from self._letters(log, spans, matching, settled=settled)

    def find(self, name: str) -> Sequence[DeadLetter]:
        """The letters of a call's id, or the one at ``partition@offset``, settled ones too, the oldest first.

        A call that was replayed and died again has several.
        """
        with self._log() as log:
            spans = log.spans(self._numbers)
            if place := _PLACE.fullmatch(name):
                number, offset = map(int, place.groups())
                spans = {at: span.clipped(first=offset) for at, span in spans.items() if at == number}
            found = self._letters(log, spans, Filter(ids=frozenset({name})), settled=True)
            return sorted(found, key=lambda letter: (letter.replays, letter.partition, letter.offset))

    def settlement(self, letter: DeadLetter) -> Settlement | None:
        """What was done about a letter, by whom and when; None if nothing was."""
        with self._log() as log:
            spans = log.spans([letter.partition])
            span = spans[letter.partition].clipped(first=letter.offset)
            read = map(settlement, log.read({letter.partition: span}))
            return next((found for found in read if found and found.offset == letter.offset), None)

    def survey(self, matching: Filter = ALL) -> Survey:
        """Count the open letters that match.

        Raises:
            BrokerError: the log cannot be read.
        """
        count = 0
        kinds: Counter[tuple[str | None, str] | None] = Counter()
        with self._log() as log:
            spans = log.spans(self._numbers)
            for letter in self._letters(log, spans, matching):
                count += 1
                kind = (letter.job, letter.error)
                kinds[kind if kind in kinds or len(kinds) < _KINDS else None] += 1
        return Survey(count, kinds, {number: span.end for number, span in spans.items()})

    # --- settling ----------------------------------------------------------------------------------

    def replay(
        self,
        matching: Filter = ALL,
        *,
        progress: Callable[[int], object] | None = None,
        within: Survey | None = None,
    ) -> int:
        """Put the calls of the letters that match back into their queue; returns how many.

        Each has its bytes, key and headers as they were, and ``kj-replay-of`` and ``kj-replays``. Calls of
        one key come in the order in which they died, after those that are in the queue already.

        A call and the note that it was replayed are written in one transaction: a replay that is interrupted
        and begun again replays no letter twice, nor do two at the same time. (Of the embedded broker that
        cannot be said.)

        Args:
            matching: which letters.
            progress: told now and then how many are replayed by now.
            within: only letters that were there when this survey was made.

        Raises:
            BrokerError: it did not come to the end; begin it again to go on.
            UnknownQueue: the queue's topic does not exist, or has not all of the partitions.
        """
        have = self._partitions.get(self._topic, 0)
        if have < self._partitions[self._dead_topic]:
            raise UnknownQueue(
                f"nothing is replayed: {self._dead_topic} has {self._partitions[self._dead_topic]} "
                f"partitions and {self._topic} has {have}, but a call goes back into the partition it died "
                f"in, or the order of its key would be lost. Create {self._topic} with as many partitions."
            )
        return self._settle(State.REPLAYED, matching, progress, within)

    def discard(
        self,
        matching: Filter = ALL,
        *,
        progress: Callable[[int], object] | None = None,
        within: Survey | None = None,
    ) -> int:
        """Note of the letters that match that nothing more is to be done about them; returns how many.

        They are listed no more, unless settled letters are asked for, and stay in the log until the topic's
        retention removes them.

        Args:
            matching: which letters.
            progress: told now and then how many are discarded by now.
            within: only letters that were there when this survey was made.

        Raises:
            BrokerError: it did not come to the end; begin it again to go on.
        """
        return self._settle(State.DISCARDED, matching, progress, within)

    def _settle(
        self,
        state: State,
        matching: Filter,
        progress: Callable[[int], object] | None,
        within: Survey | None,
    ) -> int:
        settings = self._settings
        # One id for whatever settles letters of this topic: there is one at a time.
        transactions = Transactions(
            settings.bootstrap_servers,
            settings.kafka,
            f"{self._dead_topic}.settlements",
            atomic=not self.embedded,
        )
        transactions.open()
        done = 0
        # Only now the log is read: what an earlier process began is in it or undone, and it can add nothing.
        with self._log() as log:
            spans = log.spans(self._numbers)
            letters = self._letters(log, spans, matching, within=within)
            for batch in batches(letters):
                try:
                    transactions.write(self._writes(batch, state))
                except Fenced as error:
                    raise self._overtaken(state, done) from error
                except BrokerError as error:
                    again = (
                        "the last batch may come twice" if self.embedded else f"no letter is {state} twice"
                    )
                    raise BrokerError(
                        f"{error} Before that, {done:,} letters were {state}. Begin again to go on; {again}."
                    ) from None
                done += len(batch)
                if progress is not None:
                    progress(done)
        with suppress(BrokerError):  # what is settled is, whether or not everybody can see it yet
            transactions.finish()
        return done

    def _writes(self, batch: Sequence[DeadLetter], state: State) -> Sequence[Write]:
        """The records that settle these letters: first the calls, if they are replayed, then the notes."""
        at, by = datetime.now(UTC), whoami()
        notes = [note(letter, Settlement(letter.offset, state, at, by), self._dead_topic) for letter in batch]
        if state is not State.REPLAYED:
            return notes
        return [*(replayed_call(letter, self._topic, self._dead_topic) for letter in batch), *notes]

    def _overtaken(self, state: State, done: int) -> BrokerError:
        return BrokerError(
            f"another command began to replay or discard dead letters of {self.queue} and took over; or this "
            f"one was stopped for longer than Kafka allows. It had {state} {done:,} letters, which stay "
            f"{state}, once. What the other leaves, `kjobs dead list {self.queue}` tells when that is done."
        )

    # --- the log -----------------------------------------------------------------------------------

    def _log(self) -> Log:
        return Log(self._settings.bootstrap_servers, self._settings.kafka, self._dead_topic)

    @property
    def _numbers(self) -> Sequence[int]:
        return range(self._partitions[self._dead_topic])

    def _letters(
        self,
        log: Log,
        spans: Mapping[int, Span],
        matching: Filter,
        *,
        settled: bool = False,
        within: Survey | None = None,
    ) -> Iterator[DeadLetter]:
        """The letters of some spans. A settlement comes after its letter, so the log is read twice."""
        fold = Fold(spans)
        for record in log.read(spans):
            fold.take(record)
        for number, end in sorted(fold.ends.items()):
            if within is not None:
                end = min(end, within.ends.get(number, 0))
            for record in log.read({number: spans[number].clipped(end=end)}):
                if settlement(record) is not None:
                    continue
                state = fold.state(number, record.offset())
                if settled or state is State.OPEN:
                    letter = dead_letter(record, topic=self._dead_topic, queue=self.queue, state=state)
                    if matching.matches(letter):
                        yield letter
