"""Decides what becomes of the worker processes: when each begins, is told to stop, is killed.

Like the core it is pure: it is told what happened and when, and answers with commands.
"""

from __future__ import annotations

import enum
import signal
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from ..health.process import UNKNOWN, Process, Vitals
from .messages import Beat, Hello, Message, Ready

#: Seconds after which a process that ends is begun again at once, and not taken for one that cannot work.
HEALTHY = 10.0
#: The longest pause before a process that keeps ending is begun again, in seconds.
LONGEST_PAUSE = 30.0
#: Seconds between the dump of a stuck process's stacks and its end.
LAST_WORDS = 1.0
#: Seconds a stopping process has beyond its grace period before it is killed.
MARGIN = 25.0
#: Seconds without a look after which this process was itself frozen, and no sign of others counts as late.
_FROZEN = 5.0


class Wish(enum.Enum):
    """What somebody wants of all processes."""

    STOP = enum.auto()
    QUIET = enum.auto()
    RESTART = enum.auto()
    MORE = enum.auto()
    FEWER = enum.auto()
    DUMP = enum.auto()


class State(enum.Enum):
    """Of a seat."""

    WAITING = "waiting to begin"
    BEGINNING = "beginning"
    READY = "ready"
    LEAVING = "stopping"
    DONE = "done"


@dataclass(slots=True)
class Seat:
    """The place of one worker process; its number stays when the process is replaced.

    Attributes:
        due: when a process is to begin.
        begun: when the present one began.
        beat: the last sign of it; None before the first.
        calls: attempts that it has made.
        size: bytes of memory it has.
        vitals: what it says of itself.
        failures: how often in a row a process ended by itself before it had worked for a while.
        until: when a process that stops is killed.
        doomed: when a stuck process is killed.
        surplus: it is not to be taken again.
        known: it has said hello, and knows what signals mean.
        quiet: the present process begins nothing.
    """

    number: int
    due: float
    state: State = State.WAITING
    begun: float = 0.0
    beat: float | None = None
    calls: int = 0
    size: int = 0
    vitals: Vitals = UNKNOWN
    failures: int = 0
    until: float | None = None
    doomed: float | None = None
    surplus: bool = False
    known: bool = False
    quiet: bool = False

    @property
    def taken(self) -> bool:
        """Whether a process has it."""
        return self.state in (State.BEGINNING, State.READY, State.LEAVING)


# --- what the roster answers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a process."""

    number: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a signal to a process; ``why`` is for the log, and empty if that needs no line."""

    number: int
    signal: signal.Signals
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pausing:
    """A process ended by itself; the next one begins in ``pause`` seconds."""

    number: int
    code: int
    pause: float


@dataclass(frozen=True, slots=True)
class AllReady:
    """Every process is ready, for the first time."""

    processes: int


@dataclass(frozen=True, slots=True)
class Exit:
    """No process is left, and none is to begin."""

    code: int


Command = Begin | Send | Pausing | AllReady | Exit


@dataclass(slots=True)
class Roster:
    """The seats of all worker processes.

    Args:
        count: how many there are to be; None if the first one is to say.
    """

    count: int | None
    seats: dict[int, Seat] = field(default_factory=dict)
    limits: Hello | None = None
    stopping: bool = False
    quiet: bool = False
    _forced: bool = False
    _ever_ready: bool = False
    _announced: bool = False
    _restarting: deque[int] = field(default_factory=deque)
    _asked: deque[int] = field(default_factory=deque)
    _codes: list[int] = field(default_factory=list)
    _looked: float | None = None

    def open(self, now: float) -> list[Command]:
        """Begin."""
        for number in range(self.count or 1):
            self.seats[number] = Seat(number, due=now)
        return self.look(now)

    # --- what happens ----------------------------------------------------------------------------

    def heard(self, number: int, message: Message, now: float) -> list[Command]:
        """A process says something."""
        seat = self.seats[number]
        match message:
            case Hello():
                self.limits, seat.known = message, True
                if self.count is None:
                    self.count = message.processes
                    for more in range(1, 0 if self.stopping else self.count):
                        self.seats[more] = Seat(more, due=now)
                    return [*self._still(seat), *self.look(now)]
                return self._still(seat)
            case Ready():
                self._ever_ready = True
                seat.beat = now
                if seat.state is State.BEGINNING:
                    seat.state = State.READY
                return self._announce()
            case Beat():
                seat.beat = now
                seat.calls, seat.size, seat.vitals = message.calls, message.size, message.vitals
                return []
            case _:
                assert_never(message)

    def ended(self, number: int, code: int, now: float) -> list[Command]:
        """A process has ended; ``code`` is negative for a signal."""
        seat = self.seats[number]
        asked = seat.state is State.LEAVING
        worked = seat.state is State.READY
        healthy = worked and now - seat.begun >= HEALTHY
        seat.beat = seat.until = seat.doomed = None
        seat.calls = seat.size = 0
        seat.vitals = UNKNOWN
        seat.quiet = False
        self._codes.append(self._code(seat, code))
        seat.known = False
        if seat.surplus:
            del self.seats[number]
            return self._ended_or([])
        if self.stopping or (code == 0 and not asked):
            seat.state = State.DONE
            return self._ended_or([])
        seat.state = State.WAITING
        if asked:
            seat.failures, seat.due = 0, now
            return self.look(now)
        if self.limits is None:
            # Its jobs cannot be imported, or it is told nonsense: that does not pass by waiting.
            return [Exit(code if code > 0 else 1)]
        seat.failures = 0 if healthy else seat.failures + 1
        if not self._ever_ready and all(other.failures and not other.taken for other in self.seats.values()):
            return [Exit(code if code > 0 else 1)]
        pause = 0.0 if healthy else min(LONGEST_PAUSE, 0.5 * 2.0 ** min(seat.failures - 1, 10))
        if worked and seat.failures == 1:
            pause = 0.0  # killed soon after it was ready: that alone is no sign that it cannot work
        seat.due = now + pause
        return [Pausing(number, code, pause), *self.look(now)]

    def wished(self, wish: Wish, now: float) -> list[Command]:
        """Somebody wants something of all processes."""
        taken = [seat for seat in self.seats.values() if seat.taken]
        match wish:
            case Wish.STOP:
                return self._stop(taken, now)
            case Wish.QUIET:
                self.quiet = True
                return [command for seat in taken for command in self._still(seat)]
            case Wish.DUMP:
                self._asked = deque(sorted(seat.number for seat in taken if seat.known))
            case Wish.RESTART:
                self.quiet = False
                self._restarting = deque(sorted(seat.number for seat in taken))
            case Wish.MORE:
                if self.count is not None and not self.stopping:
                    self.count += 1
                    number = next(n for n in range(len(self.seats) + 1) if n not in self.seats)
                    self.seats[number] = Seat(number, due=now)
            case Wish.FEWER:
                self._take_out(now)
            case _:
                assert_never(wish)
        return self.look(now)

    def look(self, now: float) -> list[Command]:
        """What is to be done by now."""
        frozen = self._looked is not None and now - self._looked > _FROZEN
        self._looked = now
        commands: list[Command] = []
        for seat in self.seats.values():
            if seat.state is State.WAITING and seat.due <= now and not self.stopping:
                seat.state, seat.begun = State.BEGINNING, now
                commands.append(Begin(seat.number))
            if frozen and seat.beat is not None:
                seat.beat = now
            commands += self._overdue(seat, now)
        commands += self._replace(now)
        # One at a look: what they write should not be mixed up.
        if self._asked and self._is_known(asked := self._asked.popleft()):
            commands.append(Send(asked, signal.SIGUSR1))
        return commands

    def processes(self, now: float, pids: Mapping[int, int]) -> list[Process]:
        """How all of them are.

        Args:
            now: the present.
            pids: by number.
        """
        return [
            Process(
                number=seat.number,
                pid=pids.get(seat.number, 0),
                state=seat.state.value,
                ready=seat.state is State.READY,
                silent=None if seat.beat is None else now - seat.beat,
                failures=seat.failures,
                calls=seat.calls,
                size=seat.size,
                vitals=seat.vitals,
            )
            for seat in self.seats.values()
        ]

    # --- parts -----------------------------------------------------------------------------------

    def _is_known(self, number: int) -> bool:
        return number in self.seats and self.seats[number].known

    def _still(self, seat: Seat) -> list[Command]:
        """Have a process begin nothing, if none is to."""
        if not (self.quiet and seat.known) or seat.quiet:
            return []
        seat.quiet = True
        return [Send(seat.number, signal.SIGTSTP)]

    def _announce(self) -> list[Command]:
        if self._announced or any(seat.state is not State.READY for seat in self.seats.values()):
            return []
        self._announced = True
        return [AllReady(len(self.seats))]

    def _stop(self, taken: list[Seat], now: float) -> list[Command]:
        if self.stopping:
            self._forced = True
            return [Send(seat.number, signal.SIGKILL, "forced") for seat in taken]
        self.stopping = True
        self._codes.clear()
        for seat in self.seats.values():
            if seat.state is State.WAITING:
                seat.state = State.DONE
        return self._ended_or([command for seat in taken for command in self._leave(seat, now)])

    def _leave(self, seat: Seat, now: float, why: str = "") -> list[Command]:
        """Have a process stop in order."""
        if seat.state is State.LEAVING:
            return []
        seat.state = State.LEAVING
        seat.until = now + (self.limits.grace if self.limits else 0.0) + MARGIN
        return [Send(seat.number, signal.SIGTERM, why)]

    def _take_out(self, now: float) -> None:
        if self.count is None or self.count <= 1 or self.stopping:
            return
        self.count -= 1
        seat = max((seat for seat in self.seats.values() if not seat.surplus), key=lambda seat: seat.number)
        seat.surplus = True
        if not seat.taken:
            del self.seats[seat.number]

    def _overdue(self, seat: Seat, now: float) -> Iterator[Command]:
        """End a process that gives no sign, or does not stop."""
        if not seat.taken:
            return
        watchdog = self.limits.watchdog if self.limits else 0.0
        if seat.doomed is not None and now >= seat.doomed:
            seat.doomed = now + MARGIN  # and once more, should that be of no avail
            yield Send(seat.number, signal.SIGKILL, "killed")
        elif seat.doomed is not None:
            return
        elif seat.until is not None and now >= seat.until:
            seat.doomed = now + LAST_WORDS
            yield Send(seat.number, signal.SIGUSR1, "it did not stop in its grace period")
        elif watchdog and seat.beat is not None and now - seat.beat >= watchdog:
            seat.doomed = now + LAST_WORDS
            yield Send(seat.number, signal.SIGUSR1, f"its owner thread has given no sign for {watchdog:g} s")

    def _replace(self, now: float) -> Iterator[Command]:
        """Have a process stop that is to be replaced, one at a time."""
        for seat in [seat for seat in self.seats.values() if seat.surplus]:
            yield from self._leave(seat, now, "one process less")
        # One that keeps ending by itself is not waited for: it may be what is to be mended.
        busy = (State.BEGINNING, State.LEAVING)
        if self.stopping or any(seat.state in busy for seat in self.seats.values()):
            return
        while self._restarting:
            next_one = self.seats.get(self._restarting.popleft())
            if next_one is not None and next_one.taken:
                yield from self._leave(next_one, now, "restarting it")
                return
        for worn in self.seats.values():
            if worn.state is State.READY and (why := self._worn(worn, now)):
                yield from self._leave(worn, now, why)
                return

    def _worn(self, seat: Seat, now: float) -> str:
        limits = self.limits
        if limits is None:
            return ""
        if 0 < limits.recycle_calls <= seat.calls:
            return f"replaced after {seat.calls} calls"
        if 0 < limits.recycle_age <= now - seat.begun:
            return f"replaced after {now - seat.begun:.0f} s"
        if 0 < limits.recycle_size <= seat.size:
            return f"replaced at {seat.size >> 20} MiB"
        return ""

    def _code(self, seat: Seat, code: int) -> int:
        """What an end of a process is worth as an exit code."""
        if self._forced:
            return 2
        if code == -signal.SIGTERM and not seat.known:
            return 0  # it was told to stop before it had begun
        return code if code in (0, 2) else 1

    def _ended_or(self, commands: list[Command]) -> list[Command]:
        """Commands, or the end if no process is left."""
        if any(seat.state is not State.DONE for seat in self.seats.values()):
            return commands
        return [*commands, Exit(max(self._codes, default=0))]
