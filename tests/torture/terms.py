"""How a run is put up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run is put up with.

    Attributes:
        nodes: brokers.
        protocol: of the groups.
        session: the groups' session timeout, in seconds.
        callers: processes that enqueue.
        pace: calls per second of each.
        most: unfinished calls at which they wait.
        threads: slots of each worker process.
        mutant: how the workers' core is broken; see :mod:`tests.torture.sabotage`.
        drain: seconds in which everything must be finished once all is well again.
    """

    seed: int
    nodes: int = 1
    protocol: str = "classic"
    session: float = 5.0
    callers: int = 2
    pace: float = 150.0
    most: int = 20_000
    threads: int = 6
    mutant: str = ""
    drain: float = 240.0
