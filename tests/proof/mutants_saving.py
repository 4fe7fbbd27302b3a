"""Mutants of what has to do with states that running calls save."""

from __future__ import annotations

from typing import Final

from .mutant import Mutant

SAVING: Final = (
    Mutant(
        "state-lost-with-the-retry",
        "a retry goes on with what was saved",
        "core/transfer.py",
        "            rank=entry.rank,\n            topic_id",
        "            rank=entry.rank,\n            state=None,\n            topic_id",
    ),
    Mutant(
        "saved-without-its-place",
        "a call that saves keeps its place in the order of its key",
        "core/saving.py",
        "            entry.rank = entry.row.rank\n",
        "",
    ),
    Mutant(
        "told-before-it-is-written",
        "a call is told that a state is saved when it is",
        "core/saving.py",
        "            self._begin(entry, [asked], now)\n\n    def _why_not",
        "            self._begin(entry, [asked], now)\n            self._tell([asked], Fate.SAVED)\n\n"
        "    def _why_not",
    ),
    Mutant(
        "told-when-it-is-acknowledged",
        "a call is told that a state is saved when every reader takes it for it",
        "deferred/shelf.py",
        "        if not self.caught_up or self._writing.is_busy(call_id) or self._debts.owes(call_id):\n"
        "            return False\n        now",
        "        return True\n        now",
        test="tests/deferred/test_shelf_saving.py",
    ),
    Mutant(
        "told-without-a-lease",
        "a call is not told that a state is saved when another worker may have it",
        "core/saving.py",
        "elif not self._leased(now):",
        "elif False:",
        test="tests/core/test_saving.py",
    ),
    Mutant(
        "saved-by-whoever-had-it",
        "nothing is written of a call when its partition is gone",
        "core/saving.py",
        "        if entry.partition.closed:\n            return _TAKEN\n",
        '        if entry.partition.closed:\n            return ""\n',
        test="tests/core/test_saving.py",
    ),
    Mutant(
        "end-does-not-wait-for-the-state",
        "the end of an attempt waits for what is being written of its call",
        "core/saving.py",
        "        saving.ended = True\n        entry.out = True\n        return True\n",
        "        return False\n",
    ),
    Mutant(
        "saved-call-is-given-out",
        "a call that saves stays in the hands of its worker",
        "deferred/stock.py",
        "        self.apply(plain, events)\n        self.store.hold([row.offset])\n\n    def placed",
        "        self.apply(plain, events)\n\n    def placed",
    ),
    Mutant(
        "earlier-owner-outdoes-a-later-one",
        "what an earlier owner writes after a later one does not count",
        "core/deferred.py",
        "change.owner[0] < row.owner[0]",
        "False",
        test="tests/deferred/test_shelf_saving.py",
    ),
    Mutant(
        "queue-keeps-what-it-saved",
        "a call that has saved is finished in the queue, and runs from one of the two only",
        "core/saving.py",
        "            partition.hand_over(entry)\n",
        "",
    ),
    Mutant(
        "refused-state-is-forgotten",
        "what may be in the log is written again, until it is known",
        "core/saving.py",
        "case NotSaved(entry=entry, definite=True) if (saving := _find(entry)) and not saving.unsure:",
        "case NotSaved(entry=entry) if _find(entry):",
        test="tests/core/test_saving.py",
    ),
)
