"""How a call in a cell has its states saved: by the worker, which is asked through the cell's socket."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time

from msgspec.structs import replace

from ...core.partition import Entry
from ...errors import CheckpointFailed, CheckpointRefused
from ..saves import PATIENCE
from . import wire

#: Seconds that a thread waits in one go: only between two waits it can be told that its time is up.
_SLICE = 0.1
#: Seconds beyond the worker's patience after which its answer is not waited for any more.
_LONGER = 5.0


class CellSaver:
    """Asks the worker; a :class:`kjobs.core.ports.Saver`.

    Args:
        connection: to the worker.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        #: The call that runs; nothing is asked for another one.
        self._entry: Entry | None = None
        self._sending = threading.Lock()
        self._number = 0
        self._answers: queue.SimpleQueue[wire.SaveAnswered] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def begin(self, entry: Entry) -> None:
        """A call begins."""
        self._entry = entry

    def end(self, answer: wire.Answer) -> None:
        """It has ended: tell the worker how. What it has left running may not speak for the next one."""
        with self._sending:
            self._entry = None
            wire.send(self._connection, answer)

    def save(self, entry: Entry, state: bytes) -> None:
        """Have a state saved, and wait for that."""
        with self._lock:  # tasks of one call may ask at once
            self._number += 1
            with self._sending:
                if entry is not self._entry:
                    raise CheckpointRefused("checkpoint(): the attempt has ended. The state is not stored.")
                wire.send(self._connection, wire.Save(self._number, state))
            answer = self._await(self._number)
        if answer is None:
            raise CheckpointFailed("checkpoint(): the worker does not answer", definite=False)
        if answer.error == CheckpointRefused.__name__:
            raise CheckpointRefused(answer.text)
        if answer.error:
            raise CheckpointFailed(answer.text, definite=answer.definite)
        assert entry.row is not None
        entry.row = replace(entry.row, state=state)

    async def asave(self, entry: Entry, state: bytes) -> None:
        """Have a state saved, and wait for that, in a task."""
        await asyncio.to_thread(self.save, entry, state)

    def answer(self, answer: wire.SaveAnswered) -> None:
        """The worker answers."""
        self._answers.put(answer)

    def _await(self, number: int) -> wire.SaveAnswered | None:
        """The answer to a request; None if there is none. Those to earlier ones nobody waits for."""
        until = time.monotonic() + PATIENCE + _LONGER
        while time.monotonic() < until:
            try:
                answer = self._answers.get(timeout=_SLICE)
            except queue.Empty:
                continue
            if answer.number == number:
                return answer
        return None
