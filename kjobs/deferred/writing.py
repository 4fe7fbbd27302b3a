"""What this worker writes to the log of a partition, until it is known what became of it.

Some records the scheduler orders, and learns what becomes of them; for others the shelf *wishes*, and the
scheduler does not know of them. Of one call only one record is on its way at a time, whichever it is. One
that was refused may be in the log all the same.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..core.deferred import Answered, Change, End, Move, Row, Verdict, moved
from .hands import Hands


class Writing:
    """What is on its way, and what is known of what is there.

    Args:
        owner: epoch and name of the assignment.
        known_to: how far the log was ever read.
        hands: the calls that the scheduler has.

    Attributes:
        owner: as above.
        known_to: as above.
        wishes: what is to be written to the log, in this order.
    """

    def __init__(self, owner: tuple[int, str], known_to: int, hands: Hands) -> None:
        self.owner = owner
        self.known_to = known_to
        self.wishes: list[Change] = []
        self._hands = hands
        #: Calls of which a record is on its way: that the scheduler ordered, that says once more what is so,
        #: that moves it (with the request); with the offset of the record that it goes on from.
        self._ordered: set[str] = set()
        #: Those of them that stay in the scheduler's hands when it is written.
        self._staying: set[str] = set()
        self._repeating: dict[str, int] = {}
        self._promised: dict[str, tuple[str, int]] = {}
        #: Calls of which a record that the scheduler ordered was refused, and is going to be ordered again.
        self._refused: set[str] = set()
        #: Such records that are in the log though nobody has acknowledged them, or not yet.
        self._unsure: dict[int, str] = {}
        #: What is acknowledged and not read yet: offsets, and of ends by id what they end.
        self._acked: set[int] = set()
        self._ended: dict[str, tuple[int, int | None]] = {}

    def begin_anew(self) -> None:
        """The log is read again."""
        self._acked.clear()
        self._unsure.clear()

    def safe(self, position: int) -> int:
        """From where on the log is to be read by whoever comes next, if it is read here up to a position."""
        return min([position, *self._unsure])

    # --- what is on its way ----------------------------------------------------------------------

    def may_follow(self, call_id: str, of: int) -> bool:
        """Whether a record of a call may be written now that goes on from the one at an offset.

        No other record of it may be on its way, and the one that it goes on from must have been read: there
        may be another one of an enqueuer before that.
        """
        return of < self.known_to and not self.is_busy(call_id)

    def is_busy(self, call_id: str) -> bool:
        """Whether a record of a call is on its way."""
        return call_id in self._ordered or call_id in self._repeating or call_id in self._promised

    def is_open(self, call_id: str) -> bool:
        """Whether something written of a call is on its way, refused, or not acknowledged."""
        return self.is_busy(call_id) or call_id in self._refused or self.is_unsure(call_id)

    def is_unsure(self, call_id: str) -> bool:
        """Whether the log has a record of a call that nobody has acknowledged, or not yet."""
        return call_id in self._unsure.values()

    # --- orders ----------------------------------------------------------------------------------

    def sign(self, change: Row | End, *, stays: bool) -> Row | End:
        """A change as this owner writes it, in the knowledge of what it goes on from; it is on its way.

        ``stays``: the call stays in the scheduler's hands.
        """
        of = change.of if change.of is None or change.of < 0 else self._hands.now(change.of)
        self._ordered.add(change.id)
        (self._staying.add if stays else self._staying.discard)(change.id)
        return replace(change, owner=self.owner, of=of)

    def refused(self, change: Row | End) -> None:
        """The log has not taken what the scheduler ordered, as far as is known."""
        self._ordered.discard(change.id)
        self._refused.add(change.id)

    def withdrawn(self, change: Row | End) -> None:
        """The log has not taken what the scheduler ordered, for certain."""
        self._ordered.discard(change.id)

    def stays(self, change: Row | End) -> bool:
        """Whether a call of which a record is on its way stays in the scheduler's hands."""
        return change.id in self._staying

    def arrived(self, call_id: str) -> None:
        """What was ordered of a call is in the log; it was read before, and what comes of it is known."""
        self._ordered.discard(call_id)

    def landed(self, call_id: str) -> list[int]:
        """What was ordered of a call is in the log.

        Returns:
            The offsets at which it was read without being sure of it.
        """
        self._ordered.discard(call_id)
        self._staying.discard(call_id)
        self._refused.discard(call_id)
        return self._forget_unsure(call_id)

    def give_up(self, call_id: str) -> None:
        """The scheduler will not order again what was refused of a call."""
        self._refused.discard(call_id)
        self._forget_unsure(call_id)

    def _forget_unsure(self, call_id: str) -> list[int]:
        offsets = [offset for offset, name in self._unsure.items() if name == call_id]
        for offset in offsets:
            del self._unsure[offset]
        return offsets

    # --- wishes ----------------------------------------------------------------------------------

    def say(self, request: str, verdict: Verdict) -> None:
        """Answer a request, if somebody waits for an answer."""
        if request:
            self.wishes.append(Answered(request=request, verdict=verdict))

    def repeat(self, call_id: str, row: Row | None, of: int) -> None:
        """Say once more what is so of a call.

        Args:
            call_id: the call.
            row: the call as it is; None if it has ended.
            of: the offset of the record that this one goes on from.
        """
        if row is None:
            self.wishes.append(End(id=call_id, of=of, owner=self.owner))
        else:
            self.wishes.append(replace(row, owner=self.owner, of=of, offset=-1))
        self._repeating[call_id] = of

    def promise(self, row: Row, move: Move) -> None:
        """Move a call as somebody wished; whoever did is answered once the log has it."""
        self._promised[row.id] = move.request, row.offset
        self.wishes.append(replace(moved(row, move.due_ms), owner=self.owner))

    def wish_again(self, wish: Change) -> None:
        """The log has not taken a wish, as far as is known."""
        if not isinstance(wish, Row | End) or self._is_pending(wish):
            self.wishes.append(wish)  # or else it was read since: it is there all the same

    def drop(self, change: Row | End) -> None:
        """A wish is in the log, and need not be written again if it was refused."""
        self.wishes = [wish for wish in self.wishes if not _is_same(wish, change)]

    def keep_promise(self, change: Row | End) -> bool:
        """If what is in the log moves a call as somebody wished, tell who did; whether it is so."""
        if not self._is_promised(change):
            return False
        self.say(self._promised.pop(change.id)[0], Verdict.MOVED)
        return True

    def end_repeat(self, change: Row | End) -> bool:
        """If what is in the log says once more what is so, wait for it no longer; whether it is so."""
        if not self._is_repeated(change):
            return False
        del self._repeating[change.id]
        return True

    def _is_pending(self, change: Row | End) -> bool:
        """Whether it is about a wish that is not known to be in the log."""
        return self._is_promised(change) or self._is_repeated(change)

    def _is_promised(self, change: Row | End) -> bool:
        """Whether it moves a call as somebody wished."""
        return self._promised.get(change.id, ("", None))[1] == change.of is not None

    def _is_repeated(self, change: Row | End) -> bool:
        """Whether it says once more what is so."""
        return self._repeating.get(change.id, -2) == change.of

    # --- what is acknowledged --------------------------------------------------------------------

    def confirm(self, change: Row | End) -> bool:
        """If what is acknowledged was read and set aside, do so no longer; whether it was."""
        return self._unsure.pop(change.offset, None) is not None

    def expect(self, change: Row | End) -> None:
        """What is acknowledged is going to be read."""
        self._acked.add(change.offset)
        if isinstance(change, End):
            of = None if change.of is None else self._hands.now(change.of)
            self._ended[change.id] = (change.offset, of)

    def is_ended(self, row: Row) -> bool:
        """Whether an end of a call is acknowledged, and not read (again) yet."""
        if row.id not in self._ended:
            return False
        offset, of = self._ended[row.id]
        if offset < row.offset:
            return False
        # One that goes on from before what was ended never counted against that.
        return of is None or of >= row.offset or 0 <= row.of < of

    # --- what is read ----------------------------------------------------------------------------

    def meet(self, change: Row | End) -> bool:
        """If what is read is what was expected, do so no longer; whether it is."""
        if change.offset not in self._acked:
            return False
        self._acked.discard(change.offset)
        return True

    def recall(self, end: End) -> End | None:
        """An end that is read and was acknowledged, with what it ended then; None if it is not that one."""
        offset, of = self._ended.get(end.id, (-1, None))
        if offset != end.offset:
            return None
        del self._ended[end.id]
        return replace(end, of=of)

    def is_limbo(self, change: Row | End) -> bool:
        """Whether the scheduler ordered what is read, and does not know yet that it is there.

        If it never does, because it was refused, it will order the same again.
        """
        if change.id not in self._ordered and change.id not in self._refused:
            return False
        first = change.of is not None and change.of < 0
        return not self._hands.knows(change.offset) and (first or self._hands.knows(change.of))

    def set_aside(self, change: Row | End) -> None:
        """What is read is not to be counted until it is acknowledged."""
        self._unsure[change.offset] = change.id

    def is_wished(self, change: Row | End) -> bool:
        """Whether what is read comes from ``wishes``, and not from the scheduler."""
        if not self._is_pending(change):
            return False
        return change.id not in self._ordered or not self._hands.knows(change.of)


def _is_same(wish: Change, change: Row | End) -> bool:
    return isinstance(wish, Row | End) and (wish.id, wish.of) == (change.id, change.of)
