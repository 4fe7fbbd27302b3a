"""Questions to whoever runs a command, and how far it has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import KjobsError

#: Seconds between two lines about progress where there is no terminal for a bar.
_LINE_EVERY = 1.0
#: What is less than this needs no bar while it is read.
_LONG = 20_000


def ask(question: str, did: str) -> None:
    """Ask whether something is to be done.

    Args:
        question: to be answered with yes or no.
        did: what is not done if it is not confirmed.

    Raises:
        KjobsError: it is not, or nobody can answer.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        click.echo(err=True)
        hint = "" if sys.stdin.isatty() else " Give --yes where nobody can answer."
        raise KjobsError(f"not confirmed, so nothing is {did}.{hint}") from None


@contextmanager
def progress(doing: str, did: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how far something has come: a bar on a terminal, else now and then a line."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label=doing, show_pos=True, file=sys.stderr) as bar:
            yield lambda count: bar.update(count - bar.pos)
        return
    said = time.monotonic()

    def line(count: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _LINE_EVERY:
            said = time.monotonic()
            click.echo(f"{did} {count:,} of {total:,}", err=True)

    yield line


def reading(what: str) -> Callable[[int, int], None] | None:
    """Shows, on a terminal, how much of something long is read; None where there is none.

    What it returns takes how much is read and how much there is, up to the end.
    """
    if not sys.stderr.isatty():
        return None
    bar: list[Any] = []

    def tell(done: int, total: int) -> None:
        if total < _LONG:
            return
        if not bar:
            bar.append(click.progressbar(length=total, label=f"reading {what}", file=sys.stderr))
            bar[0].render_progress()
        bar[0].update(done - bar[0].pos)
        if done >= total:
            bar.pop().render_finish()

    return tell
