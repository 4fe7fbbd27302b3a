"""What a test holds in its hand: the calls that were enqueued, and the means to run them."""

from __future__ import annotations

from ..app import App
from ..worker.report import Totals
from .asserts import Asserts
from .calls import DeadCall, RecordedCall
from .clock import FrozenClock
from .log import Log
from .misuse import Misuse
from .stepper import Stepper


class Queue(Asserts):
    """All queues of an app, in memory; made by :func:`kjobs.testing.inline` and :func:`kjobs.testing.manual`.

    Attributes:
        clock: what delays, expiries, deadlines and backoffs go by.
    """

    def __init__(self, app: App, log: Log, stepper: Stepper, clock: FrozenClock) -> None:
        super().__init__(app, log.calls, stepper.dead)
        self.clock = clock
        self._stepper = stepper
        self._closed = False

    def __repr__(self) -> str:
        return f"<Queue with {len(self._calls)} calls, {len(self._dead)} of them dead>"

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls of all queues in the order they were enqueued, also those that are done."""
        return list(self._calls)

    @property
    def dead(self) -> list[DeadCall]:
        """The dead letters of all queues, the oldest first."""
        return list(self._dead)

    def drain(self, *, advance: bool = True) -> Totals:
        """Run the calls that were enqueued, those that they enqueue, and all retries.

        Calls run one after another in the calling thread. ``async def`` jobs run in an event loop of the
        queue's own; where one runs already, :meth:`adrain` runs them in that.

        Args:
            advance: let the clock skip to the next retry or delayed call whenever nothing is due. If False,
                only what is due now runs.

        Returns:
            What became of calls: ``done``, ``failed`` attempts, ``retried``, ``dead``, ``dropped``.

        Raises:
            Misuse: a job called this; or the calls have no end.
        """
        before = self._ready()
        if not self._stepper.run(advance=advance):
            raise _running_already("drain")
        return self._stepper.totals - before

    async def adrain(self, *, advance: bool = True) -> Totals:
        """Run the calls as :meth:`drain` does, ``async def`` jobs in the running event loop."""
        before = self._ready()
        if not await self._stepper.arun(advance=advance):
            raise _running_already("adrain")
        return self._stepper.totals - before

    def close(self) -> None:
        """Run no more calls, at the end of the ``with`` block. What there was can be looked at still."""
        self._closed = True
        self._stepper.close()

    def _ready(self) -> Totals:
        if self._closed:
            raise Misuse(
                "the with block of this queue has ended, and what its jobs enqueued would go to Kafka. "
                "Drain it inside the block."
            )
        return self._stepper.totals


def _running_already(what: str) -> Misuse:
    return Misuse(
        f"{what}() was called while calls of this queue run, by a job or by another thread or task. The one "
        "that is at it runs everything, also what is enqueued meanwhile."
    )
