"""A small worker that is right by construction, to make right histories at random.

It knows no threads, no batches, no metadata format: one process at a time owns everything, in-flight
calls are a list, and what a commit keeps is a copy of what the process knew. Crashes, freezes and orderly
stops hand over to the next incarnation, which knows only what was committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .expectations import Config, Rules
from .history import AnyEvent, Frozen, Logged, Thawed
from .script import LEASE, Run, Script

PARTS = (0, 1)
RETRIES = 2
SLOTS = 3

#: Seconds after which finished calls are committed without being asked to.
_COMMIT_EVERY = 0.4


@dataclass(slots=True)
class Memory:
    """What an incarnation knows of a partition: what is finished, how often the others failed, until when."""

    finished: set[int] = field(default_factory=set)
    failures: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)

    def copy(self) -> Memory:
        """The same, not touched by what is learned later."""
        return Memory(set(self.finished), dict(self.failures), dict(self.due))


@dataclass(slots=True)
class Zombie:
    """A frozen incarnation, and what ran in it."""

    inc: str
    running: list[Run]


class Model:
    """One run, a step at a time; every step may be taken at any time."""

    def __init__(self, *, relaxed: bool = False) -> None:
        self.script = Script()
        self.config = Config(
            usual=Rules(RETRIES, "relaxed" if relaxed else "strict"),
            slots=SLOTS,
            session_timeout=LEASE + 2,
        )
        self._relaxed = relaxed
        self._lives = 0
        self._calls = 0
        self._running: list[Run] = []
        self._zombies: list[Zombie] = []
        self._passed: set[tuple[int, int]] = set()
        self._memory = {part: Memory() for part in PARTS}
        self._kept = {part: Memory() for part in PARTS}
        self._committed_at = 0.0
        self._begin()

    def take(self, step: str, choice: int) -> None:
        """Take a step of this name."""
        getattr(self, step)(choice)

    # --- steps ---------------------------------------------------------------------------------------

    def enqueue(self, choice: int) -> None:
        """Enqueue a call with one of three keys, or none."""
        self._calls += 1
        key = (None, b"a", b"b", b"c")[choice % 4]
        part = choice // 4 % 2 if key is None else key[0] % 2
        self.script.enqueue(f"call {self._calls}", key=key, part=part)

    def litter(self, choice: int) -> None:
        """Put a record into the log that is not a call."""
        key = (None, b"a", b"b")[choice % 3]
        self.script.append(None, key, 0 if key is None else key[0] % 2)

    def start(self, choice: int) -> None:
        """Begin a call that may begin, if a slot is free."""
        ready = self._ready()
        if not ready or len(self._running) >= SLOTS:
            return
        self._keep_up()
        record = ready[choice % len(ready)]
        if record.call is None:
            self._bury(record, "undecodable")
            return
        failures = self._memory[record.place[1]].failures.get(record.offset, 0)
        self._running.append(self.script.start(self._inc, record, failures + 1))

    def finish(self, choice: int) -> None:
        """End a call that runs, somehow."""
        if not self._running:
            return
        run = self._running.pop(choice % len(self._running))
        outcome = choice // 8 % 8
        memory = self._memory[run.record.place[1]]
        offset = run.record.offset
        if outcome == 0 or outcome == 1:
            failures = memory.failures.get(offset, 0) + 1
            if failures > RETRIES:
                self.script.end(run, "failed")
                self._bury(run.record, "retries-exhausted")
            else:
                memory.failures[offset] = failures
                self._wait(run, "failed", 0.3)
        elif outcome == 2:
            self._wait(run, "snoozed", 0.1)
        elif outcome == 3:
            self.script.end(run, "condemned")
            self._bury(run.record, "rejected")
        elif outcome == 4:
            self.script.end(run, "discarded")
            memory.finished.add(offset)
        else:
            self.script.end(run)
            memory.finished.add(offset)

    def commit(self, choice: int = 0) -> None:
        """Commit what is known."""
        for part in PARTS:
            self.script.commit(self._inc, part, offset=self._watermark(part))
            self._kept[part] = self._memory[part].copy()
        self._committed_at = self.script.now

    def wait(self, choice: int) -> None:
        """Let time pass."""
        self.script.tick(0.05 * (1 + choice % 6))
        self._keep_up()

    def crash(self, choice: int) -> None:
        """Kill the process; another one takes over."""
        self.script.kill(self._inc)
        self._running.clear()
        self._take_over()

    def freeze(self, choice: int) -> None:
        """Freeze the process until the group has given up on it; another one takes over."""
        self._suspend()
        self._zombies.append(Zombie(self._inc, self._running))
        self._running = []
        self._take_over()

    def thaw(self, choice: int) -> None:
        """Let a frozen process go on: it finishes what it was at, and learns what happened."""
        if not self._zombies:
            return
        zombie = self._zombies.pop(choice % len(self._zombies))
        self._resume(zombie)
        for run in zombie.running:
            self.script.end(run)
        for part in PARTS:
            self.script.lose(zombie.inc, part)
        self._keep_up()

    def replace(self, choice: int) -> None:
        """Stop the process in order; another one takes over, and repeats nothing."""
        self._end_all()
        self.commit()
        self.script.stop(self._inc)
        self._take_over()

    def drain(self) -> list[AnyEvent]:
        """Finish everything, and return the history."""
        while self._zombies:
            self.thaw(0)
        while self._running or any(self._unfinished(part) for part in PARTS):
            self._end_all()
            self.start(0)
            self.wait(0)
        self.commit()
        return self.script.finish()

    # --- how -------------------------------------------------------------------------------------------

    @property
    def _inc(self) -> str:
        return f"w.{self._lives}"

    def _suspend(self) -> None:
        self.script.add(Frozen(self.script.tick(), self._inc))
        self.script.tick(LEASE + 4)

    def _resume(self, zombie: Zombie) -> None:
        self.script.add(Thawed(self.script.tick(), zombie.inc))

    def _begin(self) -> None:
        self._lives += 1
        for part in PARTS:
            self.script.assign(self._inc, part)
        self._committed_at = self.script.now

    def _take_over(self) -> None:
        self._memory = {part: kept.copy() for part, kept in self._kept.items()}
        self._passed.clear()
        self._begin()

    def _keep_up(self) -> None:
        if self.script.now - self._committed_at > _COMMIT_EVERY:
            self.commit()

    def _end_all(self) -> None:
        while self._running:
            self.finish(63)

    def _unfinished(self, part: int) -> list[Logged]:
        finished = self._memory[part].finished
        return [record for record in self.script.shelf(part).records if record.offset not in finished]

    def _watermark(self, part: int) -> int:
        unfinished = self._unfinished(part)
        return unfinished[0].offset if unfinished else len(self.script.shelf(part).records)

    def _ready(self) -> list[Logged]:
        """What may begin: of each key the oldest unfinished call, if it does not run and is due."""
        running = {(run.record.place, run.record.offset) for run in self._running}
        ready: list[Logged] = []
        for part in PARTS:
            held: set[bytes] = set()
            for record in self._unfinished(part):
                passed = (part, record.offset) in self._passed
                if record.key in held and not passed:
                    continue
                due = self._memory[part].due.get(record.offset, 0.0) <= self.script.now
                if due and (record.place, record.offset) not in running:
                    ready.append(record)
                if record.key is not None and not passed:
                    held.add(record.key)
        return ready

    def _wait(self, run: Run, result: str, seconds: float) -> None:
        self.script.end(run, "failed" if result == "failed" else "snoozed", retry_in=seconds)
        part, offset = run.record.place[1], run.record.offset
        self._memory[part].due[offset] = self.script.now + seconds
        if self._relaxed:
            self._passed.add((part, offset))

    def _bury(self, record: Logged, reason: str) -> None:
        self.script.bury(self._inc, record, reason=reason)
        self._memory[record.place[1]].finished.add(record.offset)


#: The steps, by how often they are taken: crashes are rarer than work.
STEPS: Final = (
    *("enqueue",) * 5,
    *("start",) * 6,
    *("finish",) * 5,
    *("wait",) * 2,
    "litter",
    "commit",
    "crash",
    "freeze",
    "thaw",
    "replace",
)
