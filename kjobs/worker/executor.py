"""The slots: threads that run calls, and an event loop for ``async def`` jobs.

Slots pull from one shared queue of ready entries. The owner thread fills it, wakes idle slots, and
collects what has finished in batches. Per call there is no lock and no wake-up: ``deque.append`` and
``deque.popleft`` are atomic, and a slot tells the owner only when the owner waits for it.

What a slot may touch: ``outcome`` and ``more`` of the entry it runs, and nothing else of the scheduler's.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from time import monotonic

from ..core.events import Place
from ..core.outcome import OK, Outcome
from ..core.partition import Entry
from .fibres import Aside, AsyncCall, Fibres
from .pace import Pace
from .turns import Turns
from .turnstile import Turnstile

#: Seconds after which a slot lets other keys have a turn.
_TURN = 0.01
#: Seconds in one call after which a slot no longer counts as awake.
_STUCK = 0.003
#: Entries in front of the slots, where queues take turns.
_LINE = 256
#: Finished calls at which a waiting owner is told.
_BATCH = 512


class Slot:
    """A thread that runs calls. ``begun``: when its present call began (monotonic), 0 if it is idle."""

    __slots__ = ("begun", "parked", "thread")

    def __init__(self) -> None:
        self.parked = threading.Lock()
        self.parked.acquire()
        self.begun = 0.0
        self.thread: threading.Thread | None = None


class Executor:
    """Runs entries and gives them back with their outcomes.

    Args:
        run: runs an entry and returns its outcome, or an ``AsyncCall`` for the event loop; never raises.
        slots: the most threads.
        async_slots: the most calls of async jobs at a time.
        turnstile: where entries are that ``run`` has set aside.
        turns: of queues, if there are several.
    """

    def __init__(
        self,
        run: Callable[[Entry], Outcome | AsyncCall | Aside],
        *,
        slots: int,
        async_slots: int,
        turnstile: Turnstile,
        turns: Turns | None = None,
    ) -> None:
        self._turns = turns
        self._run = run
        self._most = slots
        self._ready: deque[Entry] = deque()
        self._done: deque[Entry] = deque()
        self._returned: deque[Entry] = deque()
        self._given_up: set[Entry] = set()
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._pace = Pace(slots, monotonic(), time.process_time())
        self._stuck = 0
        self._finished = 0
        self._lease = 0.0
        self._ended = False
        self._owner = threading.Lock()
        self._owner.acquire()
        self._owner_waits = False
        self._turnstile = turnstile
        turnstile.again = self._again
        self._fibres = Fibres(async_slots, self._give_back, self._may_begin)

    # --- the owner's side ------------------------------------------------------------------------

    def start(self, entries: Sequence[Entry], *, first: bool = False) -> None:
        """Hand out entries to be run; ``first``: before those that wait for a slot."""
        if first:
            self._ready.extendleft(reversed(entries))
        elif self._turns is None:
            self._ready.extend(entries)
        else:
            self._turns.put(entries)
            self._refill()
        if self._wake(min(len(entries), self._pace.allowed + self._stuck - self.awake)):
            time.sleep(0)  # lets go of the interpreter's lock, which the slot needs to begin

    def collect(self) -> list[Entry]:
        """Entries that were run since the last call, in the order they ended."""
        self._refill()
        done = self._done
        entries = [done.popleft() for _ in range(len(done))]
        self._finished += len(entries)
        if self._given_up:
            entries = [entry for entry in entries if entry not in self._given_up]
        return entries

    def collect_returned(self) -> list[Entry]:
        """Entries that a slot took but did not begin, because their time was over."""
        returned = self._returned
        return [returned.popleft() for _ in range(len(returned))]

    def give_up(self, entry: Entry) -> None:
        """Do not wait any more for the end of an entry that runs."""
        self._given_up.add(entry)

    def recall(self, places: Collection[Place] | None) -> list[Entry]:
        """Take back what no slot has begun of these partitions (None: of all)."""
        taken = [*self._fibres.recall(), *self._turnstile.recall()]
        while True:
            try:
                taken.append(self._ready.popleft())
            except IndexError:
                break
        if self._turns is not None:
            taken += self._turns.recall()
        if places is None:
            return taken
        rest = [entry for entry in taken if entry.partition.place not in places]
        if self._turns is None:
            self._ready.extend(rest)
        else:
            self._turns.put(rest)
            self._refill()
        return [entry for entry in taken if entry.partition.place in places]

    def _refill(self) -> None:
        """Have as much in front of the slots as they need until the next look; the rest waits."""
        if self._turns and (room := _LINE - len(self._ready)) > 0:
            self._ready.extend(self._turns.take(room))

    def lease(self, until: float) -> None:
        """Let calls begin until then (monotonic seconds)."""
        self._lease = until

    def tend(self) -> None:
        """Look after the slots: wake those that are wanted. To be called every few milliseconds."""
        now = monotonic()
        waiting = bool(self._ready)
        self._pace.reading(now, time.process_time(), self._finished, waiting)
        if not waiting:
            self._stuck = 0
            return
        awake = self.awake
        if awake >= self._most:
            return
        self._stuck = sum(1 for slot in self._slots if slot.begun and now - slot.begun > _STUCK)
        # If every awake slot is in a long call, one more can only help.
        self._wake(max(self._pace.allowed + self._stuck - awake, 1 if self._stuck >= awake else 0))

    def wait(self, timeout: float) -> None:
        """Wait until a good number of calls have finished, slots run out of calls, or ``tell``."""
        self._refill()
        self._owner_waits = True
        if (self._done and not self._ready) or self._returned or len(self._done) >= _BATCH:
            self._owner_waits = False
            return
        self._owner.acquire(timeout=timeout)
        self._owner_waits = False

    def tell(self) -> None:
        """Wake the owner if it waits; from any thread."""
        if self._owner_waits:
            self._owner_waits = False
            with suppress(RuntimeError):  # another thread may tell it at the same moment
                self._owner.release()

    @property
    def awake(self) -> int:
        """Slots that are running calls, or looking for one."""
        return len(self._slots) - len(self._idle)

    @property
    def waiting(self) -> int:
        """Entries that no slot has taken yet."""
        return len(self._ready) + (len(self._turns) if self._turns else 0)

    def begun(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those of the entries that were handed out that do not wait for a slot."""
        waiting = {id(entry) for entry in (*list(self._ready), *(self._turns or ()))}
        return [entry for entry in entries if id(entry) not in waiting]

    @property
    def starving(self) -> bool:
        """Slots are free and nothing is ready for them."""
        return not self._ready and not self._turns and self.awake < self._most

    def stop(self) -> None:
        """End the idle slots; those that run a call end after it."""
        self._ended = True
        self._wake(self._most)
        self._fibres.stop()

    def _wake(self, count: int) -> bool:
        """Wake so many slots, or make new ones; whether there was one to wake."""
        idle = self._idle
        for done in range(count):
            try:
                slot = idle.pop()
            except IndexError:
                if len(self._slots) >= self._most or self._ended:
                    return done > 0
                self._add_slot()
            else:
                slot.parked.release()
        return count > 0

    def _add_slot(self) -> None:
        slot = Slot()
        name = f"kjobs-slot-{len(self._slots)}"
        slot.thread = threading.Thread(target=self._work, args=(slot,), name=name, daemon=True)
        self._slots.append(slot)
        slot.thread.start()

    # --- the slots' side -------------------------------------------------------------------------

    def _work(self, slot: Slot) -> None:
        """What a slot does, for ever: take an entry, run it, and those behind it in its lane."""
        ready, done, idle, slots, run = self._ready, self._done, self._idle, self._slots, self._run
        while not self._ended:
            try:
                entry = ready.popleft()
            except IndexError:
                self._park(slot, look_again=True)
                continue
            turn = slot.begun = monotonic()
            if turn >= self._lease or not entry.partition.open:
                self._returned.append(entry)
                self.tell()
                continue
            while True:
                outcome = run(entry)
                if outcome is not OK:
                    entry.more = False
                    if isinstance(outcome, AsyncCall):
                        self._fibres.submit(outcome)
                        break
                    if isinstance(outcome, Aside):
                        break
                entry.outcome = outcome
                if entry.more:
                    now = slot.begun = monotonic()
                    if now - turn > _TURN or now >= self._lease or not entry.partition.open:
                        entry.more = False
                if not entry.more:
                    done.append(entry)
                    break
                # Once the entry is given back, its links are the owner's again.
                following = entry.next
                assert following is not None
                done.append(entry)
                entry = following
            if self._owner_waits and len(done) >= _BATCH:
                self.tell()
            if len(slots) - len(idle) > self._pace.allowed + self._stuck:
                self._park(slot, look_again=False)

    def _park(self, slot: Slot, *, look_again: bool) -> None:
        """Sleep until the owner has something for the slot."""
        slot.begun = 0.0
        self._idle.append(slot)
        if look_again:
            if self._ready:
                # The owner may have added entries just before it could see that this slot is idle.
                try:
                    self._idle.remove(slot)
                except ValueError:
                    slot.parked.acquire()  # it saw: it has released the lock, or is about to
                return
            self.tell()
        slot.parked.acquire()

    def _again(self, entry: Entry) -> None:
        """An entry that was set aside may be run."""
        self._ready.appendleft(entry)
        self.tell()  # whoever says so may be no slot, and all slots asleep

    def _may_begin(self, entry: Entry) -> bool:
        """Whether a call may begin now; if not, it is given back."""
        if monotonic() < self._lease and entry.partition.open:
            return True
        self._returned.append(entry)
        self.tell()
        return False

    def _give_back(self, entry: Entry, starving: bool) -> None:
        """Take an entry that the event loop has run."""
        self._done.append(entry)
        if self._owner_waits and (starving or len(self._done) >= _BATCH):
            self.tell()
