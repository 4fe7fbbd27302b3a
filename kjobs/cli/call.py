"""``kjobs call``: enqueue one call by hand."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from .modules import load_app
from .shown import iso, when


@click.command("call")
@click.argument("job")
@click.option(
    "-m", "--module", "modules", multiple=True, metavar="MODULE", help="Module that declares the job."
)
@click.option("--args", "args_json", default="[]", metavar="JSON", help="Positional arguments, a JSON list.")
@click.option("--kwargs", "kwargs_json", default="{}", metavar="JSON", help="Named arguments, a JSON object.")
@click.option("--key", help="The ordering key, instead of the job's own.")
@click.option("--delay", metavar="D", help="Do not start before this much time has passed, such as 10s.")
@click.option("--at", metavar="T", help="Do not start before this time, in ISO 8601.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(
    job: str,
    modules: tuple[str, ...],
    args_json: str,
    kwargs_json: str,
    key: str | None,
    delay: str | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Enqueue a call of JOB, which is named by its name or as module.function."""
    app = load_app(modules or _module_of(job))
    args, kwargs = _parsed("--args", args_json, list), _parsed("--kwargs", kwargs_json, dict)
    declared = app.find(job)
    try:
        enqueue = declared.options(key=key, delay=delay, at=None if at is None else _time(at))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    handle = enqueue.delay(*args, **kwargs)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "id": handle.id,
                    "job": handle.job,
                    "queue": handle.queue,
                    "key": handle.key,
                    "partition": handle.partition,
                    "offset": handle.offset,
                    "due": iso(handle.due),
                }
            )
        )
    elif handle.due is None:
        click.echo(f"{handle.id} {handle.job} is at {handle.queue}[{handle.partition}]@{handle.offset}")
    else:
        place = f"{handle.queue}.delayed[{handle.partition}]@{handle.offset}"
        click.echo(f"{handle.id} {handle.job} waits at {place}, due {when(handle.due)}")


def _time(text: str) -> datetime:
    """A time in ISO 8601; without a time zone it is that of this machine."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--at {text!r} is no time such as 2026-03-01T12:00 or 2026-03-01T12:00:00+01:00"
        ) from None


def _module_of(job: str) -> tuple[str, ...]:
    """The module that a job is named after, if it is named like that."""
    from ..app import default_app

    if default_app.settings.modules:
        return ()
    return (job.rpartition(".")[0],) if "." in job else ()


def _parsed(option: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{option} {text!r} is not JSON: {error}") from None
    if not isinstance(value, kind):
        raise click.UsageError(f"{option} {text!r}: expected a JSON {'list' if kind is list else 'object'}")
    return value
