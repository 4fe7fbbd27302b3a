"""A process that enqueues: ``python -m tests.torture.caller_process NAME SEED``.

Everything that the brokers acknowledge is written down at once. It goes on until SIGTERM, as fast as the
file ``pace`` says, in calls per second.
"""

from __future__ import annotations

import os
import queue
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from kjobs import App, BatchError, EnqueueError, Handle, Job
from kjobs.handle import row_id
from tests.proof import history as h
from tests.torture.draws import Draw, Draws
from tests.torture.jobs import RELAXED, declare
from tests.torture.ledger import Ledger
from tests.torture.lifeline import tie

#: Wishes that may be waiting for an answer before no more are made.
_WISHES = 200


class Caller:
    """Enqueues calls, and writes down what became of them.

    Args:
        name: of this process.
        seed: of the draws.
        root: the run's folder.
    """

    def __init__(self, name: str, seed: int, root: Path) -> None:
        self._name = name
        self._root = root
        self._app = App()
        self._jobs = declare(self._app)._asdict()
        self._draws = Draws(name, random.Random(seed))
        self._ledger = Ledger(name, self._app.names, h.Recorder(root / "histories" / f"{name}.jsonl"))
        self._ids = count(1)
        self._ended = threading.Event()
        self._wishes: queue.Queue[tuple[Handle, float | None]] = queue.Queue(_WISHES)

    def run(self) -> None:
        """Enqueue until stopped."""
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        asking = threading.Thread(target=self._ask, name="wishes", daemon=True)
        asking.start()
        due = time.monotonic()
        while not self._ended.is_set():
            pace = self._pace()
            if pace <= 0:
                self._ended.wait(0.2)
                due = time.monotonic()
                continue
            bunch = self._draws.bunch()
            if len(bunch) == 1:
                self._single(bunch[0])
            elif bunch[0].many:
                self._many(bunch)
            else:
                self._batch(bunch)
            # What was not done while the brokers were away is not made up for.
            due = max(due + len(bunch) / pace, time.monotonic() - 1.0)
            self._ended.wait(max(0.0, due - time.monotonic()))
        self._wishes.join()
        self._app.close()

    def _pace(self) -> float:
        try:
            return float((self._root / "pace").read_text())
        except (OSError, ValueError):
            return 0.0  # it is being written

    # --- enqueueing --------------------------------------------------------------------------------

    def _single(self, draw: Draw) -> None:
        call_id, seq = self._next(draw)
        try:
            handle = self._job(draw).options(id=call_id, **_options(draw)).delay(draw.script, draw.length)
        except EnqueueError as error:
            self._ledger.failed(error)
            return
        self._ledger.acknowledged([handle], [seq])
        if draw.wish is not None:
            with suppress(queue.Full):
                self._wishes.put_nowait((handle, draw.wish if draw.wish >= 0 else None))

    def _batch(self, bunch: list[Draw]) -> None:
        """Several calls of any jobs and keys, waited for once."""
        numbers: list[int] = []
        handles: list[Handle] = []
        try:
            with self._app.batch():
                for draw in bunch:
                    call_id, seq = self._next(draw)
                    numbers.append(seq)
                    enqueue = self._job(draw).options(id=call_id, **_options(draw))
                    handles.append(enqueue.delay(draw.script, draw.length))
        except BatchError as error:
            self._ledger.partly(error, numbers)
        else:
            self._ledger.acknowledged(handles, numbers)

    def _many(self, bunch: list[Draw]) -> None:
        """Several calls of one job and key, of which kjobs makes the ids."""
        first = bunch[0]
        numbers = [self._ledger.number() for _ in bunch]
        options = {**_options(first), "key": first.key}
        calls = [(draw.script, draw.length) for draw in bunch]
        try:
            handles = self._job(first).options(**options).delay_many(calls)
        except BatchError as error:
            self._ledger.partly(error, numbers)
        else:
            self._ledger.acknowledged(handles, numbers)

    def _job(self, draw: Draw) -> Job[..., Any]:
        found: Job[..., Any] = self._jobs[draw.job]
        return found

    def _next(self, draw: Draw) -> tuple[str, int]:
        prefix = RELAXED if draw.job == "yielding" else ""
        return f"{prefix}{self._name}.{next(self._ids)}", self._ledger.number()

    # --- wishes ------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Cancel calls, and move them to another time; in a thread, because answers may take long."""
        for handle, delay in iter(self._wishes.get, None):
            try:
                verdict = handle.cancel() if delay is None else handle.reschedule(delay=delay)
                self._ledger.told(row_id(handle), verdict.value)
            except EnqueueError:
                pass  # the wish may be in the log, or not; nobody was told anything
            finally:
                self._wishes.task_done()


def _options(draw: Draw) -> dict[str, Any]:
    options = {"key": draw.key, "queue": draw.queue, "delay": draw.delay, "expires": draw.expires}
    return {name: value for name, value in options.items() if value is not None}


if __name__ == "__main__":
    tie(Path(os.environ["KJOBS_TEST_DESK"]))
    Caller(sys.argv[1], int(sys.argv[2]), Path(os.environ["KJOBS_TEST_HISTORY"])).run()
