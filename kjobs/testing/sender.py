"""Takes an app's calls in place of Kafka."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..core.deferred import Verdict
from ..core.identity import uuid7
from ..errors import BatchError, CallTooLarge, EnqueueError
from ..handle import Handle
from ..job import Call
from ..sender import Batch, check_size
from .clock import FrozenClock
from .log import Log
from .stepper import Stepper

#: Of the 74 bits of an id that are random elsewhere, those that are random here.
_RANDOM_BITS = 50


class FrozenIds:
    """Makes ids of calls by the test's clock, in the order of enqueueing also where it stands still."""

    def __init__(self, clock: FrozenClock) -> None:
        self._clock = clock
        self._count = 0

    def new_id(self) -> tuple[str, int]:
        """A new id for a call, and the time (ms since the epoch)."""
        now_ms = self._clock.milliseconds
        self._count += 1
        drawn = random.getrandbits(_RANDOM_BITS)
        return uuid7(now_ms, self._count << _RANDOM_BITS | drawn), now_ms


class MemorySender:
    """Records calls; a :class:`kjobs.sender.Transport`.

    Args:
        log: where to.
        largest: bytes of the largest call.
        stepper: has the calls that wait.
    """

    mode = "manual"

    def __init__(self, log: Log, largest: int, stepper: Stepper) -> None:
        self._log = log
        self._stepper = stepper
        self._largest = largest
        self._batch: ContextVar[Batch | None] = ContextVar("kjobs_testing_batch", default=None)

    def send(self, call: Call) -> Handle:
        """Record one call."""
        if not self._collected(call):
            self._log.append(call)
            self._sent()
        return call.handle

    async def asend(self, call: Call) -> Handle:
        """Record one call."""
        if not self._collected(call):
            self._log.append(call)
            await self._asent()
        return call.handle

    def send_many(self, calls: Iterable[Call]) -> list[Handle]:
        """Record calls.

        Raises:
            BatchError: some are too large.
        """
        handles: list[Handle] = []
        failures: list[tuple[int, EnqueueError]] = []
        for position, call in enumerate(calls):
            handles.append(call.handle)
            try:
                if not self._collected(call):
                    self._log.append(call)
            except CallTooLarge as error:
                failures.append((position, error))
        self._sent()
        if failures:
            raise BatchError(failures, handles)
        return handles

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect the calls enqueued inside and record them at the end; none of them if the block raises."""
        collected = Batch()
        outer = self._batch.set(collected)
        try:
            yield collected
        finally:
            self._batch.reset(outer)
        self.send_many(collected.calls)

    def cancel(self, handle: Handle) -> Verdict:
        """Let a call not run; see ``Handle.cancel``."""
        return self._stepper.cancel(handle)

    def reschedule(self, handle: Handle, due_ms: int) -> Verdict:
        """Let a call run at another time; see ``Handle.reschedule``."""
        return self._stepper.reschedule(handle, due_ms)

    def close(self) -> None:
        """Nothing waits to be sent."""

    def _collected(self, call: Call) -> bool:
        """Whether the call went into a batch that is open."""
        check_size(call, self._largest)
        batch = self._batch.get()
        if batch is None:
            return False
        batch.calls.append(call)
        return True

    def _sent(self) -> None:
        """Calls were recorded."""

    async def _asent(self) -> None:
        """Calls were recorded."""


class InlineSender(MemorySender):
    """Records calls and runs them at once.

    Args:
        log: where to.
        largest: bytes of the largest call.
        stepper: runs them.
        propagate: raise what ends a call as a dead letter.
    """

    mode = "inline"

    def __init__(self, log: Log, largest: int, stepper: Stepper, *, propagate: bool) -> None:
        super().__init__(log, largest, stepper)
        self._propagate = propagate

    def _sent(self) -> None:
        buried = len(self._stepper.dead)
        # A job that enqueues gets on; its calls run when it is through.
        if self._stepper.run(advance=True):
            self._raise_from(buried)

    async def _asent(self) -> None:
        buried = len(self._stepper.dead)
        if await self._stepper.arun(advance=True):
            self._raise_from(buried)

    def _raise_from(self, buried: int) -> None:
        """Raise the first error that ended a call, of the dead letters from there on."""
        if not self._propagate or len(self._stepper.dead) == buried:
            return
        first, *others = self._stepper.dead[buried:]
        first.error.add_note(f"kjobs.testing: raised by {first}")
        for other in others:
            first.error.add_note(f"kjobs.testing: also {other}")
        raise first.error
