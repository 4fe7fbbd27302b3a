"""``kjobs worker``."""

from __future__ import annotations

import sys

import click

from ..worker.worker import Orders, Worker
from .logs import set_up
from .modules import load_app, queues_of


@click.command("worker")
@click.argument("modules", nargs=-1, metavar="MODULE…")
@click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", help="Queues to serve; those of the jobs if not given."
)
@click.option("-p", "--processes", type=click.IntRange(min=1), help="Worker processes.")
@click.option("-t", "--threads", type=click.IntRange(min=1), help="Calls that may run at a time, in threads.")
@click.option("-v", "--verbose", is_flag=True, help="Show every call's start and end.")
@click.option("--burst", is_flag=True, help="Stop when there is nothing left to do in these queues.")
@click.option("--max-calls", type=click.IntRange(min=1), metavar="N", help="Stop after N attempts.")
@click.option("--grace", metavar="S", help="How long to wait for running calls when stopping, such as 30s.")
@click.option("--group", metavar="G", help="The consumer group.")
@click.option("--create-topics", is_flag=True, default=None, help="Create missing topics.")
def command(
    modules: tuple[str, ...],
    queues: tuple[str, ...],
    processes: int | None,
    threads: int | None,
    verbose: bool,
    burst: bool,
    max_calls: int | None,
    grace: str | None,
    group: str | None,
    create_topics: bool | None,
) -> None:
    """Run calls of the jobs declared in MODULEs, until stopped.

    SIGTERM or SIGINT: begin no more calls, wait for those that run, commit, leave. A second signal ends
    at once. Exit codes: 0 in order, 1 error, 2 wrong usage or forced.
    """
    set_up(verbose=verbose)
    app = load_app(modules)
    app.configure(
        processes=processes, threads=threads, grace=grace, group=group, create_topics=create_topics or None
    )
    if app.settings.processes > 1:
        raise click.UsageError(
            f"processes={app.settings.processes}: a worker is one process for now. Start the command several "
            "times; Kafka shares the partitions among them."
        )
    orders = Orders(queues=queues_of(app, queues), burst=burst, max_calls=max_calls)
    sys.exit(Worker(app, orders).run())
