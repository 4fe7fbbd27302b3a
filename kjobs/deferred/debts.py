"""What is owed to the log of a partition: records that say what is so, and answers.

Until it is paid, the position in the log stays before it, so that whoever comes next owes it as well.
"""

from __future__ import annotations


class Debts:
    """What the log does not say and should."""

    def __init__(self) -> None:
        #: By id, where the log does not say what is so: the first and the last such record.
        self._owed: dict[str, tuple[int, int]] = {}
        #: Requests that are not answered in the log, with their offsets.
        self._requests: dict[str, int] = {}

    def begin_anew(self) -> None:
        """The log is read again, and where it does not say what is so is found again."""
        self._owed.clear()

    def safe(self, position: int) -> int:
        """From where on the log is to be read by whoever comes next, if it is read here up to a position."""
        owed = (first for first, _ in self._owed.values())
        return min([position, *self._requests.values(), *owed])

    # --- calls -----------------------------------------------------------------------------------

    def owe(self, call_id: str, offset: int, since: int | None = None) -> None:
        """The record at this offset is the last one of a call, and does not say what is so.

        Args:
            call_id: the call.
            offset: of the record.
            since: where the log says what is so, if that is not met by whoever reads from this record on.
        """
        first, last = self._owed.get(call_id, (offset, offset))
        self._owed[call_id] = (min(first, offset if since is None else since), max(last, offset))

    def paid(self, call_id: str, upto: int) -> None:
        """The log says what is so of a call, whatever its records up to this offset say."""
        if self._owed.get(call_id, (0, -1))[1] <= upto:
            self._owed.pop(call_id, None)

    def owes(self, call_id: str) -> bool:
        """Whether the log does not say what is so of a call."""
        return call_id in self._owed

    def owed(self) -> list[tuple[str, int]]:
        """The calls of which a record is owed, and the last one of each that does not say what is so."""
        return [(call_id, last) for call_id, (_, last) in self._owed.items()]

    # --- answers ---------------------------------------------------------------------------------

    def owe_answer(self, request: str, offset: int) -> None:
        """Somebody waits for an answer to the request at this offset."""
        self._requests.setdefault(request, offset)

    def owes_answer(self, request: str) -> bool:
        """Whether a request is not answered in the log."""
        return request in self._requests

    def answered(self, request: str) -> None:
        """A request is answered in the log, or is read again."""
        self._requests.pop(request, None)
