"""How many slots should be awake.

The number of slots is a maximum. Threads that run Python code share one lock, and each short system call
hands it on: awake slots that are not needed make the others slower, by a factor of two or three for jobs
of a few microseconds. But a slot that waits (for a socket, a disk, a sleep) costs nothing, and a call must
not wait for a slot that sleeps. So:

- while the process leaves a good part of one processor idle, every slot may be awake;
- when it does not, one alone is tried: it is kept if as many calls finish as before. If not, all go on;
- from one upwards, twice as many are tried, and kept if notably more calls finish;
- a slot that has been in one call for a while is not counted.
"""

from __future__ import annotations

#: Seconds and completions after which a reading is taken, and seconds after which it is in any case.
_WINDOW = 0.02
_ENOUGH = 50
_LONGEST_WINDOW = 0.1
#: Shares of one processor: above the one the process is busy, below the other it surely is not.
_BUSY = 0.85
_IDLE = 0.5
#: Seconds until the next try when one has failed, at first and at most; doubled with each that fails.
_FIRST_REST = 0.5
_LONGEST_REST = 30.0
#: What fewer slots may lose, and what more slots must gain, to be kept.
_LOSS = 0.95
_GAIN = 1.15
#: Share of the time in which calls must wait for a slot, for the number of slots to matter.
_PRESSURE = 0.1


class Pace:
    """Decides how many slots may be awake, from what the process did lately; has no clock.

    Attributes:
        allowed: how many may be.
    """

    def __init__(self, slots: int, now: float, cpu: float) -> None:
        self.slots = slots
        self.allowed = slots
        self._since = now
        self._cpu = cpu
        self._finished = 0
        self._looks = 0
        self._waiting = 0
        self._before: tuple[int, float] | None = None
        self._rest = _FIRST_REST
        self._rests_until = now

    def reading(self, now: float, cpu: float, finished: int, waiting: bool) -> None:
        """Take in the state of the process, often; decides once enough has happened.

        Args:
            now: monotonic seconds.
            cpu: processor seconds of the process.
            finished: calls finished so far.
            waiting: calls wait for a slot.
        """
        self._looks += 1
        self._waiting += waiting
        elapsed = now - self._since
        done = finished - self._finished
        if elapsed < _WINDOW or (done < _ENOUGH and elapsed < _LONGEST_WINDOW):
            return
        busy, pressure = (cpu - self._cpu) / elapsed, self._waiting / self._looks
        self._since, self._cpu, self._finished = now, cpu, finished
        self._looks = self._waiting = 0
        self._decide(now, busy, pressure, done / elapsed)

    def _decide(self, now: float, busy: float, pressure: float, rate: float) -> None:
        if pressure < _PRESSURE:
            self.allowed = self.slots
            self._before = None
            self._rest = _FIRST_REST
        elif self._before is not None:
            self._judge(now, rate, *self._before)
        elif busy < _IDLE:
            self.allowed = min(self.slots, self.allowed * 2)
        elif busy > _BUSY and now >= self._rests_until:
            self._try(1 if self.allowed > 1 else 2, rate)

    def _try(self, slots: int, rate: float) -> None:
        if slots <= self.slots:
            self._before = (self.allowed, rate)
            self.allowed = slots

    def _judge(self, now: float, rate: float, previous: int, previous_rate: float) -> None:
        """Keep the number that was tried, or go back."""
        self._before = None
        upwards = self.allowed > previous
        if rate >= previous_rate * (_GAIN if upwards else _LOSS):
            self._rest = _FIRST_REST
            self._try(self.allowed * 2, rate)
            return
        self.allowed = previous
        self._rests_until = now + self._rest
        self._rest = min(2 * self._rest, _LONGEST_REST)
