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
from pathlib import Path
from typing import Any

from kjobs import App, BatchError, EnqueueError, Handle, Job
from kjobs.handle import row_id
from tests.proof import history as h
from tests.torture.draws import Draw, Draws
from tests.torture.jobs import RELAXED, declare

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
        self._recorder = h.Recorder(root / "histories" / f"{name}.jsonl")
        self._anchor = time.time() - time.monotonic()
        self._seq = 0
        self._ids = 0
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
            self._failed(error)
            return
        self._acknowledged(handle, seq)
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
            self._partly(error, numbers)
        else:
            self._all(handles, numbers)

    def _many(self, bunch: list[Draw]) -> None:
        """Several calls of one job and key, of which kjobs makes the ids."""
        first = bunch[0]
        numbers = [self._number() for _ in bunch]
        options = {**_options(first), "key": first.key}
        calls = [(draw.script, draw.length) for draw in bunch]
        try:
            handles = self._job(first).options(**options).delay_many(calls)
        except BatchError as error:
            self._partly(error, numbers)
        else:
            self._all(handles, numbers)

    def _job(self, draw: Draw) -> Job[..., Any]:
        found: Job[..., Any] = self._jobs[draw.job]
        return found

    def _next(self, draw: Draw) -> tuple[str, int]:
        self._ids += 1
        prefix = RELAXED if draw.job == "yielding" else ""
        return f"{prefix}{self._name}.{self._ids}", self._number()

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    # --- what became of it -------------------------------------------------------------------------

    def _all(self, handles: list[Handle], numbers: list[int]) -> None:
        self._recorder.record(*map(self._event, handles, numbers))

    def _partly(self, error: BatchError, numbers: list[int]) -> None:
        failures = dict(error.failures)
        for index, handle in enumerate(error.handles):
            if index in failures:
                self._failed(failures[index], handle.id)
            else:
                self._acknowledged(handle, numbers[index])

    def _acknowledged(self, handle: Handle, seq: int) -> None:
        self._recorder.record(self._event(handle, seq))

    def _event(self, handle: Handle, seq: int) -> h.Event:
        assert handle.partition is not None
        assert handle.offset is not None
        now = time.monotonic()
        topic = self._app.names.queue(handle.queue)
        key = None if handle.key is None else handle.key.encode()
        if handle.due_ms is None:
            return h.Enqueued(
                now,
                self._name,
                call=handle.id,
                place=(topic, handle.partition),
                offset=handle.offset,
                key=key,
                producer=self._name,
                seq=seq,
            )
        return h.Scheduled(
            now,
            self._name,
            call=handle.id,
            name=handle.id,
            place=(self._app.names.delayed(handle.queue), handle.partition),
            offset=handle.offset,
            key=key,
            due=handle.due_ms / 1000 - self._anchor,
        )

    def _failed(self, error: EnqueueError, call_id: str = "") -> None:
        kind = h.EnqueueFailed if error.definite else h.EnqueueUnknown
        self._recorder.record(kind(time.monotonic(), self._name, call=call_id or error.call_id))

    # --- wishes ------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Cancel calls, and move them to another time; in a thread, because answers may take long."""
        for handle, delay in iter(self._wishes.get, None):
            try:
                verdict = handle.cancel() if delay is None else handle.reschedule(delay=delay)
                name = row_id(handle)
                told = h.Told(time.monotonic(), self._name, request=f"?{name}", verdict=verdict.value)
                self._recorder.record(told)
            except EnqueueError:
                pass  # the wish may be in the log, or not; nobody was told anything
            finally:
                self._wishes.task_done()


def _options(draw: Draw) -> dict[str, Any]:
    options = {"key": draw.key, "queue": draw.queue, "delay": draw.delay, "expires": draw.expires}
    return {name: value for name, value in options.items() if value is not None}


if __name__ == "__main__":
    Caller(sys.argv[1], int(sys.argv[2]), Path(os.environ["KJOBS_TEST_HISTORY"])).run()
