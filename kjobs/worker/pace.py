"""How many slots should be awake.

The number of slots is a maximum. Threads that run Python code share one lock, and each short system
call hands it on: awake slots that are not needed make the others slower, by a factor of two or three
for jobs of a few microseconds. But a slot that waits (for a socket, a disk, a sleep) costs nothing, and
a call must not wait for a slot that sleeps. So:

- while the process leaves a good part of one processor idle, every slot may be awake;
- when it does not, fewer are tried, and kept if as many calls finish; more are tried now and then;
- a slot that has been in one call for a while is not counted.
"""

from __future__ import annotations

#: Seconds and completions after which a reading is taken, and seconds after which it is in any case.
_WINDOW = 0.02
_ENOUGH = 50
_LONGEST_WINDOW = 0.1
#: Share of one processor below which the process is not busy.
_BUSY = 0.85
#: Seconds between two tries when the number is settled.
_SETTLED = 0.5
#: What fewer slots may lose, and what more slots must gain, to be kept.
_LOSS = 0.95
_GAIN = 1.15


class Pace:
    """Decides how many slots may be awake, from what the process did lately; has no clock."""

    def __init__(self, slots: int, now: float, cpu: float) -> None:
        self.slots = slots
        self.allowed = slots
        self._since = now
        self._cpu = cpu
        self._finished = 0
        self._settled_until = 0.0
        self._before: tuple[int, float] | None = None
        self._upwards = False

    def reading(self, now: float, cpu: float, finished: int, waiting: bool) -> None:
        """Take in the state of the process, often; decides once enough has happened.

        Args:
            now: monotonic seconds.
            cpu: processor seconds of the process.
            finished: calls finished so far.
            waiting: calls wait for a slot.
        """
        elapsed = now - self._since
        done = finished - self._finished
        if elapsed < _WINDOW or (done < _ENOUGH and elapsed < _LONGEST_WINDOW):
            return
        busy = (cpu - self._cpu) / elapsed
        self._since, self._cpu, self._finished = now, cpu, finished
        if not waiting or busy < _BUSY:
            self._before = None
            self.allowed = min(self.slots, self.allowed * 2) if waiting else self.slots
        else:
            self._climb(now, done / elapsed)

    def _climb(self, now: float, rate: float) -> None:
        """Move towards the smallest number of awake slots that finishes the most calls."""
        if self._before is not None:
            previous, previous_rate = self._before
            self._before = None
            good = rate >= previous_rate * (_GAIN if self.allowed > previous else _LOSS)
            if not good:
                self.allowed = previous
                self._upwards = not self._upwards
                self._settled_until = now + _SETTLED
                return
        if now < self._settled_until:
            return
        target = min(self.slots, self.allowed * 2) if self._upwards else max(1, self.allowed // 2)
        if target == self.allowed:
            self._upwards = not self._upwards
            self._settled_until = now + _SETTLED
            return
        self._before = (self.allowed, rate)
        self.allowed = target
