"""Calls on their way to the dead letter queue, whose offsets pass only once it has them."""

from __future__ import annotations

from collections.abc import Callable

from .commands import BuryEntry, Command
from .events import Buried, NotBuried
from .outcome import Bury
from .partition import Entry

#: Seconds before a burial that the dead letter topic refused is tried again.
PAUSE = 2.0


class Burials:
    """Orders burials, again and again until they are acknowledged.

    Args:
        command: takes a command.
        later: brings an entry back at a time (epoch seconds).
    """

    def __init__(self, *, command: Callable[[Command], None], later: Callable[[float, Entry], None]) -> None:
        self._command = command
        self._later = later

    def order(self, entry: Entry, burial: Bury) -> None:
        """Bury a call that does not run."""
        entry.burial = burial
        self.again(entry)

    def again(self, entry: Entry) -> None:
        """Try it once more."""
        entry.partition.burying += 1
        self._command(BuryEntry(entry))

    def answered(self, event: Buried | NotBuried, now: float) -> bool:
        """Take in what became of one; whether the call is through."""
        entry = event.entry
        if entry.partition.closed:
            return False
        entry.partition.burying -= 1
        if isinstance(event, NotBuried):
            self._later(now + PAUSE, entry)
            return False
        entry.burial = None
        return True
