"""A shell around the scheduler that a test plays by hand: it tells events and keeps what is commanded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from kjobs.core.checkpoint import Checkpoint, decode
from kjobs.core.commands import BuryEntry, Command, Commit, OpenStore, Start
from kjobs.core.events import (
    Assigned,
    Buried,
    CaughtUp,
    Committed,
    Event,
    Fetched,
    Finished,
    Place,
    Recalled,
)
from kjobs.core.outcome import OK, Failed, Outcome
from kjobs.core.partition import Entry
from kjobs.core.policy import Backoff, Policy
from kjobs.core.resume import resume
from kjobs.core.scheduler import Scheduler
from tests.core.record import FakeRecord

HERE: Place = ("kjobs.q", 0)
THERE: Place = ("kjobs.q", 1)

#: When every test begins (epoch seconds).
START = 1_000_000.0

STRICT = Policy(retries=3, backoff=Backoff(base=4, factor=2, jitter="none"))
RELAXED = Policy(retries=3, backoff=Backoff(base=4, factor=2, jitter="none"), order="relaxed")

C = TypeVar("C")


def failure(policy: Policy = STRICT, error: BaseException | None = None) -> Failed:
    """An attempt that raised."""
    return Failed(error or ValueError("no"), policy, 0.5)


#: What tests call a call: its offset in the queue, or its record's key if it came from the store.
Label = int | str


def label(entry: Entry) -> Label:
    """What tests call a call."""
    return entry.offset if entry.row is None else entry.row.id


class Shell:
    """A worker without Kafka and without slots: the test runs the calls.

    Attributes:
        out: the entries that were handed out and are not back, by label.
        order: the labels in the order in which they were handed out, or begun behind another.
    """

    def __init__(self, **options: Any) -> None:
        self.scheduler = Scheduler(**options)
        self.now = START
        self.out: dict[Label, Entry] = {}
        self.order: list[Label] = []
        self.heard: list[Command] = []
        self.unanswered: list[tuple[Place, int, str]] = []
        #: What the deferred store will tell of each partition when it is opened; None: nothing yet.
        self.known: dict[Place, CaughtUp | None] = {}
        self._next: dict[Place, int] = {}

    # --- the world tells ---------------------------------------------------------------------------

    def tell(self, *events: Event) -> list[Command]:
        """Let the scheduler handle events; returns what it commands."""
        commands = self.scheduler.handle(events, self.now)
        self.heard += commands
        opened: list[CaughtUp] = []
        for command in commands:
            if isinstance(command, Start):
                for entry in command.entries:
                    self._begin(entry)
            elif isinstance(command, Commit):
                self.unanswered += command.offsets
            elif isinstance(command, OpenStore):
                known = self.known.get(command.place, CaughtUp(command.place))
                opened += [] if known is None else [known]
        return [*commands, *self.tell(*opened)] if opened else commands

    def wait(self, seconds: float) -> list[Command]:
        """Let time pass in one go; nothing is heard of the group meanwhile."""
        self.now += seconds
        return self.tell()

    def live(self, seconds: float) -> None:
        """Let time pass while the broker answers every commit."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.25)
            self.tell()
            self.confirm()

    def assign(
        self,
        place: Place = HERE,
        offset: int = 0,
        checkpoint: Checkpoint | None = None,
        *,
        confirm: bool = True,
        end: int = 0,
        **known: Any,
    ) -> None:
        """Assign a partition, and let the group confirm it unless told not to; ``known`` of the store."""
        self._next[place] = offset
        self.known[place] = CaughtUp(place, **known)
        self.tell(Assigned(place, offset, checkpoint, end=end))
        while confirm and not self.scheduler.partitions[place].open:
            self.confirm()
            self.tell()
            self.now += 0.0625  # a commit of others may have been sent just before

    def fetch(self, keys: Sequence[str | None], place: Place = HERE) -> list[Command]:
        """Let records of these keys arrive; ``None`` and ``"-"`` are calls without a key."""
        first = self._next[place]
        self._next[place] = first + len(keys)
        written = int(self.now * 1000)
        records = [
            FakeRecord(first + n, by=None if key in (None, "-") else str(key).encode(), written_ms=written)
            for n, key in enumerate(keys)
        ]
        return self.tell(Fetched(place, records))

    def refetch(self, keys: str, place: Place = HERE) -> list[Command]:
        """Let the log arrive from its first offset, whatever was fetched of it."""
        self._next[place] = 0
        return self.fetch(keys, place)

    def finish(self, *labels: Label, outcome: Outcome = OK) -> list[Command]:
        """End attempts, all of them in one batch."""
        ended: list[Entry] = []
        for name in labels:
            entry = self.out.pop(name)
            entry.outcome = outcome
            if outcome is not OK:
                entry.more = False
            following = entry.next
            ended.append(entry)
            if entry.more:
                assert following is not None
                self._begin(following)
        return self.tell(Finished(ended))

    def run(self, *, most: int = 10_000) -> None:
        """Run calls, oldest start first, until none is out."""
        while self.out and most:
            self.finish(next(iter(self.out)))
            most -= 1

    def give_back(self, *labels: Label) -> list[Command]:
        """Return entries that were never begun."""
        return self.tell(Recalled([self.out.pop(name) for name in labels]))

    def confirm(self) -> list[Command]:
        """Let the broker store all commits that are under way."""
        answered, self.unanswered = self.unanswered, []
        return self.tell(*(Committed(place, offset) for place, offset, _ in answered))

    def bury(self) -> list[Command]:
        """Let the dead letter topic acknowledge what it was sent so far."""
        sent = [command.entry for command in self.take(BuryEntry)]
        return self.tell(*map(Buried, sent))

    def _begin(self, entry: Entry) -> None:
        assert label(entry) not in self.out, "handed out twice"
        self.out[label(entry)] = entry
        self.order.append(label(entry))

    # --- what came of it -----------------------------------------------------------------------------

    def take(self, kind: type[C]) -> list[C]:
        """The commands of a kind since they were last asked for."""
        found: list[C] = [command for command in self.heard if isinstance(command, kind)]
        self.heard = [command for command in self.heard if not isinstance(command, kind)]
        return found

    @property
    def running(self) -> list[Label]:
        """The labels of what is out, in the order in which they were begun."""
        return list(self.out)

    def commit(self, place: Place = HERE) -> tuple[int, Checkpoint]:
        """What would be committed of a partition now."""
        offset, metadata = self.scheduler.partitions[place].snapshot()
        checkpoint = decode(offset, metadata)
        assert checkpoint is not None
        return offset, checkpoint

    def successor(self, place: Place = HERE, **options: Any) -> Shell:
        """Another worker, which has the partition from here on and knows what would be committed now."""
        offset, metadata = self.scheduler.partitions[place].snapshot()
        return successor_of(offset, metadata, self.now, place, **options)


def successor_of(offset: int, metadata: str, now: float, place: Place = HERE, **options: Any) -> Shell:
    """A worker that goes on from a commit."""
    other = Shell(**options)
    other.now = now
    found = resume(offset, metadata, low=0, high=10**9)
    other.assign(place, found.offset, found.checkpoint)
    return other
