"""How the other job systems are set up for calls with a time, and what they promise for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.markdown import table
from benchmarks.measure import spelled

from .system import CELERY, DRAMATIQ, HUEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A job system with delays.

    Attributes:
        name: of its module here, ``<name>_app``.
        title: its own name.
        worker: the worker's arguments.
        environ: variables of the worker.
        waiting: the Redis list that is empty when the worker has all calls that wait; "" where they stay in
            Redis.
        pace: calls a second that it begins, about, to choose how many fall due together.
        schedules: calls a second that can be scheduled, about, to choose how far ahead that is done.
        where: the calls that wait, in words.
        configuration: what was set, in words.
    """

    name: str
    title: str
    worker: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    waiting: str = ""
    pace: float
    schedules: float
    where: str
    configuration: str


TIMINGS = (
    Timing(
        name="celery",
        title="Celery",
        worker=(*CELERY, "--pool", "threads", "--concurrency", "8"),
        waiting="celery",
        pace=2_500,
        schedules=2_000,
        where="in one worker's memory, unacknowledged; none may wait longer than the visibility timeout",
        configuration="`eta`; as above, 8 threads",
    ),
    Timing(
        name="dramatiq",
        title="Dramatiq",
        worker=(*DRAMATIQ, "--processes", "1", "--threads", "8"),
        environ={
            "dramatiq_queue_prefetch": "1000",
            "dramatiq_delay_queue_prefetch": "1000000",
            "dramatiq_worker_timeout": "20",
        },
        waiting="dramatiq:default.DQ",
        pace=4_000,
        schedules=4_000,
        where="in the memory of one worker, as many as it prefetches",
        configuration=(
            "`delay`; one process with 8 threads, prefetch 1,000, worker timeout 20 ms (default: 1 s), "
            "prefetch of delayed calls 1,000,000 (default: 8,000, and no more before one of them is due)"
        ),
    ),
    Timing(
        name="huey",
        title="Huey",
        worker=(*HUEY, "--workers", "8", "--worker-type", "thread"),
        pace=2_000,
        schedules=5_000,
        where="in a sorted set of Redis, which is looked at once a second",
        configuration="`schedule`; 8 threads",
    ),
    Timing(
        name="arq",
        title="arq",
        worker=("arq", "benchmarks.peers.arq_app.WorkerSettings"),
        pace=2_000,
        schedules=3_000,
        where="in a sorted set of Redis",
        configuration=(
            "`_defer_until`, 50 at a time; `max_jobs` 100, `poll_delay` 10 ms (default: 0.5 s), no results"
        ),
    ),
)

_COLUMNS = (("schedule", "/s"), ("p50", "ms"), ("p99", "ms"), ("max", "ms"), ("fire", "/s"), ("memory", "MB"))


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Parts of the page.

    Args:
        found: the results' measures.
    """
    names = {"kjobs": "kjobs", **{timing.name: timing.title for timing in TIMINGS}}
    yield table(
        ("", "Schedule, one at a time", "Late, p50", "p99", "the latest", "Due together", "Memory"),
        [
            (title, *(_cell(found, f"timers.{name}.{what}", unit) for what, unit in _COLUMNS))
            for name, title in names.items()
        ],
    )
    bulk = _cell(found, "timers.kjobs.bulk", "/s")
    if bulk:
        yield f"In bulk, with `delay_many`, kjobs scheduled {bulk}."
    yield table(
        ("", "Where calls wait", "Set up"),
        [
            ("kjobs", "in Kafka, with an index on the worker's disk", "defaults"),
            *((timing.title, timing.where, timing.configuration) for timing in TIMINGS),
        ],
        numbers=False,
    )


def _cell(found: Mapping[str, Any], name: str, unit: str) -> str:
    return spelled(found[name]["median"], unit) if name in found else ""
