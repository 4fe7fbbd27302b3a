"""Serves the delivery reports of a producer: in a thread of its own, or in that of a sender who waits.

A report that another thread takes costs a switch between threads, a good part of the time of an
acknowledged send. So a sender that has to wait takes reports itself, unless somebody does already.
Reports are taken by one thread at a time, so what they do needs no lock.
"""

from __future__ import annotations

import threading
import time
from typing import Any

#: Seconds of one look for reports: a thread in it does not hear of signals.
_LOOK = 0.1
#: Seconds between two looks for errors while nothing is on its way.
_IDLE_LOOK = 1.0


class Reports:
    """Takes reports until it is closed.

    Args:
        client: the producer's client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        # The thread that takes reports now, if there is one. setdefault() and del are atomic.
        self._taker: dict[str, int] = {}
        self._wanted = threading.Event()
        self._closing = False
        self._close_by = 0.0
        self._thread = threading.Thread(target=self._take_all, name="kjobs-delivery", daemon=True)
        self._thread.start()

    def expect(self) -> None:
        """Reports will come that nobody waits for in :meth:`wait`."""
        if not self._wanted.is_set():
            self._wanted.set()

    def wait(self, known: threading.Lock, timeout: float) -> bool:
        """Wait until ``known`` can be acquired, which a report releases; whether it was in time."""
        until = time.monotonic() + timeout
        try:
            if not self._takes():
                return known.acquire(timeout=max(0.0, timeout))
            while not known.acquire(blocking=False):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._client.poll(min(left, _LOOK))
            return True
        finally:
            # The length is looked at last: whoever came before that waits, and counts on somebody.
            if self._ends() and len(self._client):
                self.expect()

    def _takes(self) -> bool:
        """Begin to take reports, if nobody does."""
        me = threading.get_ident()
        return self._taker.setdefault("", me) == me

    def _ends(self) -> bool:
        """Take reports no longer; whether this thread did.

        By what is, not by what was remembered: an exception from outside, of a time limit or a signal, may
        come at any place, also just after a taker was entered.
        """
        mine = self._taker.get("") == threading.get_ident()
        if mine:
            del self._taker[""]
        return mine

    def _look(self, seconds: float) -> bool:
        try:
            if not self._takes():
                return False
            self._client.poll(seconds)
            return True
        finally:
            self._ends()

    def _take_all(self) -> None:
        while not self._closing or (len(self._client) and time.monotonic() < self._close_by):
            if len(self._client) and self._look(_LOOK):
                continue
            self._wanted.clear()
            # Looked at after that: what comes from now on sets it again.
            if len(self._client) and not self._taker:
                continue
            if not self._wanted.wait(_IDLE_LOOK):
                self._look(0)

    def close(self, timeout: float) -> int:
        """Wait for reports that are due, stop, and return how many did not come in time."""
        self._close_by = time.monotonic() + timeout
        self._closing = True
        self._wanted.set()
        self._thread.join(timeout + 1.0)
        return len(self._client)
