"""A worker's consumer: what Kafka says becomes events, what the scheduler orders becomes calls to it.

Every method is for the owner thread alone. The client serialises its calls: one from another thread
would wait until ``poll`` returns.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from ..core.events import Assigned, Committed, Event, Fetched, Lost, Place, Skipped
from ..core.ports import Record
from ..core.resume import Resumption, resume
from ..errors import BrokerError
from .admin import Admin, topic_id
from .client import opened, reason, retried
from .doubts import Doubts
from .survey import UNREADABLE, Unreadable

log = logging.getLogger("kjobs.kafka")

#: Seconds for which the group's offsets are asked for at assignment.
_RESUME_TIMEOUT = 30.0
#: Seconds between two looks whether a topic was replaced.
_IDENTITY_EVERY = 10.0
#: Seconds between two log lines about the same trouble with a partition.
_QUIET = 10.0

# The group does not count this member any more: its partitions are somebody else's.
_FENCED = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._FENCED,
    }
)


class Consumer:
    """A member of a consumer group.

    Args:
        options: the client's options; see :func:`kjobs.kafka.client.consumer_options`.
        admin: for the ends and ids of partitions.
        listener: told of assignment and loss while they happen.
        on_revoke: called while partitions are taken away: drain them, commit with
            :meth:`commit_now`, forget them.
        on_resume: told where reading begins.
        on_unreadable: told of what cannot be read and is stepped over.
        position: up to where a partition was taken in; None if it is not assigned.
        survey: finds how far a batch reaches that cannot be read; see :class:`kjobs.kafka.doubts.Doubts`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        admin: Admin,
        *,
        listener: Callable[[Event], None],
        on_revoke: Callable[[Sequence[Place]], None],
        on_resume: Callable[[Place, Resumption], None],
        on_unreadable: Callable[[Place, Unreadable], None],
        position: Callable[[Place], int | None],
        survey: Callable[[Place, int], Unreadable | None],
    ) -> None:
        self._admin = admin
        self._listener = listener
        self._on_revoke = on_revoke
        self._on_resume = on_resume
        self._on_unreadable = on_unreadable
        self._position = position
        self._doubts = Doubts(survey)
        self._answers: list[Event] = []
        self._assigned: dict[Place, str] = {}
        self._fresh: dict[Place, int] = {}
        self._said: dict[tuple[Place, int], float] = {}
        self._identities: Mapping[str, Any] | None = None
        self._identities_at = time.monotonic()
        self._told = False
        self._client = opened(Client, {**options, "on_commit": self._committed})

    @property
    def joined(self) -> bool:
        """Whether the group has told this member what it gets, be it nothing.

        KIP-848 tells a member that gets nothing nothing. It has an epoch all the same.
        """
        return self._told or self._epoch() > 0

    def _epoch(self) -> int:
        """This member's epoch or generation, as the client writes it at the head of its metadata."""
        text = bytes(self._client.consumer_group_metadata())
        return int.from_bytes(text[7:11], sys.byteorder, signed=True) if text.startswith(b"CGMDv2:") else -1

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group for these topics."""
        self._client.subscribe(
            list(topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )

    # --- fetching ----------------------------------------------------------------------------------

    def poll(self, timeout: float, room: int) -> list[Event]:
        """Wait up to ``timeout`` seconds for something to happen, and return what did.

        Raises:
            BrokerError: the client cannot go on.
        """
        self._fresh.clear()
        settled = self._settled() if self._doubts else []
        first = self._client.poll(0 if settled else timeout)
        messages: list[Any] = [] if first is None else [first]
        # A record often comes alone, and one more look with poll() is cheaper than one with consume().
        if first is not None and room > 1 and (second := self._client.poll(0)) is not None:
            messages.append(second)
            if room > 2:
                # consume(n, t > 0) would wait the whole t for the n-th; what is there already is enough.
                messages += self._client.consume(room - 2, 0)
        events: list[Event] = self._sorted(messages) if messages else []
        if self._answers:
            events += self._answers
            self._answers = []
        return settled + events if settled else events

    def _sorted(self, messages: Sequence[Any]) -> list[Event]:
        """Messages as events: one per run of records of one partition."""
        events: list[Event] = []
        topic, number = "", -1
        records: list[Record] = []
        for message in messages:
            if message.error() is not None:
                self._trouble(message, events)
                topic = ""
                continue
            if message.partition() != number or message.topic() != topic:
                topic, number, records = message.topic(), message.partition(), []
                events.append(Fetched((topic, number), records))
            records.append(message)
        if self._fresh:
            events = [event for event in events if not self._stale(event)]
        if self._doubts:
            again: set[Place] = set()
            events = [event for event in events if not self._beyond_doubt(event, again)]
        return events

    def _stale(self, event: Event) -> bool:
        """Whether something was fetched before its partition was assigned anew, in the same poll.

        What comes of a partition is taken from where it begins to be read; everything after that is, too.
        """
        if not isinstance(event, Fetched | Skipped):
            return False
        start = self._fresh.get(event.place)
        if start is None:
            return False
        if start == (event.records[0].offset() if isinstance(event, Fetched) else event.offset):
            del self._fresh[event.place]
            return False
        self._client.seek(TopicPartition(*event.place, start))
        return True

    def _trouble(self, message: Any, events: list[Event]) -> None:
        """Take a message that tells of a condition."""
        error = message.error()
        place = (message.topic() or "", message.partition())
        match error.code():
            case KafkaError._PARTITION_EOF:
                events.append(Skipped(place, message.offset()))
            case KafkaError._AUTO_OFFSET_RESET if place in self._assigned:
                self._out_of_range(place, message.offset(), events)
            case code if code in UNREADABLE and place in self._assigned:
                if self._doubts.raise_(place, message.offset() or 0):
                    self._complain(place, error)
            case KafkaError._MAX_POLL_EXCEEDED:
                log.error("this worker did not poll for too long and left the group: %s", error.str())
            case code if code == KafkaError._FATAL or error.fatal():
                raise BrokerError(f"the Kafka consumer cannot go on: {reason(error)}")
            case _:
                self._complain(place, error)

    def _complain(self, place: Place, error: KafkaError) -> None:
        now, code = time.monotonic(), error.code()
        if now - self._said.get((place, code), float("-inf")) >= _QUIET:
            self._said[place, code] = now
            log.error("%s[%d]: %s", *place, reason(error), extra={"event": "kafka.trouble"})

    # --- what cannot be read -----------------------------------------------------------------------

    def _beyond_doubt(self, event: Event, again: set[Place]) -> bool:
        """Whether something comes from behind a batch in doubt, which is to be read or given up first.

        Args:
            event: what may do so.
            again: partitions of which what came before in this poll did.
        """
        if not isinstance(event, Fetched | Skipped):
            return False
        if event.place in again:
            return True
        doubtful = self._doubts.about(event.place)
        if doubtful is None:
            return False
        records = event.records if isinstance(event, Fetched) else ()
        begin = self._begin_of_doubt(event.place, doubtful)
        if (records[0].offset() if isinstance(event, Fetched) else event.offset) <= begin:
            if records and records[-1].offset() >= doubtful:
                self._doubts.forget(event.place)  # this time it could be read
            return False
        self._doubts.leapt(event.place)
        self._go_on(event.place, begin)
        again.add(event.place)
        return True

    def _begin_of_doubt(self, place: Place, doubtful: int) -> int:
        """What to read next of a partition with a batch in doubt: some of that may have been read before."""
        return max(doubtful, self._position(place) or 0)

    def _settled(self) -> list[Event]:
        """Step over batches of which it is known that they cannot be read, and how far they reach."""
        events: list[Event] = []
        for place, first, found in self._doubts.settled():
            begin = self._begin_of_doubt(place, first)
            if found is None or found.end <= begin:
                self._go_on(place, begin)
                continue
            self._go_on(place, found.end)
            self._on_unreadable(place, replace(found, first=begin))
            events.append(Skipped(place, found.end))
        return events

    def _go_on(self, place: Place, offset: int) -> None:
        """Fetch a partition from an offset on, whatever the client thinks of where it is.

        A seek would not do if it has been told that it is out of range.
        """
        self._client.incremental_unassign([TopicPartition(*place)])
        self._client.incremental_assign([TopicPartition(*place, offset)])

    # --- partitions come and go --------------------------------------------------------------------

    def _assign(self, client: Client, parts: Sequence[TopicPartition]) -> None:
        self._told = True
        places = [(part.topic, part.partition) for part in parts]
        if places:
            self._begin(places)

    def _begin(self, places: Sequence[Place]) -> None:
        """Find out where to go on in partitions, and go on there."""
        until = time.monotonic() + _RESUME_TIMEOUT
        ids = {topic: topic_id(f) for topic, f in self._ids({topic for topic, _ in places}).items()}
        wanted = [TopicPartition(*place) for place in places]
        committed = retried(lambda: self._client.committed(wanted, timeout=10), until=until)
        ends = self._admin.ends(places)
        starts = []
        for part in committed:
            place = (part.topic, part.partition)
            low, high = ends[place]
            found = resume(part.offset, _metadata(part), low=low, high=high, topic_id=ids.get(part.topic, ""))
            starts.append((place, found, high))
        self._client.incremental_assign([TopicPartition(*place, found.offset) for place, found, _ in starts])
        # The client keeps a partition paused that was when it was taken away.
        self._client.resume([TopicPartition(*place) for place, _, _ in starts])
        for place, found, high in starts:
            identity = ids.get(place[0], "")
            self._assigned[place] = identity
            self._fresh[place] = found.offset
            self._on_resume(place, found)
            self._listener(Assigned(place, found.offset, found.checkpoint, identity, high))

    def _revoke(self, client: Client, parts: Sequence[TopicPartition]) -> None:
        places = [(part.topic, part.partition) for part in parts]
        if places:
            self._on_revoke(places)
            self._forget(places)

    def _lose(self, client: Client, parts: Sequence[TopicPartition]) -> None:
        places = [(part.topic, part.partition) for part in parts]
        if places:
            self._listener(Lost(places))
            self._forget(places)

    def _forget(self, places: Sequence[Place]) -> None:
        for place in places:
            self._assigned.pop(place, None)
            self._doubts.forget(place)

    def _out_of_range(self, place: Place, offset: int | None, events: list[Event]) -> None:
        """Go on after the offset to be fetched next turned out not to be in the log.

        A seek does not recover from that; assigning the partition anew does.
        """
        doubtful = self._doubts.about(place)
        if doubtful is not None:
            begin = self._begin_of_doubt(place, doubtful)
            if offset is not None and offset > begin:
                # It has taken what is in a damaged batch for offsets.
                self._go_on(place, begin)
                return
            self._doubts.forget(place)
        low, high = self._admin.ends([place])[place]
        if offset is None or not offset < low:
            log.error("%s[%d]: offset %s is beyond the end %d", *place, offset, high)
            self._restart(place)
            return
        self._go_on(place, low)
        self._fresh.pop(place, None)
        self._on_resume(place, Resumption(low, gap=(offset, low)))
        events.append(Skipped(place, low))

    def _restart(self, place: Place) -> None:
        """Forget a partition and begin it anew, as if it had just been assigned."""
        self._listener(Lost([place]))
        self._client.incremental_unassign([TopicPartition(*place)])
        self._forget([place])
        self._begin([place])

    # --- committing --------------------------------------------------------------------------------

    def commit(self, offsets: Sequence[tuple[Place, int, str]]) -> None:
        """Begin to commit; the answers come as ``Committed`` events from :meth:`poll`."""
        parts = _parts(offsets)
        try:
            self._client.commit(offsets=parts, asynchronous=True)
        except KafkaException as error:
            self._committed(error.args[0], parts)

    def commit_now(self, offsets: Sequence[tuple[Place, int, str]]) -> str | None:
        """Commit and wait; None, or why it failed.

        For ``on_revoke`` only, where the coordinator has just answered: anywhere else this may block for as
        long as the broker is away.
        """
        try:
            for part in self._client.commit(offsets=_parts(offsets), asynchronous=False):
                if part.error is not None:
                    return reason(part.error)
        except KafkaException as error:
            return reason(error)
        return None

    def _committed(self, error: KafkaError | None, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            trouble = error or part.error
            self._answers.append(
                Committed(
                    (part.topic, part.partition),
                    part.offset,
                    None if trouble is None else reason(trouble),
                    trouble is not None and trouble.code() in _FENCED,
                )
            )

    # --- pausing -----------------------------------------------------------------------------------

    def pause(self, places: Sequence[Place]) -> None:
        """Fetch nothing of these partitions."""
        self._client.pause([TopicPartition(*place) for place in places if place in self._assigned])

    def resume(self, offsets: Sequence[tuple[Place, int]], *, stalled: bool) -> None:
        """Fetch these partitions again; ``stalled``: every partition was paused."""
        mine = [(place, offset) for place, offset in offsets if place in self._assigned]
        self._client.resume([TopicPartition(*place) for place, _ in mine])
        if stalled:
            for place, offset in mine:
                try:
                    self._client.seek(TopicPartition(*place, offset))
                except KafkaException as error:
                    log.debug("seek after a pause: %s", reason(error))

    # --- identity of topics ------------------------------------------------------------------------

    def check_identity(self) -> list[str]:
        """Look now and then whether topics are still the ones that were assigned.

        The classic protocol says nothing of a topic that was deleted and created again, and goes on at
        the old offset: it skips what is in the new topic below that. Returns the topics that were
        replaced; their partitions begin anew.
        """
        now = time.monotonic()
        if self._identities is None:
            if now - self._identities_at >= _IDENTITY_EVERY and self._assigned:
                self._identities_at = now
                self._identities = self._ids({topic for topic, _ in self._assigned})
            return []
        if not all(answer.done() for answer in self._identities.values()):
            return []
        found = {topic: topic_id(answer) for topic, answer in self._identities.items()}
        self._identities = None
        replaced = [
            place
            for place, identity in self._assigned.items()
            if identity and found.get(place[0]) and found[place[0]] != identity
        ]
        for place in replaced:
            self._restart(place)
        return sorted({topic for topic, _ in replaced})

    def _ids(self, topics: set[str]) -> Mapping[str, Any]:
        return self._admin.topic_ids(sorted(topics))

    def close(self) -> None:
        """Leave the group; ``on_revoke`` is called for what is still assigned."""
        if not self._assigned:
            # Without partitions the client ends without a word to the group, which then waits for it in
            # the next rebalance until its session is over.
            self._client.unsubscribe()
        self._client.close()


def _parts(offsets: Sequence[tuple[Place, int, str]]) -> list[TopicPartition]:
    return [TopicPartition(*place, offset, metadata) for place, offset, metadata in offsets]


def _metadata(part: TopicPartition) -> str | None:
    """The metadata committed with an offset.

    Of what other clients wrote, the binding may hand back bytes that are no text.
    """
    try:
        return str(part.metadata) if part.metadata else None
    except UnicodeDecodeError:
        return None
