"""The two ways to test: calls run at once, or when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..app import App, default_app
from ..config import Settings
from .clock import FrozenClock
from .log import Log
from .misuse import Misuse
from .queue import Queue
from .sender import FrozenIds, InlineSender, MemorySender
from .stepper import Stepper


@contextmanager
def inline(app: App | None = None, *, propagate: bool = True) -> Iterator[Queue]:
    """Run every call at once: when ``.delay()`` returns, the call and those it enqueued have ended.

    Retries are made, and the clock skips over delays and backoffs. Calls that a job enqueues run when
    that job is through, as they might in a worker.

    >>> with testing.inline():
    ...     send_email.delay(7)

    Args:
        app: whose calls; the default app's if not given.
        propagate: raise from ``.delay()`` what ends a call as a dead letter. If False, there is only
            the dead letter.

    Raises:
        Misuse: calls of this app go to a test already.
    """

    def sender(settings: Settings, log: Log, stepper: Stepper) -> MemorySender:
        return InlineSender(log, settings.max_size, stepper, propagate=propagate)

    with _in_place_of_kafka(app or default_app, "inline", sender) as queue:
        yield queue


@contextmanager
def manual(app: App | None = None) -> Iterator[Queue]:
    """Only record calls; ``queue.drain()`` runs them.

    >>> with testing.manual() as queue:
    ...     send_email.delay(7)
    ...     queue.assert_enqueued(send_email, 7)
    ...     queue.drain()

    Args:
        app: whose calls; the default app's if not given.

    Raises:
        Misuse: calls of this app go to a test already.
    """

    def sender(settings: Settings, log: Log, stepper: Stepper) -> MemorySender:
        return MemorySender(log, settings.max_size, stepper)

    with _in_place_of_kafka(app or default_app, "manual", sender) as queue:
        yield queue


@contextmanager
def _in_place_of_kafka(
    app: App, mode: str, make_sender: Callable[[Settings, Log, Stepper], MemorySender]
) -> Iterator[Queue]:
    previous, ids = app.sender, app.ids
    if isinstance(previous, MemorySender):
        raise Misuse(
            f"testing.{mode}(): the calls of this app go to a testing.{previous.mode}() already, by a with "
            "block or a fixture that is still open. An app has one at a time: leave that one first, or use "
            "its queue."
        )
    settings, clock = app.settings, FrozenClock()
    log = Log(app.jobs, app.names, settings.partitions, clock)
    stepper = Stepper(app, log, clock)
    queue = Queue(app, log, stepper, clock)
    app.sender = make_sender(settings, log, stepper)
    app.ids = FrozenIds(clock)
    try:
        yield queue
    finally:
        app.sender, app.ids = previous, ids
        queue.close()
