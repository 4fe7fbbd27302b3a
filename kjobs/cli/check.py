"""``kjobs check``: what a container's probe runs where no HTTP client is at hand."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import click

from ..config import load
from .table import escaped, table

#: Addresses that mean "everywhere" to a server, and where a client finds it.
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not served


@click.command("check")
@click.option("--alive", is_flag=True, help="Only whether it need not be restarted; the default is ready.")
@click.option("--address", metavar="HOST:PORT", help="Where it answers; the health setting if not given.")
@click.option("--timeout", type=float, default=5.0, show_default=True, help="Seconds for the answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per process.")
def command(alive: bool, address: str | None, timeout: float, as_json: bool) -> None:
    """Ask the worker of this container or machine whether it is ready.

    Exit codes: 0 it is, 1 it is not, or does not answer.
    """
    settings = load({"health": address})
    if settings.health is None:
        raise click.UsageError(
            "where the worker answers is not known: set `health` (KJOBS_HEALTH=127.0.0.1:8901) for it and "
            "for this command."
        )
    host, port = settings.health
    host = _HERE.get(host, host)
    name = "alive" if alive else "ready"
    path = "/healthz" if alive else "/readyz"
    told = _asked(f"http://{f'[{host}]' if ':' in host else host}:{port}{path}", timeout)
    for process in told["processes"] if as_json else ():
        click.echo(json.dumps(process))
    if not as_json:
        click.echo(f"{name}: {'yes' if told[name] else 'no'}")
        for line in table(_HEADS, map(_row, told["processes"])):
            click.echo(line)
        if hot := told.get("hot_keys"):
            click.echo("keys with the most calls in memory:")
            for line in table(_HOT_HEADS, map(_hot_row, hot)):
                click.echo(line)
    sys.exit(0 if told[name] else 1)


_HEADS = ("PROCESS", "PID", "STATE", "PARTITIONS", "OPENING", "LEASED", "RUNNING", "HELD", "SILENT")


_HOT_HEADS = ("KEY", "PARTITION", "CALLS", "OLDEST", "RUNNING", "PARKED")


def _hot_row(crowd: dict[str, Any]) -> list[str]:
    return [
        escaped(crowd["key"]),
        f"{crowd['topic']}[{crowd['partition']}]",
        str(crowd["waiting"]),
        f"{crowd['age']:.1f} s",
        "yes" if crowd["running"] else "no",
        "yes" if crowd["parked"] else "no",
    ]


def _row(process: dict[str, Any]) -> list[str]:
    vitals, silent = process["vitals"], process["silent"]
    return [
        str(process["number"]),
        str(process["pid"]),
        process["state"],
        str(vitals["partitions"]),
        str(vitals["opening"]),
        "yes" if vitals["leased"] else "no",
        str(vitals["running"]),
        str(vitals["held"]),
        "-" if silent is None else f"{silent:.1f} s",
    ]


def _asked(url: str, timeout: float) -> dict[str, Any]:
    try:
        with urlopen(url, timeout=timeout) as answer:  # noqa: S310 - built from host and port
            body = answer.read()
    except HTTPError as error:
        body = error.read()
    except (URLError, OSError) as error:
        click.echo(f"kjobs: no worker answers at {url}: {getattr(error, 'reason', error)}", err=True)
        sys.exit(1)
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "processes" not in told:
        click.echo(f"kjobs: what answers at {url} is no worker of kjobs", err=True)
        sys.exit(1)
    return told
