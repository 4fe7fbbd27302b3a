"""``kjobs dev``: a broker and a worker that reloads, for development."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..errors import ConfigError
from ..kafka.embedded import EmbeddedBroker

_PORT = 9092

#: Seconds a worker has to end before it is killed.
_GRACE = 5.0


@click.command("dev")
@click.argument("modules", nargs=-1, required=True, metavar="MODULE…")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=_PORT, show_default=True, help="The broker's port."
)
def command(modules: tuple[str, ...], port: int) -> None:
    """Run a built-in broker and a worker for MODULEs that is restarted when a file changes.

    Other processes of this machine, such as your web server, reach the broker at 127.0.0.1:PORT, which
    is the default of bootstrap_servers. NOTHING IS KEPT: the broker holds calls in memory, a few
    megabytes per partition, and they are gone when this command ends.
    """
    here = Path.cwd()
    changes = _changes(here)
    with EmbeddedBroker(port) as broker:
        click.secho(f"broker at {broker.bootstrap}: built in, NOTHING IS KEPT when this ends", bold=True)
        if port != _PORT:
            click.echo(f"other processes reach it with KJOBS_BOOTSTRAP_SERVERS={broker.bootstrap}")
        click.echo(f"watching {here} for changes; Ctrl-C ends it all")
        environ = {**os.environ, "KJOBS_BOOTSTRAP_SERVERS": broker.bootstrap}
        while True:
            with _worker(modules, environ):
                changed = next(changes, None)
            if changed is None:
                return
            names = ", ".join(sorted(str(path.relative_to(here)) for path in changed))
            click.secho(f"{names} changed: restarting the worker", bold=True)


def _changes(folder: Path) -> Iterator[set[Path]]:
    """The Python files that change, as they do; ends with Ctrl-C.

    Raises:
        ConfigError: what it needs is not installed.
    """
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        raise ConfigError(
            "kjobs dev watches files with the watchfiles package, which is not installed: pip install "
            "'kjobs[dev]'"
        ) from None
    found = watch(folder, watch_filter=PythonFilter(), raise_interrupt=False)
    return ({Path(name) for _, name in changed} for changed in found)


@contextmanager
def _worker(modules: Sequence[str], environ: Mapping[str, str]) -> Iterator[None]:
    """A worker process for as long as the block runs."""
    arguments = [sys.executable, "-m", "kjobs", "worker", *modules, "-p", "1", "--verbose", "--grace", "2s"]
    # In a session of its own, so that Ctrl-C reaches this process only, which then ends the worker in order.
    process = subprocess.Popen(arguments, env=environ, start_new_session=True)  # noqa: S603 - our own command
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
