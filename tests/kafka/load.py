"""Calls that keep coming while a test does something else."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from kjobs import EnqueueError
from tests.kafka.scenario import Scenario


class Load:
    """Enqueues calls in a thread, one after the other, for as long as the block runs.

    Args:
        scenario: where to.
        pause: seconds between two calls.
        keys: how many ordering keys are used; some calls have none.
        length: seconds that a call takes, at most.
        scripts: what the calls do; one is drawn for each.
        delays: seconds by which calls are delayed, or None; one is drawn for each.
        drifting: half of the calls run in the event loop.
        seed: of the draws.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        pause: float = 0.004,
        keys: int = 12,
        length: float = 0.01,
        scripts: tuple[str, ...] = ("ok",),
        delays: tuple[float | None, ...] = (None,),
        drifting: bool = False,
        seed: int = 1,
    ) -> None:
        self._scenario = scenario
        self._pause = pause
        self._keys = [None, *(f"key-{number}" for number in range(keys))]
        self._length = length
        self._scripts = scripts
        self._delays = delays
        #: The ids of the calls that Kafka has.
        self.enqueued: list[str] = []
        self._jobs = [scenario.jobs.act, scenario.jobs.drift] if drifting else [scenario.jobs.act]
        self._draw = random.Random(seed)
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        draw = self._draw
        try:
            while not self._ended.wait(self._pause):
                length = draw.uniform(0.0, self._length)
                with suppress(EnqueueError):  # it is written down
                    job = draw.choice(self._jobs)
                    script, key = draw.choice(self._scripts), draw.choice(self._keys)
                    delay = draw.choice(self._delays)
                    handle = self._scenario.enqueue(script, length, job=job, key=key, delay=delay)
                    self.enqueued.append(handle.id)
        except BaseException as error:
            self._failure = error
