"""The slots of a simulated worker: they run calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from kjobs.core.commands import SaveAnswered
from kjobs.core.events import Event, Finished, Place, Recalled, SaveAsked
from kjobs.core.outcome import OK, Crashed, Early, Expired, Outcome
from kjobs.core.partition import Entry
from tests.proof import history as h

from .calls import Call
from .outcomes import outcome_of, result_of

if TYPE_CHECKING:
    from .incarnation import Incarnation

#: Seconds after which a slot lets other keys have a turn.
_TURN = 0.05


class Slots:
    """Runs what is handed out, a few at a time."""

    def __init__(self, worker: Incarnation) -> None:
        self._worker = worker
        self._world = worker.world
        #: Calls may begin until then.
        self.lease = float("-inf")
        self._ready: deque[Entry] = deque()
        self._running = 0
        self._done: list[Entry] = []
        self._returned: list[Entry] = []
        self._told: dict[Entry, int] = {}
        #: What calls want to be saved, and what each of them does when it is told, or waits no more.
        self._asked: list[SaveAsked] = []
        self._askers: dict[int, Callable[[str], None]] = {}
        self._numbers = count(1)

    # --- the owner's side ------------------------------------------------------------------------

    def start(self, entries: Sequence[Entry], *, first: bool) -> None:
        """Take entries to run."""
        if first:
            self._ready.extendleft(reversed(entries))
        else:
            self._ready.extend(entries)
        for _ in entries:
            self._world.after(self._world.rng.uniform(0.0, 0.005), self._take)

    def recall(self, places: Sequence[Place] | None) -> list[Entry]:
        """Give back what has not begun."""
        taken = [e for e in self._ready if places is None or e.partition.place in places]
        self._ready = deque(e for e in self._ready if e not in taken)
        return taken

    def collect(self) -> list[Event]:
        """What has ended since the last time, and what came back unbegun."""
        events: list[Event] = []
        if self._done:
            done, self._done = self._done, []
            events.append(Finished(done))
        asked, self._asked = self._asked, []
        events += [one for one in asked if one.asker in self._askers]
        if self._returned:
            returned, self._returned = self._returned, []
            events.append(Recalled(returned))
        return events

    def decided(self, entry: Entry, due: float | None) -> None:
        """The scheduler has said what follows: now the end of the attempt can be told whole."""
        told = self._told.pop(entry, None)
        if told is not None and due is not None:
            self._world.retell(told, due)

    # --- slots -----------------------------------------------------------------------------------

    def _take(self) -> None:
        """A slot looks for an entry."""
        self._worker.when_running(self._look)

    def _look(self) -> None:
        if self._running >= self._world.plan.slots or not self._ready:
            return
        entry = self._ready.popleft()
        if not self._may_run(entry):
            self._world.rare["a call was refused its start"] += 1
            self._returned.append(entry)
            self._worker.wake()
            self._world.after(0.0, self._take)
            return
        self._running += 1
        self._run(entry, self._world.now)

    def _may_run(self, entry: Entry) -> bool:
        return self._world.now < self.lease and entry.partition.open

    def _run(self, entry: Entry, turn: float) -> None:
        world, name = self._world, self._worker.name
        call = world.call(entry.record.value())
        ending, outcome = call.ending, outcome_of(call, world)
        attempt, epoch = entry.failures + 1, entry.partition.epoch
        runs = call.name is not None and not isinstance(outcome, Early | Expired)
        if runs:
            started = h.Started(
                world.now,
                name,
                call=call.name,
                place=call.place,
                offset=call.offset,
                key=entry.key,
                attempt=attempt,
                epoch=epoch,
                state=None if entry.row is None or entry.row.state is None else entry.row.state.decode(),
            )
            world.tell(started)
            if started.state is not None and not started.state.startswith(f"{name}:"):
                world.rare["a call goes on with a state in another worker"] += 1

        def end() -> None:
            whole = call.script.sweeps or not entry.suspect
            if isinstance(outcome, Crashed) and ending == "crash" and whole:
                call.crashes += 1
                world.rare["a call ended its worker"] += 1
                world.kill(self._worker)
                return
            call.attempts += 1
            if runs and call.name is not None:
                world.tell(h.Effect(world.now, name, call=call.name, attempt=attempt, ok=outcome is OK))
            ended = h.Ended(
                world.now,
                name,
                call=call.name,
                place=call.place,
                offset=call.offset,
                key=entry.key,
                attempt=attempt,
                epoch=epoch,
                result=result_of(outcome),
            )
            self._told[entry] = world.tell(ended)
            self._end(entry, outcome, turn)

        saves = call.script.saves if runs else 0
        part = call.script.length / (saves + 1) if runs else 0.0

        def go_on(left: int) -> None:
            then = partial(self._save, entry, call, partial(go_on, left - 1)) if left else end
            world.after(part, lambda: self._worker.when_running(then))

        go_on(saves)

    def _save(self, entry: Entry, call: Call, then: Callable[[], None]) -> None:
        """What a call does that saves how far it is: ask, wait for the answer, and go on."""
        world, worker, number = self._world, self._worker, next(self._numbers)
        assert call.name is not None
        name, state = call.name, f"{worker.name}:{number}"
        asking = h.Saving(
            world.now,
            worker.name,
            call=name,
            place=call.place,
            offset=call.offset,
            epoch=entry.partition.epoch,
            state=state,
        )
        world.tell(asking)

        def told(fate: str) -> None:
            if self._askers.pop(number, None) is None:
                return
            if fate:
                world.tell(h.SaveTold(world.now, worker.name, call=name, state=state, fate=fate))
                world.rare[f"a state was saved: {fate}"] += 1
                if fate == "saved" and call.place[0] != entry.partition.place[0]:
                    world.rare["a state was saved of a delayed call"] += 1
            then()

        entry.more = False
        self._askers[number] = told
        self._asked.append(SaveAsked(entry, state.encode(), number))
        worker.wake()
        world.after(world.plan.save_patience, lambda: worker.when_running(lambda: told("")))

    def answer(self, answered: SaveAnswered) -> None:
        """A call that waits is told what became of its state."""
        if (asker := self._askers.get(answered.asked.asker)) is not None:
            asker(answered.fate.value)

    def _end(self, entry: Entry, outcome: Outcome, turn: float) -> None:
        """What a slot does after a call: give it back, and go on with the one behind it if it may."""
        entry.outcome = outcome
        if entry in entry.partition.stored.saving:
            self._world.rare["a call ended while its state was being saved"] += 1
        if outcome is not OK:
            entry.more = False
        if entry.more and (self._world.now - turn > _TURN or not self._may_run(entry)):
            entry.more = False
        following = entry.next if entry.more else None
        self._done.append(entry)
        self._worker.wake()
        if following is not None:
            self._world.rare["a chain of calls of one key ran in one slot"] += 1
            self._run(following, turn)
            return
        self._running -= 1
        self._look()
