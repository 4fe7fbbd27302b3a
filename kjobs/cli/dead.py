"""``kjobs dead``: dead letters, to look at, to replay and to discard."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from typing import Any

import click

from ..admin.dead import DeadLetters, Survey
from ..admin.deadletter import DeadLetter
from ..admin.filters import ALL, Filter
from ..app import default_app
from ..core.duration import seconds
from ..core.outcome import Reason
from ..errors import KjobsError
from .asking import ask
from .asking import progress as progress_of
from .letters import as_json, listing, whole
from .modules import load_app
from .shown import json_line
from .table import escaped

#: Kinds of letters told before something is done to them.
_KINDS = 10


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time, given as how long ago or in ISO 8601."""
    if value is None:
        return None
    try:
        # Without a time zone it is that of this machine.
        return datetime.fromisoformat(value).astimezone()
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(value))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a duration such as 30m, 2h or 7d, which means so long ago, nor a time "
            "such as 2026-03-01 or 2026-03-01T12:00:00+01:00"
        ) from None


_queue = click.argument("queue")
_module = click.option(
    "-m",
    "--module",
    metavar="MODULE",
    help="Module or module:app whose settings count, if these are in code.",
)
_as_json = click.option("--json", "as_json_", is_flag=True, help="JSON, one object a line.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which letters are meant, as the argument ``matching``."""

    def filtered(
        job: str | None,
        key: str | None,
        error: str | None,
        reason: str | None,
        since: datetime | None,
        until: datetime | None,
        ids: tuple[str, ...],
        **others: Any,
    ) -> None:
        matching = Filter(
            job=job, key=key, error=error, reason=reason, since=since, until=until, ids=frozenset(ids)
        )
        command(matching=matching, **others)

    update_wrapper(filtered, command)  # with the options it has already
    reasons = click.Choice([str(reason) for reason in Reason])
    options = (
        click.option("--job", metavar="NAME", help="Calls of this job."),
        click.option("--key", metavar="K", help="Calls with this ordering key."),
        click.option("--error", metavar="CLASS", help="Exception's class, its full name or the end of it."),
        click.option("--reason", type=reasons, help="Why they were given up."),
        click.option(
            "--since", callback=_moment, metavar="T", help="Died since: 2h (ago), or a time in ISO 8601."
        ),
        click.option(
            "--until", callback=_moment, metavar="T", help="Died before: 2h (ago), or a time in ISO 8601."
        ),
        click.option(
            "--id", "ids", multiple=True, metavar="ID", help="Call's id, or partition@offset; repeatable."
        ),
    )
    wrapped: Callable[..., None] = filtered
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


@click.group("dead")
def command() -> None:
    """Look at dead letters, replay or discard them.

    A dead letter is a call that was given up on. It waits in its queue's dead letter topic, with its bytes
    as they were and with headers that say what happened, until it is replayed, discarded, or too old.
    """


@command.command("list")
@_queue
@_filters
@click.option("--all", "settled", is_flag=True, help="Also those that were replayed or discarded.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the N newest.")
@_as_json
@_module
def list_(
    queue: str, matching: Filter, settled: bool, limit: int | None, as_json_: bool, module: str | None
) -> None:
    """List the dead letters of QUEUE, partition by partition, the oldest first."""
    letters: Iterable[DeadLetter] = _open(queue, module).list(matching, settled=settled)
    count = 0

    def counted() -> Iterator[DeadLetter]:
        nonlocal count
        for count, letter in enumerate(letters, start=1):  # noqa: B007 - it is the count
            yield letter

    shown: Iterable[DeadLetter] = counted() if limit is None else _newest(counted(), limit)
    lines = map(json_line, map(as_json, shown)) if as_json_ else listing(shown, settled=settled)
    for line in lines:
        click.echo(line)
    if as_json_:
        return
    if limit is not None and count > limit:
        click.echo(f"the {limit:,} newest of {count:,}", err=True)
    elif not count:
        click.echo(_none(queue, matching), err=True)


def _newest(letters: Iterable[DeadLetter], limit: int) -> list[DeadLetter]:
    """The last of them, the oldest of these first."""

    def died(letter: DeadLetter) -> tuple[float, int, int]:
        at = letter.failed_at
        return (at.timestamp() if at is not None else 0.0, letter.partition, letter.offset)

    return heapq.nlargest(limit, letters, key=died)[::-1]


@command.command("show")
@_queue
@click.argument("name", metavar="[ID]", required=False)
@click.option("--id", "id_", metavar="ID", help="The same as the argument.")
@_as_json
@_module
def show(queue: str, name: str | None, id_: str | None, as_json_: bool, module: str | None) -> None:
    """Show one dead letter of QUEUE, whole.

    ID is the id of its call, or partition@offset as the list tells them. Of a call that died several
    times, the last death is shown.
    """
    wanted = name or id_
    if wanted is None or (name and id_ and name != id_):
        raise click.UsageError("name one letter, by its ID or its partition@offset")
    letters = _open(queue, module)
    found = letters.find(wanted)
    if not found:
        raise KjobsError(
            f"{queue} has no dead letter {escaped(wanted)}; `kjobs dead list {queue} --all` lists them all"
        )
    letter = found[-1]
    if as_json_:
        click.echo(json_line(as_json(letter)))
        return
    click.echo(whole(letter, letters.settlement(letter)))
    if len(found) > 1:
        others = ", ".join(f"{other.place} ({other.state})" for other in found[:-1])
        click.echo(f"\nthis call died before: {others}", err=True)


@command.command("replay")
@_queue
@_filters
@_yes
@_dry_run
@_as_json
@_module
def replay(
    queue: str, matching: Filter, yes: bool, dry_run: bool, as_json_: bool, module: str | None
) -> None:
    """Put calls back into QUEUE: all of its dead letters, or those that the options tell.

    Each call has its bytes, key and headers as they were. Calls of one key come in the order in which they
    died, after those of that key that wait already. When they expire does not count any more.

    What was replayed when the command is interrupted is not replayed again by the next: begin it again to
    go on. Of two commands at the same time, the later takes over. For that, each call is put back and
    settled in one Kafka transaction. The embedded broker has no real ones: there, a call may be replayed
    twice.
    """
    letters = _open(queue, module)
    _settle(letters, letters.replay, ("replay", "replayed"), matching, yes, dry_run, as_json_)


@command.command("discard")
@_queue
@_filters
@_yes
@_dry_run
@_as_json
@_module
def discard(
    queue: str, matching: Filter, yes: bool, dry_run: bool, as_json_: bool, module: str | None
) -> None:
    """Settle dead letters of QUEUE without running them: all, or those that the options tell.

    They are listed no more, but with --all, and stay in the topic until its retention removes them.
    """
    letters = _open(queue, module)
    _settle(letters, letters.discard, ("discard", "discarded"), matching, yes, dry_run, as_json_)


def _settle(
    letters: DeadLetters,
    action: Callable[..., int],
    verb: tuple[str, str],
    matching: Filter,
    yes: bool,
    dry_run: bool,
    as_json_: bool,
) -> None:
    """Count, ask, act and tell."""
    do, did = verb
    survey = letters.survey(matching)
    done = 0
    if not survey.letters:
        click.echo(f"{_none(letters.queue, matching)}: nothing to {do}", err=True)
    else:
        _tell(survey, letters.queue)
        if letters.embedded and do == "replay":
            click.echo("(embedded broker: if this is interrupted, a call may be replayed twice)", err=True)
        if not dry_run:
            if not yes:
                ask(f"{do.capitalize()} {_spoken(survey.letters)} of {letters.queue}?", did)
            done = _act(action, matching, survey, do, did)
    if as_json_:
        result = {"queue": letters.queue, "matched": survey.letters, did: done, "dry_run": dry_run}
        click.echo(json_line(result))
    elif survey.letters:
        click.echo(
            f"would {do} {_spoken(survey.letters)} of {letters.queue}"
            if dry_run
            else f"{did} {_spoken(done)} of {letters.queue}"
        )


def _act(action: Callable[..., int], matching: Filter, survey: Survey, do: str, did: str) -> int:
    done = 0
    try:
        with progress_of(f"{do}ing", did, survey.letters) as tell:

            def progress(count: int) -> None:
                nonlocal done
                done = count
                tell(count)

            return action(matching, progress=progress, within=survey)
    except KeyboardInterrupt:
        raise KjobsError(
            f"interrupted when {done:,} of {survey.letters:,} letters were {did}. Begin again to go on; no "
            f"letter is {did} twice."
        ) from None


def _tell(survey: Survey, queue: str) -> None:
    """Say what will be touched."""
    click.echo(f"{_spoken(survey.letters)} of {queue}:", err=True)
    kinds = heapq.nlargest(_KINDS, survey.kinds.items(), key=lambda kind: kind[1])
    for kind, count in kinds:
        job, error = kind or ("others", "")
        name = escaped(f"{job or 'of no known job'}  {error}".rstrip(), longest=100)
        click.echo(f"{count:>9,}  {name}", err=True)
    if len(survey.kinds) > len(kinds):
        rest = survey.letters - sum(count for _, count in kinds)
        click.echo(f"{rest:>9,}  of {len(survey.kinds) - len(kinds):,} other kinds", err=True)


def _open(queue: str, module: str | None) -> DeadLetters:
    app = default_app if module is None else load_app([module])
    try:
        return DeadLetters(app, queue)
    except ValueError as error:
        if isinstance(error, KjobsError):
            raise
        raise click.UsageError(str(error)) from None


def _none(queue: str, matching: Filter) -> str:
    return f"no dead letters of {queue}{' match' if matching != ALL else ''}"


def _spoken(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"
