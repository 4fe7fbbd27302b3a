"""What the scheduler does about states that running calls save.

The first one takes a call of the queue into the deferred store while it runs: written, acknowledged, its
offset is finished and the store has the call, as it has one that was taken from there. From then on every
rule for calls of the store holds for it. Further states are later records of the same call.

    asked ─► written ─► acknowledged ─► read, and nothing of a former owner in its way ─► told

Whoever asked may have stopped waiting, and the attempt may have ended. What is on its way by then is waited
for before the end of the attempt counts: of one call only one record is written at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from .commands import Command, Save, SaveAnswered
from .deferred import Fate, Row
from .events import Certain, NotSaved, SaveAsked, Saved
from .outcome import OK
from .transfer import row_of

if TYPE_CHECKING:
    from .partition import Entry, Partition

#: Seconds before a state is written again of which it is not known whether the log has it.
PAUSE = 2.0


class Saving(msgspec.Struct):
    """A state of a call that is being saved.

    Attributes:
        row: what is written.
        asked: who wait for that.
        waiting: who have asked since; of their states only the last one will be written.
        unsure: it was refused, and may be in the log all the same.
        ended: the attempt has ended, and its end waits.
        written: it is acknowledged.
    """

    row: Row
    asked: list[SaveAsked]
    waiting: list[SaveAsked] = []
    unsure: bool = False
    ended: bool = False
    written: bool = False


class Saves:
    """The scheduler's part that saves states.

    Args:
        command: takes a command.
        later: brings an entry back at a time (epoch seconds).
        finished: takes in entries whose attempts have ended.
        leased: whether the group counts this worker as a member at a time (epoch seconds).
    """

    def __init__(
        self,
        *,
        command: Callable[[Command], None],
        later: Callable[[float, Entry], None],
        finished: Callable[[Sequence[Entry], float], None],
        leased: Callable[[float], bool],
    ) -> None:
        self._command = command
        self._later = later
        self._finished = finished
        self._leased = leased

    def told(self, event: SaveAsked | Saved | Certain | NotSaved, now: float) -> None:
        """Take in what is to be saved, and what became of that."""
        match event:
            case SaveAsked():
                self._asked(event, now)
            case Saved(entry=entry, row=row) if (saving := _find(entry)) is not None:
                self._saved(entry, saving, row, now)
            case Certain(entry=entry) if (saving := _find(entry)) is not None and saving.written:
                self._certain(entry, now)
            case NotSaved(entry=entry, definite=True) if (saving := _find(entry)) and not saving.unsure:
                self._failed(entry, event.why, now)
            case NotSaved(entry=entry) if (saving := _find(entry)) is not None:
                saving.unsure = True
                self._later(now + PAUSE, entry)
            case _:
                pass  # its partition was taken away

    def hold(self, entry: Entry) -> bool:
        """An attempt has ended: whether its end must wait, and it counts as running until then."""
        saving = _find(entry)
        if saving is None:
            return False
        if saving.written:
            self._let_go(entry, "the attempt has ended")
            return False
        saving.ended = True
        entry.out = True
        return True

    def try_again(self, entry: Entry, now: float) -> None:
        """Write once more what may not be in the log."""
        saving = _take(entry)
        assert saving is not None
        if entry.cancelled:
            # By somebody's wish the store has forgotten it meanwhile.
            self._tell(saving.asked, Fate.UNKNOWN, _CANCELLED)
            self._go_on(entry, saving, now)
            return
        again = self._write(entry, [*saving.asked, *saving.waiting], saving.row)
        again.unsure, again.ended = True, saving.ended

    def forget(self, partition: Partition) -> None:
        """A partition was taken away; what is on its way may arrive."""
        for entry, saving in partition.stored.saving.items():
            self._tell(saving.asked, Fate.UNKNOWN, _TAKEN)
            self._tell(saving.waiting, Fate.REFUSED, _TAKEN)
            if saving.ended:
                entry.out = False
                entry.outcome = OK  # the error of a failed one keeps its frames alive
        partition.stored.saving.clear()

    # --- asked -----------------------------------------------------------------------------------

    def _asked(self, asked: SaveAsked, now: float) -> None:
        entry = asked.entry
        if why := self._why_not(entry, now):
            self._tell([asked], Fate.REFUSED, why)
        elif (saving := _find(entry)) is not None:
            saving.waiting.append(asked)
        else:
            self._begin(entry, [asked], now)

    def _why_not(self, entry: Entry, now: float) -> str:
        """Why nothing may be written of a call, or ""."""
        if entry.partition.closed:
            return _TAKEN
        saving = _find(entry)
        if not entry.out or (saving is not None and saving.ended):
            return "the attempt has ended"
        if entry.cancelled:
            return _CANCELLED
        return "" if self._leased(now) else _UNHEARD

    def _begin(self, entry: Entry, asked: list[SaveAsked], now: float) -> None:
        if entry.row is None:
            # From now on its end is one of a call of the store, because the log may have it.
            entry.row = row_of(entry, now, relaxed=entry.loose)
            entry.rank = entry.row.rank
        row = msgspec.structs.replace(row_of(entry, now), due_ms=entry.row.due_ms)
        self._write(entry, asked, row)

    def _write(self, entry: Entry, asked: list[SaveAsked], row: Row) -> Saving:
        saving = Saving(msgspec.structs.replace(row, state=asked[-1].state), asked)
        entry.partition.stored.saving[entry] = saving
        self._command(Save(entry, saving.row))
        return saving

    # --- answered --------------------------------------------------------------------------------

    def _saved(self, entry: Entry, saving: Saving, row: Row, now: float) -> None:
        partition = entry.partition
        assert entry.row is not None
        if entry.row.offset < 0:
            partition.hand_over(entry)
            partition.stored.rows[row.offset] = entry
            entry.row = row
        else:
            # It is known by the offset with which it was given out.
            entry.row = msgspec.structs.replace(row, offset=entry.row.offset)
        saving.written = True
        if saving.ended:
            self._let_go(entry, "the attempt has ended")
            self._finished([entry], now)

    def _certain(self, entry: Entry, now: float) -> None:
        saving = _take(entry)
        assert saving is not None
        if entry.cancelled:
            self._tell(saving.asked, Fate.UNKNOWN, _CANCELLED)
        elif not self._leased(now):
            # Another worker may have begun it meanwhile, and not know of this.
            self._tell(saving.asked, Fate.UNKNOWN, _UNHEARD)
        else:
            self._tell(saving.asked, Fate.SAVED)
        self._go_on(entry, saving, now)

    def _let_go(self, entry: Entry, why: str) -> None:
        """Nobody waits for what is being saved any more."""
        saving = _take(entry)
        assert saving is not None
        self._tell(saving.asked, Fate.UNKNOWN, why)
        self._tell(saving.waiting, Fate.REFUSED, why)

    def _failed(self, entry: Entry, why: str, now: float) -> None:
        """The log has not taken a state, for certain."""
        saving = _take(entry)
        assert saving is not None
        assert entry.row is not None
        if entry.row.offset < 0:
            entry.row = entry.rank = None  # it is of the queue, as before
        self._tell(saving.asked, Fate.FAILED, why)
        self._go_on(entry, saving, now)

    def _go_on(self, entry: Entry, saving: Saving, now: float) -> None:
        """Nothing of a call is on its way any more: save what was asked for since, or end."""
        if saving.ended:
            self._tell(saving.waiting, Fate.REFUSED, "the attempt has ended")
            self._finished([entry], now)
            return
        if saving.waiting and (why := self._why_not(entry, now)):
            self._tell(saving.waiting, Fate.REFUSED, why)
        elif saving.waiting:
            self._begin(entry, saving.waiting, now)

    def _tell(self, asked: Sequence[SaveAsked], fate: Fate, why: str = "") -> None:
        for one in asked:
            self._command(SaveAnswered(one, fate, why))


_TAKEN = "its partition was taken away from this worker"
_CANCELLED = "somebody has cancelled the call"
_UNHEARD = "the group has not been heard from for so long that another worker may have the call"


def _find(entry: Entry) -> Saving | None:
    """What is being saved of a call."""
    return entry.partition.stored.saving.get(entry)


def _take(entry: Entry) -> Saving | None:
    return entry.partition.stored.saving.pop(entry, None)
