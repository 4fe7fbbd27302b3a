"""Runs worker processes: begins them, listens to them, passes signals on, begins them again.

A process is begun as a program of its own, never by a fork: it shares no thread, lock or connection with
this one. Should this one be killed, each of them sees its socket end, and stops in order.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, assert_never

from ..health.presence import Presence
from .child import Child
from .messages import Hello
from .roster import AllReady, Begin, Command, Exit, Pausing, Roster, Send, Wish

log = logging.getLogger("kjobs.supervisor")

#: Seconds between two looks at what is overdue.
_LOOK = 0.25
#: Seconds for processes that run when this one gives up.
_LEFT_OVER = 5.0

#: What signals mean.
WISHES = {
    signal.SIGTERM: Wish.STOP,
    signal.SIGINT: Wish.STOP,
    signal.SIGHUP: Wish.RESTART,
    signal.SIGTSTP: Wish.QUIET,
    signal.SIGTTIN: Wish.MORE,
    signal.SIGTTOU: Wish.FEWER,
    signal.SIGUSR1: Wish.DUMP,
    signal.SIGQUIT: Wish.DUMP,
}


class Supervisor:
    """Keeps worker processes running until it is told to stop.

    Args:
        command: how a worker process is begun.
        processes: how many there are to be; None if the first one is to say, which knows the app's code.
    """

    def __init__(self, command: Sequence[str], processes: int | None) -> None:
        self._command = tuple(command)
        self._roster = Roster(processes)
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._presence = Presence()
        self._code: int | None = None

    def run(self) -> int:
        """Work until stopped; the exit code: 0 in order, 1 error, 2 forced."""
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        # Signals are bytes in a pipe: they wake the selector, and none is missed.
        previous_fd = signal.set_wakeup_fd(writer)
        watched = [*WISHES, signal.SIGCHLD]
        previous: dict[signal.Signals, Any] = {n: signal.signal(n, _nothing) for n in watched}
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            self._perform(self._roster.open(time.monotonic()))
            while self._code is None:
                self._step(reader)
            return self._code
        finally:
            self._presence.close()
            for child in self._children.values():
                child.close()
            for child in self._children.values():
                child.wait(_LEFT_OVER)
            signal.set_wakeup_fd(previous_fd)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(reader)
            os.close(writer)

    def _step(self, reader: int) -> None:
        """Wait for something to happen, and see to it."""
        for key, _ in self._selector.select(_LOOK):
            if key.data is None:
                for number in os.read(reader, 1 << 10):
                    if (wish := WISHES.get(signal.Signals(number))) is not None:
                        self._told(signal.Signals(number), wish)
            else:
                self._listen(key.data)
        for child in list(self._children.values()):
            if (code := child.ended()) is not None:
                self._listen(child)
                self._let_go(child)
                self._perform(self._roster.ended(child.number, code, time.monotonic()))
        if self._code is None:
            now = time.monotonic()
            self._perform(self._roster.look(now))
            pids = {number: child.pid for number, child in self._children.items()}
            self._presence.tell(self._roster.processes(now, pids))

    def _told(self, number: signal.Signals, wish: Wish) -> None:
        log.info("%s: %s", number.name, wish.name.lower(), extra={"event": "supervisor.told"})
        if wish is Wish.STOP:
            self._presence.stopping()
        self._perform(self._roster.wished(wish, time.monotonic()))

    def _listen(self, child: Child) -> None:
        for message in child.messages():
            if isinstance(message, Hello):
                self._presence.open(message.health, message.watchdog)
            self._perform(self._roster.heard(child.number, message, time.monotonic()))
        if child.mute and child.socket in self._selector.get_map():
            self._selector.unregister(child.socket)

    def _let_go(self, child: Child) -> None:
        if child.socket in self._selector.get_map():
            self._selector.unregister(child.socket)
        child.close()
        del self._children[child.number]

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Begin(number=number):
                    child = self._children[number] = Child(number, self._command)
                    self._selector.register(child.socket, selectors.EVENT_READ, child)
                    log.info(
                        "process %d begins: pid %d", number, child.pid, extra={"event": "process.beginning"}
                    )
                case Send(number=number, signal=what, why=why):
                    if why:
                        log.warning(
                            "process %d, pid %d: %s (%s)",
                            *(number, self._children[number].pid, why, what.name),
                            extra={"event": "process.told", "signal": what.name, "why": why},
                        )
                    self._children[number].send(what)
                case Pausing(number=number, code=code, pause=pause):
                    log.error(
                        "process %d ended by itself: %s; the next one begins %s",
                        *(number, _spelled(code), f"in {pause:g} s" if pause else "now"),
                        extra={"event": "process.ended", "code": code, "pause": pause},
                    )
                case AllReady(processes=processes):
                    log.info("worker ready: %d processes", processes, extra={"event": "worker.ready"})
                case Exit(code=code):
                    self._code = code
                    log.info("stopped", extra={"event": "supervisor.stopped", "code": code})
                case _:
                    assert_never(command)


def _spelled(code: int) -> str:
    """An exit code for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _nothing(number: int, frame: FrameType | None) -> None:
    """The pipe tells."""
