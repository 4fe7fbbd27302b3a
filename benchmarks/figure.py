"""The figures: what has to be reached, what is aimed at, and what was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from .peers.system import SYSTEMS

#: What a run tells, by measure: the medians, but for those where one bad round is bad.
Medians = Mapping[str, float]

Verdict = Literal["aim reached", "minimum reached", "MISSED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that has to be reached.

    Attributes:
        title: what it is.
        unit: of its numbers; "" for a ratio.
        minimum: what has to be reached.
        aim: what is aimed at.
        value: the figure of a run. Raises KeyError if its measures are missing.
        at_most: smaller is better.
    """

    title: str
    value: Callable[[Medians], float]
    minimum: float
    aim: float
    unit: str = ""
    at_most: bool = False

    def verdict(self, value: float) -> Verdict:
        """What a value is worth."""
        if value <= self.aim if self.at_most else value >= self.aim:
            return "aim reached"
        if value <= self.minimum if self.at_most else value >= self.minimum:
            return "minimum reached"
        return "MISSED"


def _ratio(of: str, to: str) -> Callable[[Medians], float]:
    return lambda medians: medians[of] / medians[to]


def _plain(name: str) -> Callable[[Medians], float]:
    return lambda medians: medians[name]


def _memory_of_waiting(medians: Medians) -> float:
    """What calls that wait add to a worker, with whichever start that is more."""
    ways = ("none", "warm")
    return max(medians[f"restart.file.many.{way}.memory"] for way in ways) - max(
        medians[f"restart.file.empty.{way}.memory"] for way in ways
    )


def _to_fastest_peer(medians: Medians) -> float:
    return medians["drain.keyed.8"] / max(medians[f"peers.{system.name}.noop"] for system in SYSTEMS)


#: In the order of the rows.
FIGURES = (
    *(
        Figure(
            title=f"no-op drain, {slots} slots, {word}: to the raw loop with the call",
            value=_ratio(f"drain.{word}.{slots}", f"raw.call.{word}"),
            minimum=0.25,
            aim=0.45,
        )
        for word in ("keyed", "unkeyed")
        for slots in (8, 64)
    ),
    Figure(
        title="1 ms jobs on 64 threads",
        value=_plain("pauses.1ms.threads.64"),
        minimum=20_000,
        aim=30_000,
        unit="calls/s",
    ),
    Figure(
        title="10 ms jobs on 64 threads: to what 64 threads can do, 6,400/s",
        value=lambda medians: medians["pauses.10ms.threads.64"] / 6400,
        minimum=0.93,
        aim=0.98,
    ),
    Figure(
        title="10 ms jobs on 512 async slots",
        value=_plain("pauses.10ms.async.512"),
        minimum=15_000,
        aim=30_000,
        unit="calls/s",
    ),
    Figure(
        title=".delay(), 1 thread: to the raw client that waits, the faster way of the two",
        value=lambda medians: (
            medians["enqueue.delay.1"] / max(medians["enqueue.raw.poll"], medians["enqueue.raw.flush"])
        ),
        minimum=0.7,
        aim=0.9,
    ),
    Figure(
        title=".delay(), 8 threads",
        value=_plain("enqueue.delay.8"),
        minimum=12_000,
        aim=25_000,
        unit="calls/s",
    ),
    Figure(
        title="delay_many: to the raw producer without reports",
        value=_ratio("enqueue.many", "enqueue.raw.bulk"),
        minimum=0.4,
        aim=0.7,
    ),
    Figure(
        title="latency, p50: to the raw client's",
        value=_ratio("latency.kjobs.p50", "latency.raw.p50"),
        minimum=1.5,
        aim=1.2,
        at_most=True,
    ),
    Figure(
        title="latency, p99: to the raw client's",
        value=_ratio("latency.kjobs.p99", "latency.raw.p99"),
        minimum=1.5,
        aim=1.1,
        at_most=True,
    ),
    Figure(
        title="memory of a worker that drains a large queue, over that of an idle one",
        value=lambda medians: medians["memory.draining"] - medians["memory.idle"],
        minimum=100,
        aim=50,
        unit="MB",
        at_most=True,
    ),
    Figure(
        title="run twice after a SIGKILL, less the 64 that ran: in seconds of work",
        value=_plain("crash.seconds"),
        minimum=0.5,
        aim=0.25,
        unit="s",
        at_most=True,
    ),
    Figure(
        title="two processes to one, calls that compute",
        value=_ratio("processes.2", "processes.1"),
        minimum=1.7,
        aim=1.9,
    ),
    Figure(
        title="SIGKILL of one process of a supervisor: to the first call of the next one",
        value=_plain("processes.killed"),
        minimum=2.0,
        aim=1.0,
        unit="s",
        at_most=True,
    ),
    Figure(
        title="SIGKILL of a worker: to the first call of another one, over the session timeout of 10 s",
        value=lambda medians: medians["crash.gap"] - 10.0,
        minimum=3.0,
        aim=1.0,
        unit="s",
        at_most=True,
    ),
    Figure(
        title="while somebody joins or leaves each second: to what is done in calm",
        value=_ratio("storm.rate", "storm.calm"),
        minimum=0.3,
        aim=0.7,
    ),
    Figure(
        title="calls that run twice meanwhile",
        value=_plain("storm.share"),
        minimum=0.1,
        aim=0.01,
        unit="%",
        at_most=True,
    ),
    Figure(
        title="calls that ran twice because processes were replaced in order, 200 times",
        value=_plain("storm.restarted"),
        minimum=0,
        aim=0,
        unit="calls",
        at_most=True,
    ),
    Figure(
        title="hand-over on one host, from a worker that stops to another one's first call",
        value=_plain("storm.handover"),
        minimum=1.0,
        aim=0.3,
        unit="s",
        at_most=True,
    ),
    *(
        Figure(
            title=f"with a call among the others that crashes its process, {title}: to without",
            value=lambda medians, kind=kind: 100 * medians[f"poison.{kind}"] / medians["poison.none"],  # type: ignore[misc]
            minimum=90,
            aim=98,
            unit="%",
        )
        for kind, title in (("thread", "in a thread"), ("isolated", "isolated"))
    ),
    Figure(
        title="import kjobs",
        value=_plain("import.kjobs"),
        minimum=80,
        aim=40,
        unit="ms",
        at_most=True,
    ),
    Figure(
        title="scheduling calls for later, delay_many",
        value=_plain("schedule.many"),
        minimum=20_000,
        aim=60_000,
        unit="calls/s",
    ),
    *(
        Figure(
            title=f"calls that fall due together, {title}",
            value=_plain(f"fire.file.{kind}"),
            minimum=3_000,
            aim=8_000,
            unit="calls/s",
        )
        for kind, title in (("free", "no keys"), ("keyed", "a key each"))
    ),
    Figure(
        title="ready while 1,000,000 calls wait, with an index",
        value=_plain("restart.file.many.warm.seconds"),
        minimum=3,
        aim=1,
        unit="s",
        at_most=True,
    ),
    Figure(
        title="ready while 1,000,000 calls wait, without an index",
        value=_plain("restart.file.many.none.seconds"),
        minimum=30,
        aim=12,
        unit="s",
        at_most=True,
    ),
    Figure(
        title="memory that 1,000,000 calls that wait add to a worker",
        value=_memory_of_waiting,
        minimum=100,
        aim=50,
        unit="MB",
        at_most=True,
    ),
    Figure(
        title="lateness while 1,000,000 calls wait, p99",
        value=_plain("lateness.file.many.p99"),
        minimum=1_000,
        aim=150,
        unit="ms",
        at_most=True,
    ),
    Figure(
        title="delayed calls that began early, in any round",
        value=lambda medians: medians["lateness.file.few.early"] + medians["lateness.file.many.early"],
        minimum=0,
        aim=0,
        unit="calls",
        at_most=True,
    ),
    Figure(
        title="slowdown of undelayed calls while 1,000,000 wait",
        value=lambda medians: 100 * (1 - medians["undelayed.beside"] / medians["undelayed.alone"]),
        minimum=10,
        aim=3,
        unit="%",
        at_most=True,
    ),
    Figure(
        title="no-op drain, 8 slots, keyed: to the fastest other Python job system here",
        value=_to_fastest_peer,
        minimum=15,
        aim=30,
    ),
)
