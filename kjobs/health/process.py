"""How worker processes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec


class Crowd(msgspec.Struct, frozen=True):
    """A key whose calls pile up in a worker process.

    Attributes:
        key: for people to read: escaped where it is no text, and cut if it is long.
        topic: its queue's.
        partition: where all of its calls are.
        waiting: its unfinished calls in memory.
        age: seconds since the first of them was enqueued.
        running: that one has been handed out to run.
        parked: more of them are in the deferred store.
    """

    key: str
    topic: str
    partition: int
    waiting: int
    age: float
    running: bool
    parked: bool


class Vitals(msgspec.Struct, frozen=True):
    """What a worker process's owner thread says of itself.

    Attributes:
        partitions: that are assigned to it.
        opening: those of them that begin no call yet: the group has not confirmed them, or what waits in
            their deferred store is still being read.
        leased: the group has heard of it lately enough for calls to begin.
        running: calls that slots have, or wait for one.
        held: calls in memory.
        quiet: it begins nothing, because it was told so or is stopping.
        hot_keys: the keys with the most calls, where somebody may ask for them.
    """

    partitions: int = 0
    opening: int = 0
    leased: bool = False
    running: int = 0
    held: int = 0
    quiet: bool = False
    hot_keys: tuple[Crowd, ...] = ()


#: How many keys are told of all processes together.
_CROWDS = 10

#: What is known of a process that has said nothing yet.
UNKNOWN: Final = Vitals()


class Process(msgspec.Struct, frozen=True):
    """One worker process, as probes see it.

    Attributes:
        number: its seat.
        pid: of the present process; 0 if there is none.
        state: in a word or two.
        ready: it has had its partitions and their stores.
        silent: seconds since its owner thread gave a sign; None before the first one.
        failures: how often in a row it ended by itself before it had worked for a while.
        calls: attempts it has made.
        size: bytes of memory it has.
    """

    number: int
    pid: int
    state: str
    ready: bool
    silent: float | None
    failures: int
    calls: int
    size: int
    vitals: Vitals

    @property
    def works(self) -> bool:
        """Whether it could begin a call now, if there was one."""
        vitals = self.vitals
        return (
            self.ready
            and not vitals.quiet
            and not vitals.opening
            and (vitals.leased or not vitals.partitions)
        )


def alive(processes: Sequence[Process], patience: float) -> bool:
    """Whether no process needs to be killed from outside.

    Kafka being away, or a store that is being read, is not mended by that, and does not count.

    Args:
        processes: all there are.
        patience: seconds that an owner thread may be silent; 0 for ever.
    """
    return not any(patience and p.silent is not None and p.silent > patience for p in processes)


def crowded(processes: Sequence[Process]) -> list[Crowd]:
    """The keys with the most calls of all processes, the hottest first."""
    found = [crowd for process in processes for crowd in process.vitals.hot_keys]
    return sorted(found, key=lambda crowd: crowd.waiting, reverse=True)[:_CROWDS]


def ready(processes: Sequence[Process]) -> bool:
    """Whether every process could begin a call now."""
    return bool(processes) and all(process.works for process in processes)
