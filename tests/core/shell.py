"""A shell around the scheduler that a test plays by hand: it tells events and keeps what is commanded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from kjobs.core.checkpoint import Checkpoint, decode
from kjobs.core.commands import BuryEntry, Command, Commit, Start
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


class Shell:
    """A worker without Kafka and without slots: the test runs the calls.

    Attributes:
        out: the entries that were handed out and are not back, by offset.
        order: the offsets in the order in which they were handed out, or begun behind another.
    """

    def __init__(self, **options: Any) -> None:
        self.scheduler = Scheduler(**options)
        self.now = START
        self.out: dict[int, Entry] = {}
        self.order: list[int] = []
        self.heard: list[Command] = []
        self.unanswered: list[tuple[Place, int, str]] = []
        self._next: dict[Place, int] = {}

    # --- the world tells ---------------------------------------------------------------------------

    def tell(self, *events: Event) -> list[Command]:
        """Let the scheduler handle events; returns what it commands."""
        commands = self.scheduler.handle(events, self.now)
        for command in commands:
            if isinstance(command, Start):
                for entry in command.entries:
                    self._begin(entry)
            elif isinstance(command, Commit):
                self.unanswered += command.offsets
        self.heard += commands
        return commands

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
    ) -> None:
        """Assign a partition, and let the group confirm it unless told not to."""
        self._next[place] = offset
        self.tell(Assigned(place, offset, checkpoint))
        self.tell(CaughtUp(place))
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

    def finish(self, *offsets: int, outcome: Outcome = OK) -> list[Command]:
        """End attempts, all of them in one batch."""
        ended: list[Entry] = []
        for offset in offsets:
            entry = self.out.pop(offset)
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

    def give_back(self, *offsets: int) -> list[Command]:
        """Return entries that were never begun."""
        return self.tell(Recalled([self.out.pop(offset) for offset in offsets]))

    def confirm(self) -> list[Command]:
        """Let the broker store all commits that are under way."""
        answered, self.unanswered = self.unanswered, []
        return self.tell(*(Committed(place, offset) for place, offset, _ in answered))

    def bury(self) -> list[Command]:
        """Let the dead letter topic acknowledge what it was sent so far."""
        sent = [command.entry for command in self.take(BuryEntry)]
        return self.tell(*map(Buried, sent))

    def _begin(self, entry: Entry) -> None:
        assert entry.offset not in self.out, "handed out twice"
        self.out[entry.offset] = entry
        self.order.append(entry.offset)

    # --- what came of it -----------------------------------------------------------------------------

    def take(self, kind: type[C]) -> list[C]:
        """The commands of a kind since they were last asked for."""
        found: list[C] = [command for command in self.heard if isinstance(command, kind)]
        self.heard = [command for command in self.heard if not isinstance(command, kind)]
        return found

    @property
    def running(self) -> list[int]:
        """The offsets that are out, in the order in which they were begun."""
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
