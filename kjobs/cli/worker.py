"""``kjobs worker``: one process, or a supervisor of several."""

from __future__ import annotations

import os
import sys

import click

from ..config import load
from ..supervisor.command import begun_as
from .logs import set_up


@click.command("worker")
@click.argument("modules", nargs=-1, metavar="MODULE…")
@click.option(
    "-Q",
    "--queues",
    multiple=True,
    metavar="A,B",
    help="Queues to serve, those of the jobs if not given. A:4,B:1 has four turns of A for one of B.",
)
@click.option("-p", "--processes", type=click.IntRange(min=1), help="Worker processes.")
@click.option("-t", "--threads", type=click.IntRange(min=1), help="Calls that may run at a time, in threads.")
@click.option("-v", "--verbose", is_flag=True, help="Show every call's start and end.")
@click.option("--burst", is_flag=True, help="Stop when there is nothing left to do in these queues.")
@click.option("--max-calls", type=click.IntRange(min=1), metavar="N", help="Stop after N attempts.")
@click.option("--grace", metavar="S", help="How long to wait for running calls when stopping, such as 30s.")
@click.option("--group", metavar="G", help="The consumer group.")
@click.option("--create-topics", is_flag=True, default=None, help="Create missing topics.")
@click.option("--cell", type=int, metavar="FD", hidden=True, help="Run calls that come through a socket.")
@click.option("--seat", metavar="N:FD", hidden=True, help="Be one of a supervisor's processes.")
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
    seat: str | None,
    cell: int | None,
) -> None:
    r"""Run calls of the jobs declared in MODULEs, until stopped.

    \b
    SIGTERM, SIGINT   begin no more calls, wait for those that run, commit, leave;
                      a second time: end at once
    SIGTSTP           begin no more calls, and keep everything else
    SIGUSR1, SIGQUIT  write what runs, and where it is, to standard error
    With several processes also:
    SIGHUP            restart one process after the other
    SIGTTIN, SIGTTOU  one process more, one less

    Exit codes: 0 in order, 1 error, 2 wrong usage or forced.
    """
    if cell is not None:
        serve_cell(modules, cell, verbose=verbose)
        return
    if max_calls is not None:
        if (processes or 1) > 1:
            raise click.UsageError("--max-calls counts the calls of one process: use it with --processes 1.")
        processes = 1
    if seat is None and load({"processes": processes}).processes != 1:
        # Only here: each of its processes would import it as well, and is to be back soon when it was killed.
        from ..supervisor.supervisor import Supervisor

        set_up(verbose=verbose)
        # Without the option the app's code has the last word, which the first process will know.
        sys.exit(Supervisor(begun_as(), processes).run())
    # Only here: a supervisor is to know neither Kafka nor any job.
    from ..worker.isolation.cells import Cells
    from ..worker.link import Link
    from ..worker.worker import Orders, Worker
    from .modules import load_app, queues_of

    link = None
    if seat is not None:
        number, _, descriptor = seat.partition(":")
        link = Link(int(number), int(descriptor))
    set_up(verbose=verbose, process=None if link is None else link.seat)
    app = load_app(modules)
    app.configure(
        processes=processes, threads=threads, grace=grace, group=group, create_topics=create_topics or None
    )
    if seat is None and (wanted := app.settings.processes or 1) > 1:  # by the app's own code
        again = begun_as("--processes", str(wanted))
        os.execv(again[0], again)  # noqa: S606 - our own command
    orders = Orders(queues=queues_of(app, queues), burst=burst, max_calls=max_calls)
    sys.exit(Worker(app, orders, link, Cells(begun_as())).run())


def serve_cell(modules: tuple[str, ...], descriptor: int, *, verbose: bool) -> None:
    """Be a process that runs isolated calls of a worker."""
    from ..worker.clock import Clock
    from ..worker.isolation.cell import serve
    from .modules import load_app

    set_up(verbose=verbose)
    serve(load_app(modules), descriptor, Clock().now)
