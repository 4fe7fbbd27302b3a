"""A queue and its deferred store, played by chance: everything is late, in pieces, and may be cut off."""

from __future__ import annotations

import random
from collections import deque

from msgspec.structs import replace

from kjobs.core.commands import (
    Answer,
    BuryEntry,
    CloseStore,
    Commit,
    Defer,
    Erase,
    FetchLane,
    OpenStore,
    Recall,
    Release,
    Start,
)
from kjobs.core.deferred import Answered, Change, End, Move, Row, Verdict
from kjobs.core.envelope import decode
from kjobs.core.events import (
    Assigned,
    Buried,
    Committed,
    Deferred,
    Erased,
    Event,
    Fetched,
    Finished,
    NotDeferred,
    NotErased,
    Recalled,
    Skipped,
)
from kjobs.core.outcome import OK, Failed, Snoozed
from kjobs.core.partition import Entry
from kjobs.core.policy import Backoff, Policy
from kjobs.core.resume import resume
from kjobs.core.scheduler import Scheduler
from kjobs.deferred.memory import MemoryStore
from kjobs.deferred.shelf import Shelf
from tests.core.record import FakeRecord
from tests.core.shell import HERE, START

#: Failed attempts do not end here, and wait for a second or for an hour.
BACKOFF = Backoff(base=1, factor=1, jitter="none")
STRICT = Policy(retries=99, backoff=BACKOFF)


class Played:
    """One partition. What is true of it: calls, what ran, what the logs hold.

    Attributes:
        succeeded: ids in the order in which they succeeded, also again after a crash.
        begun: ids of calls that began, in that order.
        verdicts: what was answered to requests.
        begun_when_cancelled: how often calls that were cancelled for certain had begun by then.
    """

    def __init__(self, seed: int, *, chain: int = 1) -> None:
        self.rng = random.Random(seed)
        self.chain = chain
        self.now = START
        self.queue: list[FakeRecord] = []
        self.log: list[Change] = []
        self.keys: dict[str, bytes | None] = {}
        self.succeeded: list[str] = []
        self.begun: list[str] = []
        self.running: dict[int, Entry] = {}
        self.requests: dict[str, str] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.begun_when_cancelled: dict[str, int] = {}
        self.committed = (0, "")
        self.failing = True
        #: Whether the end of a call may be refused while that of the next one of its key is not. If the
        #: worker dies before it says so again, the first one comes once more, by itself.
        self.refusing = True
        self.crashes = 0
        self._take_over()

    def _take_over(self) -> None:
        """A worker begins, and knows only what is in the logs and was committed."""
        self.scheduler = Scheduler(chain=self.chain)
        self.orders: deque[Defer | Erase | FetchLane | Release | Answer] = deque()
        self.postponed: deque[Entry] = deque()
        self.unanswered: deque[tuple[Change, Entry | None]] = deque()
        self.told: deque[Event] = deque()
        self.commits: list[tuple[int, str]] = []
        self.running.clear()
        self.shelf: Shelf | None = None
        found = resume(*self.committed, low=0, high=len(self.queue))
        self.fetched = found.offset
        self.tell(Assigned(HERE, found.offset, found.checkpoint))
        # The store is opened once the group has confirmed that the partition is this worker's.
        (self.committed,), self.commits = self.commits, []
        self.tell(Committed(HERE, self.committed[0]))

    def crash(self) -> None:
        """The worker dies; what it had sent may have arrived."""
        self.crashes += 1
        while self.orders and self.rng.random() < 0.5:
            self._write_next()
        self._take_over()

    # --- the scheduler -----------------------------------------------------------------------------

    def tell(self, *events: Event) -> None:
        for command in self.scheduler.handle(events, self.now):
            match command:
                case Start(entries=entries):
                    for entry in entries:
                        self._begin(entry)
                case Commit(offsets=offsets):
                    self.commits = [(offset, text) for _, offset, text in offsets]
                case OpenStore(epoch=epoch, read_from=read_from):
                    self.shelf = Shelf(
                        HERE,
                        MemoryStore(),
                        epoch=epoch,
                        name=f"w{self.crashes}",
                        topic_id="",
                        read_from=read_from,
                    )
                    self.read, self.caught_up_at = 0, len(self.log)
                case Defer() | Erase() | FetchLane() | Release() | Answer():
                    self.orders.append(command)
                case Recall():
                    back = list(self.running.values())
                    self.running.clear()
                    for entry in back:
                        self.begun.reverse()
                        self.begun.remove(name_of(entry))
                        self.begun.reverse()
                    self.told.appendleft(Recalled(back))
                case BuryEntry(entry=entry):
                    self.told.append(Buried(entry))
                case CloseStore():
                    raise AssertionError("nobody takes the partition away")

    def _begin(self, entry: Entry) -> None:
        name, key = name_of(entry), entry.key
        others = [other for other in self.running.values() if key is not None and other.key == key]
        assert not others, f"{name} begins while {others} runs"
        assert id(entry) not in self.running
        self.running[id(entry)] = entry
        self.begun.append(name)

    def finish(self, *, ok: bool | None = None) -> None:
        """A call that runs ends, somehow."""
        entry = self.running.pop(self.rng.choice(list(self.running)))
        draw = self.rng.random()
        if ok or draw < 0.6 or not self.failing:
            self.succeeded.append(name_of(entry))
            entry.outcome = OK
            if entry.more:
                assert entry.next is not None
                self._begin(entry.next)
        else:
            entry.more = False
            wait = self.rng.choice((1.0, 20.0, 3600.0))
            error = ValueError("no")
            entry.outcome = Snoozed(wait, STRICT) if draw < 0.7 else Failed(error, STRICT, 0.0, wait)
        self.tell(Finished([entry]))

    # --- enqueuers -----------------------------------------------------------------------------------

    def enqueue(self, key: str | None) -> str:
        """A call without delay."""
        name = f"q{len(self.queue)}"
        self.keys[name] = by = None if key is None else key.encode()
        self.queue.append(FakeRecord(len(self.queue), envelope(name), by, int(self.now * 1000)))
        return name

    def delay(self, key: str | None, seconds: float) -> str:
        """A call with a delay."""
        name = f"d{len(self.log)}"
        self.keys[name] = by = None if key is None else key.encode()
        due_ms = int((self.now + seconds) * 1000)
        row = Row(id=name, value=envelope(name), due_ms=due_ms, key=by, since_ms=due_ms)
        self.log.append(replace(row, offset=len(self.log)))
        return name

    def cancel(self, name: str) -> None:
        """Somebody wants a delayed call not to run."""
        request = f"r{len(self.log)}"
        self.requests[request] = name
        self.log.append(End(id=name, request=request, offset=len(self.log)))

    def move(self, name: str, seconds: float) -> None:
        """Somebody wants a delayed call to run at another time."""
        due_ms = int((self.now + seconds) * 1000)
        self.log.append(Move(request=f"m{len(self.log)}", id=name, due_ms=due_ms, offset=len(self.log)))

    # --- the store -----------------------------------------------------------------------------------

    def _write_next(self) -> None:
        """The keeper takes an order."""
        assert self.shelf is not None
        order = self.orders.popleft()
        match order:
            case Defer(entry=entry) | Erase(entry=entry):
                self.postponed.append(entry)
                self._write_postponed()
            case FetchLane(key=key, read=read):
                self.told.append(self.shelf.lane(key, read, int(self.now * 1000)))
            case Release(offsets=offsets):
                self.shelf.release(offsets)
            case Answer(request=request, verdict=verdict):
                self.shelf.answer(request, verdict)

    def _write_postponed(self) -> None:
        """Write what the scheduler ordered, as far as the log is read for it, and in its order."""
        assert self.shelf is not None
        while self.postponed:
            entry = self.postponed[0]
            change: Row | End | None = entry.deferral
            if entry.ended:
                assert entry.row is not None
                change = End(id=entry.row.id, of=entry.row.offset)
            assert change is not None
            if not self.shelf.may_write(change):
                return
            self._write(self.shelf.signed(change), self.postponed.popleft())

    def _write(self, change: Change, entry: Entry | None) -> None:
        if (
            entry is not None
            and self.failing
            and (self.refusing or not entry.ended)
            and self.rng.random() < 0.1
        ):
            assert self.shelf is not None
            self.shelf.refused(change)
            self.told.append(NotErased(entry) if entry.ended else NotDeferred(entry))
            return
        known = replace(change, offset=len(self.log))
        self.log.append(known)
        self.unanswered.append((known, entry))
        if isinstance(known, Answered):
            self.verdicts[known.request] = known.verdict
            name = self.requests.get(known.request)
            if name is not None and known.verdict:
                self.begun_when_cancelled[name] = self.begun.count(name)

    def keep(self) -> None:
        """The keeper does one thing or another."""
        shelf = self.shelf
        if shelf is None:
            return
        if not shelf.caught_up:
            self._read_on()
            return
        match self.rng.randrange(5):
            case 0 if self.orders or self.postponed:
                if self.orders:
                    self._write_next()
                self._write_postponed()
            case 1 if self.unanswered:
                change, entry = self.unanswered.popleft()
                self.told.extend(shelf.acknowledged([change], wished=entry is None))
                if entry is not None:
                    self.told.append(Erased(entry) if entry.ended else Deferred(entry))
            case 2:
                self._read_on()
            case 3:
                self.told.extend(shelf.look(int(self.now * 1000), lambda: len(self.queue)))
            case 4 if shelf.wishes:
                wishes, shelf.wishes = shelf.wishes, []
                for wish in wishes:
                    self._write(wish, None)

    def _read_on(self) -> None:
        shelf = self.shelf
        assert shelf is not None
        upto = min(len(self.log), self.read + self.rng.randint(1, 5))
        self.told.extend(shelf.read(self.log[self.read : upto], upto))
        self.read = upto
        if not shelf.caught_up and upto >= self.caught_up_at:
            self.told.extend(shelf.catch_up())

    # --- the world goes on -----------------------------------------------------------------------------

    def step(self) -> None:
        """One thing or another happens."""
        match self.rng.randrange(6):
            case 0 if self.running:
                self.finish()
            case 1:
                self.fetch()
            case 2 if self.told:
                self.tell(self.told.popleft())
            case 3:
                self.now += self.rng.choice((0.05, 0.3, 0.3, 1.0))
                self.tell()
            case 4 if self.commits:
                (self.committed,), self.commits = self.commits, []
                self.tell(Committed(HERE, self.committed[0]))
            case _:
                self.keep()

    def fetch(self) -> None:
        """Some records arrive, or the end of the log is reached."""
        upto = min(len(self.queue), self.fetched + self.rng.randint(1, 6))
        records = self.queue[self.fetched : upto]
        self.fetched = upto
        self.tell(Fetched(HERE, records) if records else Skipped(HERE, upto))

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to be done, now or later."""
        return (
            self.shelf is not None
            and self.shelf.caught_up
            and not (self.running or self.told or self.orders or self.postponed or self.unanswered)
            and not self.shelf.wishes
            and self.read == len(self.log)
            and self.fetched == len(self.queue)
            and not self.scheduler.held
            and not self.shelf.store.count
        )

    def settle(self, most: int = 60_000) -> None:
        """Let everything go on until nothing is left; long waits pass at once."""
        self.failing = False
        for n in range(most):
            if self.quiet:
                return
            self.step()
            if n % 400 == 399:
                self.now += 1800
        raise AssertionError("it does not come to rest")


def envelope(name: str) -> bytes:
    return b'{"id":"%s","job":"j"}' % name.encode()


def name_of(entry: Entry) -> str:
    """The id of a call."""
    return decode(entry.record.value()).id
