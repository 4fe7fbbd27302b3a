"""A cell: a process that runs calls for a worker, one at a time, until the worker is gone."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import queue
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, cast

from ...app import App
from ...core.deferred import Row
from ...core.events import Place
from ...core.outcome import OK, Condemned, Discarded, Failed, Outcome, Snoozed, is_retried
from ...core.partition import Entry, Partition
from ...core.ports import Headers, Saver
from ...core.verdict import Retry
from ..fibres import Aside, AsyncCall
from ..invoke import Invoker
from . import wire
from .saver import CellSaver

#: Seconds between two looks whether a call's time is up.
_LOOK = 0.05
#: Characters of a message, and of a traceback, that are told.
_MESSAGE, _TRACE = 10_000, 50_000


class Stand:
    """What a call in a cell can see of its partition."""

    def __init__(self, place: Place, epoch: int, saver: Saver) -> None:
        self.place = place
        self.epoch = epoch
        self.saver = saver
        #: False: the call should end soon.
        self.open = True


class OrderedRecord:
    """A call's record, as it came with the order; a :class:`kjobs.core.ports.Record`."""

    __slots__ = ("_order",)

    def __init__(self, order: wire.Order) -> None:
        self._order = order

    def offset(self) -> int:
        """Its offset."""
        return self._order.offset

    def key(self) -> bytes | None:
        """The ordering key."""
        return self._order.key

    def value(self) -> bytes | None:
        """The call as it was written."""
        return self._order.value

    def headers(self) -> Headers | None:
        """The headers it was enqueued with."""
        return self._order.headers

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""
        return 1, self._order.timestamp_ms

    def __len__(self) -> int:
        return len(self._order.value or b"")


class Cell:
    """Runs the calls of an app's isolated jobs.

    Args:
        app: whose jobs they are.
        connection: to the worker.
        now: the worker's clock, in epoch seconds.
    """

    def __init__(self, app: App, connection: socket.socket, now: Callable[[], float]) -> None:
        self._app = app
        self._connection = connection
        self._now = now
        self._orders: queue.SimpleQueue[wire.Order | None] = queue.SimpleQueue()
        self._stand: Stand | None = None
        self._saver = CellSaver(connection)
        self._limits = Limits()
        self._enforce: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Run calls until the worker is gone."""
        # Ctrl-C and the like are for the worker, which says by a cancel what is to be done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError, ValueError):
            faulthandler.enable()
        threading.Thread(target=self._listen, name="kjobs-orders", daemon=True).start()
        threading.Thread(target=self._watch, name="kjobs-limits", daemon=True).start()
        while (order := self._orders.get()) is not None:
            try:
                wire.send(self._connection, wire.Begun())
                self._saver.end(self._obey(order))
            except OSError:
                return

    def _listen(self) -> None:
        while (request := wire.receive_request(self._connection)) is not None:
            if isinstance(request, wire.Order):
                self._orders.put(request)
            elif isinstance(request, wire.SaveAnswered):
                self._saver.answer(request)
            elif self._stand is not None:
                self._stand.open = False
        # Nobody wants to know any more how the call ends, and it will run again elsewhere.
        os._exit(0)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK):
            self._enforce()

    def _obey(self, order: wire.Order) -> wire.Answer:
        stand = self._stand = Stand((order.topic, order.partition), order.epoch, self._saver)
        record = OrderedRecord(order)
        entry = Entry(
            cast(Partition, stand),
            order.offset,
            order.key,
            record,
            len(record),
            failures=order.failures,
            row=Row(id="", value=order.value, due_ms=0, state=order.state),
            rank=(order.position, 0),
        )
        invoker = Invoker(
            self._app.jobs,
            self._app.middleware,
            queues={order.topic: order.queue},
            now=self._now,
            timely=True,
        )
        self._saver.begin(entry)
        self._enforce = invoker.limits.enforce
        self._limits.set(order.memory, order.cpu)
        try:
            outcome = invoker.run(entry)
            assert not isinstance(outcome, Aside), "the worker has counted those that run"
            if isinstance(outcome, AsyncCall):
                outcome = asyncio.run(outcome.attempt())
        finally:
            self._limits.lift()
            self._stand = None
        return _told(outcome)


class Limits:
    """Limits of this process, for the time of one call."""

    def __init__(self) -> None:
        self._usual = {what: resource.getrlimit(what) for what in (resource.RLIMIT_AS, resource.RLIMIT_CPU)}

    def set(self, memory: int | None, cpu: float | None) -> None:
        """Let this process have no more than that, on top of the processor time that it has used."""
        if memory is not None:
            self._lower(resource.RLIMIT_AS, memory)
        if cpu is not None:
            used = resource.getrusage(resource.RUSAGE_SELF)
            # Whole seconds only: rounded up, so that nobody gets less than was promised.
            self._lower(resource.RLIMIT_CPU, int(-(-(used.ru_utime + used.ru_stime + cpu) // 1)))

    def lift(self) -> None:
        """Limit it no longer."""
        for what, limits in self._usual.items():
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(what, limits)

    def _lower(self, what: int, soft: int) -> None:
        _, hard = self._usual[what]
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows no limit of memory
            resource.setrlimit(what, (soft, hard))


def _told(outcome: Outcome) -> wire.Answer:
    """An outcome, so that it can be sent."""
    match outcome:
        case Failed(error=error, policy=policy, retry_in=retry_in):
            asked = isinstance(error, Retry)
            return wire.Failed(
                _trouble(error),
                retry=asked or is_retried(error, policy),
                discard=not asked and isinstance(error, policy.discard_on),
                retry_in=retry_in,
            )
        case Snoozed(delay=delay):
            return wire.Snoozed(delay)
        case Discarded(why=why):
            return wire.Discarded(why)
        case Condemned(reason=reason, error=error):
            return wire.Condemned(str(reason), _trouble(error))
        case _:
            # What comes early or too late the worker has sorted out.
            assert outcome is OK, f"a cell cannot tell of {outcome!r}"
            return wire.Succeeded()


def _trouble(error: BaseException) -> wire.Trouble:
    kind: Any = type(error)
    try:
        text = str(error)
    except Exception as second:
        text = f"<the error's own __str__ raised {type(second).__name__}>"
    try:
        trace = "".join(traceback.format_exception(error))
    except Exception as second:
        trace = f"<the traceback could not be written: {type(second).__name__}>"
    return wire.Trouble(kind.__module__, kind.__qualname__, _plain(text)[:_MESSAGE], _plain(trace)[-_TRACE:])


def _plain(text: str) -> str:
    """Text that can be encoded."""
    return text.encode("utf-8", "replace").decode()


def serve(app: App, descriptor: int, now: Callable[[], float]) -> None:
    """Be a cell: run calls that come through a socket."""
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as connection:
        Cell(app, connection, now).run()
    sys.stdout.flush()
