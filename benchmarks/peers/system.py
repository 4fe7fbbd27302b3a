"""The other job systems: how their workers are started, and what they promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A job system.

    Attributes:
        name: of its module here, ``<name>_app``.
        title: its own name.
        noop: the worker's arguments for the drain of no-op jobs: the fastest of those tried.
        pause: those for jobs that wait, on 64 threads.
        latency: those for latency.
        environ: variables of its workers.
        pace: no-op and waiting jobs a second, about, to choose how many are enqueued.
        configuration: what was set, in words.
        durability: what becomes of calls when something dies.
        order: in which calls of one key run.
        retries: what becomes of calls that fail.
    """

    name: str
    title: str
    noop: Sequence[str]
    pause: Sequence[str]
    latency: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    pace: tuple[float, float]
    configuration: str
    durability: str
    order: str
    retries: str


#: The commands of the workers, without what makes them slower and is not needed here.
CELERY = (
    *("celery", "-A", "benchmarks.peers.celery_app", "worker", "--loglevel", "warning"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
DRAMATIQ = ("dramatiq", "benchmarks.peers.dramatiq_app")
HUEY = ("huey.bin.huey_consumer", "benchmarks.peers.huey_app.huey", "--no-periodic", "--quiet")

SYSTEMS = (
    System(
        name="celery",
        title="Celery",
        noop=(*CELERY, "--pool", "solo"),
        pause=(*CELERY, "--pool", "threads", "--concurrency", "64"),
        latency=(*CELERY, "--pool", "threads", "--concurrency", "8"),
        pace=(1_500, 1_500),
        configuration=(
            "acknowledged late, no results, rate limits off, prefetch multiplier 64, without gossip, mingle "
            "and heartbeat; no-op jobs in the solo pool, the others in threads"
        ),
        durability=(
            "in Redis' memory; what a killed worker had comes back after the visibility timeout, an hour"
        ),
        order="none",
        retries="only where a task says so; no dead letters",
    ),
    System(
        name="dramatiq",
        title="Dramatiq",
        noop=(*DRAMATIQ, "--processes", "2", "--threads", "8"),
        pause=(*DRAMATIQ, "--processes", "2", "--threads", "32"),
        latency=(*DRAMATIQ, "--processes", "1", "--threads", "8"),
        environ={"dramatiq_queue_prefetch": "1000"},
        pace=(8_000, 5_500),
        configuration=(
            "default middleware, prefetch 1,000; no-op jobs in two processes with 8 threads each, waiting "
            "jobs in two with 32 each"
        ),
        durability=(
            "in Redis' memory; what a killed worker had comes back after its heartbeat timeout, a minute"
        ),
        order="none",
        retries="by default, with backoff; dead letters for 7 days, in Redis' memory",
    ),
    System(
        name="huey",
        title="Huey",
        noop=(*HUEY, "--workers", "1", "--worker-type", "process"),
        pause=(*HUEY, "--workers", "64", "--worker-type", "thread"),
        latency=(*HUEY, "--workers", "8", "--worker-type", "thread"),
        pace=(5_500, 3_500),
        configuration=(
            "RedisHuey, no results, no periodic tasks; no-op jobs in one process, the others in threads"
        ),
        durability=(
            "in Redis' memory; a task is taken off the queue before it runs, so what a killed worker had is "
            "lost"
        ),
        order="none with more than one worker",
        retries="only where a task says so; no dead letters",
    ),
)
