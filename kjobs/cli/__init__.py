"""The ``kjobs`` command. Each command is a module of this package, loaded when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from .. import __version__
from ..errors import ConfigError, DeclarationError, KjobsError

#: Where each command is and what it does; the summaries here save importing all to print the help.
_COMMANDS = {
    "worker": "Run calls of the jobs in some modules.",
    "demo": "Show the main job on a broker of its own, in seconds.",
    "check": "Ask a running worker whether it is alive and ready.",
    "dev": "Run a broker and a worker that reloads, for development.",
    "call": "Enqueue one call.",
    "topics": "Show and create the topics that queues need.",
    "dead": "Look at dead letters, replay or discard them.",
    "delayed": "Look at delayed calls, cancel them or give them another time.",
}


class _Commands(click.Group):
    """Loads a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f".{cmd_name}", __name__).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, "-V", "--version", message="kjobs %(version)s")
def group() -> None:
    """Background jobs on Apache Kafka.

    Settings come from options, from KJOBS_… variables, from kjobs.toml or [tool.kjobs] in
    pyproject.toml, in that order.
    """


def main() -> None:
    """Run the command; errors of kjobs are told in a sentence, with exit code 1, or 2 for wrong usage."""
    try:
        group.main(standalone_mode=True)
    except (ConfigError, DeclarationError) as error:
        click.echo(f"kjobs: {error}", err=True)
        sys.exit(2)
    except KjobsError as error:
        click.echo(f"kjobs: {error}", err=True)
        sys.exit(1)
