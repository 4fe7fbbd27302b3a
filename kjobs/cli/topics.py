"""``kjobs topics``: what topics queues need, and creating them."""

from __future__ import annotations

import json
import sys

import click

from ..connect import open_cluster
from .modules import load_app, queues_of

_queues = click.option(
    "-Q", "--queues", multiple=True, metavar="A,B", help="Queues; those of the jobs if not given."
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
_modules = click.argument("modules", nargs=-1, metavar="MODULE…")


@click.group("topics")
def command() -> None:
    """Show and create the topics that queues need."""


@command.command("plan")
@_modules
@_queues
@_json
def plan(modules: tuple[str, ...], queues: tuple[str, ...], as_json: bool) -> None:
    """Show which topics are missing. Exit code 2: some are."""
    app = load_app(modules)
    missing = open_cluster(app.settings).missing(list(queues_of(app, queues)))
    for topic in missing:
        if as_json:
            click.echo(
                json.dumps(
                    {"topic": topic.name, "partitions": topic.partitions, "config": dict(topic.config)}
                )
            )
        else:
            config = ", ".join(f"{name}={value}" for name, value in topic.config.items())
            click.echo(f"create {topic.name}: {topic.partitions} partitions, {config}")
    if missing:
        sys.exit(2)
    if not as_json:
        click.echo("nothing to do: every topic exists")


@command.command("apply")
@_modules
@_queues
@_json
@click.option("--partitions", type=click.IntRange(min=1), help="Partitions of new topics.")
def apply(modules: tuple[str, ...], queues: tuple[str, ...], as_json: bool, partitions: int | None) -> None:
    """Create the topics that are missing."""
    app = load_app(modules)
    app.configure(partitions=partitions)
    cluster = open_cluster(app.settings)
    missing = cluster.missing(list(queues_of(app, queues)))
    cluster.create(missing)
    for topic in missing:
        if as_json:
            click.echo(json.dumps({"topic": topic.name, "partitions": topic.partitions, "created": True}))
        else:
            click.echo(f"created {topic.name} with {topic.partitions} partitions")
    if not missing and not as_json:
        click.echo("nothing to do: every topic exists")
