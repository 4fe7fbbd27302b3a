"""``kjobs delayed``: delayed calls, to look at, to cancel and to give another time."""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from itertools import islice
from typing import Any

import click

from ..admin.delayed import DelayedCalls, DelayedOutcome, DelayedSurvey
from ..admin.delayedcall import DelayedCall, State
from ..admin.delayedfilter import ALL, DelayedFilter
from ..app import default_app
from ..core.deferred import Verdict
from ..core.duration import seconds
from ..errors import KjobsError
from .asking import ask, progress, reading
from .modules import load_app
from .shown import json_line, when
from .table import escaped
from .waiting import as_json, away, listing, whole

#: Kinds of calls told before something is done to them.
_KINDS = 10

#: What each verdict means, for those who asked.
_MEANINGS = {
    Verdict.CANCELLED: "for certain: no attempt runs, and none will begin",
    Verdict.MOVED: "for certain: no attempt runs, and none will begin before the new time",
    Verdict.STARTED: "an attempt runs, or is about to; if it fails there will be no other",
    Verdict.GONE: "wait no more: ended, cancelled before, or replaced",
    Verdict.UNKNOWN: "nobody answered; the wish is in Kafka, and counts for what has not begun by then",
}
_LEFT_ALONE = "an attempt runs, or is about to; nothing is changed"
_NO_WORKER = "Workers that have the partitions of {} must run for certain answers."


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time, given as how long from now or in ISO 8601."""
    if value is None:
        return None
    try:
        # Without a time zone it is that of this machine.
        return datetime.fromisoformat(value).astimezone()
    except ValueError:
        pass
    try:
        return datetime.now(UTC) + timedelta(seconds=seconds(value))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a duration such as 30m, 2h or 7d, which means so long from now, nor a "
            "time such as 2026-03-01 or 2026-03-01T12:00:00+01:00"
        ) from None


def _delayed_by(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time, given as how long from now."""
    try:
        return None if value is None else datetime.now(UTC) + timedelta(seconds=seconds(value))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None


_queue = click.argument("queue")
_module = click.option(
    "-m",
    "--module",
    metavar="MODULE",
    help="Module or module:app whose settings count, if these are in code.",
)
_as_json = click.option("--json", "as_json_", is_flag=True, help="JSON, one object a line.")


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which calls are meant, as the argument ``matching``."""

    def filtered(
        job: str | None,
        key: str | None,
        state: str | None,
        due_after: datetime | None,
        due_before: datetime | None,
        ids: tuple[str, ...],
        names: tuple[str, ...] = (),
        **others: Any,
    ) -> None:
        matching = DelayedFilter(
            job=job,
            key=key,
            state=None if state is None else State(state),
            due_after=due_after,
            due_before=due_before,
            ids=frozenset(ids + names),
        )
        command(matching=matching, **others)

    update_wrapper(filtered, command)  # with the options it has already
    states = click.Choice([str(state) for state in State])
    options = (
        click.option("--job", metavar="NAME", help="Calls of this job."),
        click.option("--key", metavar="K", help="Calls with this ordering key."),
        click.option("--state", type=states, help="What they wait for: their time, a retry, or their turn."),
        click.option(
            "--due-before", callback=_moment, metavar="T", help="Due before: 2h (from now), or in ISO 8601."
        ),
        click.option(
            "--due-after", callback=_moment, metavar="T", help="Due then or later: as --due-before."
        ),
        click.option(
            "--id", "ids", multiple=True, metavar="ID", help="Call's id, or partition@offset; repeatable."
        ),
    )
    wrapped: Callable[..., None] = filtered
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _acts(command: Callable[..., None]) -> Callable[..., None]:
    """Add what commands have that do something to calls."""
    for option in reversed(
        (
            _queue,
            click.argument("names", nargs=-1, metavar="[ID]..."),
            _filters,
            click.option("--all", "all_", is_flag=True, help="All of them."),
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option("--dry-run", is_flag=True, help="Only tell what would be done."),
            _as_json,
            _module,
        )
    ):
        command = option(command)
    return command


@click.group("delayed")
def command() -> None:
    """Look at delayed calls, cancel them, or give them another time.

    A delayed call waits in its queue's deferred store until its time has come. So do calls whose next
    attempt is more than 30 seconds away, and calls that wait behind one of these with the same key.
    """


@command.command("list")
@_queue
@_filters
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the N that are due first.")
@_as_json
@_module
def list_(queue: str, matching: DelayedFilter, limit: int | None, as_json_: bool, module: str | None) -> None:
    """List the delayed calls of QUEUE, those that are due first at first.

    Calls without a time, which wait for their turn behind others of their key, are at the end. What is due
    already is about to run, runs, or has no worker.
    """
    counts: Counter[State] = Counter()
    now = datetime.now(UTC)
    overdue = 0

    def counted(calls: Iterator[DelayedCall]) -> Iterator[DelayedCall]:
        nonlocal overdue
        for call in calls:
            counts[call.state] += 1
            overdue += call.overdue(now)
            yield call

    with _open(queue, module) as calls:
        found = counted(calls.list(matching, progress=reading(queue)))
        shown = found if limit is None else islice(found, limit)
        for line in map(json_line, map(as_json, shown)) if as_json_ else listing(shown, now):
            click.echo(line)
        for _ in found:
            pass  # they are counted
    if as_json_:
        return
    count = counts.total()
    if not count:
        click.echo(_none(queue, matching), err=True)
        return
    first = f"the first {limit:,} of " if limit is not None and count > limit else ""
    states = ", ".join(f"{counts[state]:,} {state}" for state in State if counts[state])
    late = f"; {overdue:,} due already" if overdue else ""
    click.echo(f"{first}{_spoken(count)} of {queue}: {states}{late}", err=True)


@command.command("show")
@_queue
@click.argument("name", metavar="[ID]", required=False)
@click.option("--id", "id_", metavar="ID", help="The same as the argument.")
@_as_json
@_module
def show(queue: str, name: str | None, id_: str | None, as_json_: bool, module: str | None) -> None:
    """Show one delayed call of QUEUE, whole.

    ID is the call's id, or partition@offset as the list tells them.
    """
    wanted = name or id_
    if wanted is None or (name and id_ and name != id_):
        raise click.UsageError("name one call, by its ID or its partition@offset")
    with _open(queue, module) as calls:
        found = calls.find(wanted, progress=reading(queue))
    if not found:
        raise KjobsError(
            f"{queue} has no delayed call {escaped(wanted)}: it has ended, was cancelled, or never was "
            f"there; `kjobs delayed list {queue}` lists those that wait"
        )
    if as_json_:
        click.echo(json_line(as_json(found[0])))
    else:
        click.echo(whole(found[0], datetime.now(UTC)))
    if len(found) > 1:
        others = ", ".join(other.place for other in found[1:])
        click.echo(f"\nothers have the same id: {others}", err=True)


@command.command("cancel")
@_acts
def cancel(queue: str, matching: DelayedFilter, module: str | None, **how: bool) -> None:
    """Let delayed calls of QUEUE not run: those with these IDs, those that the options tell, or --all.

    The worker that has a call answers for it, so workers must run for certain answers. What nobody answers
    is unknown: the wish stays in Kafka, and counts for a call that has not begun when a worker reads it.
    Exit code 1: some are unknown, or something failed.
    """
    with _open(queue, module) as calls:
        _settle(calls, matching, None, **how)


@command.command("reschedule")
@_acts
@click.option(
    "--at", callback=_moment, metavar="T", help="Not to start before: a time in ISO 8601, or 2h (from now)."
)
@click.option("--delay", callback=_delayed_by, metavar="D", help="Not to start before so long from now: 2h.")
def reschedule(
    queue: str,
    matching: DelayedFilter,
    at: datetime | None,
    delay: datetime | None,
    module: str | None,
    **how: bool,
) -> None:
    """Let delayed calls of QUEUE run at another time, and not before.

    Those with these IDs, those that the options tell, or --all. Calls with a key give up their places in
    its order, and take one when they are due. A call has as long as before to start until it expires.

    The worker that has a call answers for it, so workers must run for certain answers. What nobody answers
    is unknown: the wish stays in Kafka, and counts for a call that has not begun when a worker reads it.
    Exit code 1: some are unknown, or something failed.
    """
    due = at or delay
    if due is None or (at is not None and delay is not None):
        raise click.UsageError("give the new time, with --at or with --delay")
    with _open(queue, module) as calls:
        _settle(calls, matching, due, **how)


def _settle(
    calls: DelayedCalls,
    matching: DelayedFilter,
    due: datetime | None,
    *,
    all_: bool,
    yes: bool,
    dry_run: bool,
    as_json_: bool,
) -> None:
    """Count, ask, act and tell."""
    if all_ == (matching != ALL):
        raise click.UsageError("name calls by their IDs or by options; or give --all, and nothing else")
    do, did = ("cancel", "cancelled") if due is None else ("reschedule", "rescheduled")
    survey = calls.survey(matching, progress=reading(calls.queue))
    outcome = DelayedOutcome({})
    if not survey.calls:
        click.echo(f"{_none(calls.queue, matching)}: nothing to {do}", err=True)
    else:
        _tell(survey, calls.queue, matching)
        if not dry_run:
            if not yes:
                to = "" if due is None else f" to {when(due)}"
                ask(f"{do.capitalize()} {_spoken(survey.calls)} of {calls.queue}{to}?", did)
            outcome = _act(calls, matching, due, survey)
    if as_json_:
        verdicts = {str(verdict): outcome.of(verdict) for verdict in _kinds(due)}
        result = {"queue": calls.queue, "matched": survey.calls, **verdicts, "dry_run": dry_run}
        click.echo(json_line(result))
    elif dry_run and survey.calls:
        click.echo(f"would {do} {_spoken(survey.calls)} of {calls.queue}")
    elif survey.calls:
        for verdict in _kinds(due):
            if (count := outcome.of(verdict)) or verdict:
                begun = due is not None and verdict is Verdict.STARTED
                click.echo(f"{count:>9,}  {verdict:<9}  {_LEFT_ALONE if begun else _MEANINGS[verdict]}")
    if outcome.of(Verdict.UNKNOWN):
        click.echo(_NO_WORKER.format(calls.queue), err=True)
        sys.exit(1)


def _act(
    calls: DelayedCalls, matching: DelayedFilter, due: datetime | None, survey: DelayedSurvey
) -> DelayedOutcome:
    known = DelayedOutcome({})
    try:
        with progress("cancelling" if due is None else "rescheduling", "answered", survey.calls) as tell:

            def told(outcome: DelayedOutcome) -> None:
                nonlocal known
                known = outcome
                tell(outcome.calls)

            if due is None:
                return calls.cancel(matching, progress=told, within=survey)
            return calls.reschedule(due, matching, progress=told, within=survey)
    except KeyboardInterrupt:
        did = _kinds(due)[0]
        raise KjobsError(
            f"interrupted when {known.of(did):,} of {survey.calls:,} calls were {did}. Up to a thousand "
            "others were asked for by then, and that counts. Begin again to go on."
        ) from None


def _kinds(due: datetime | None) -> tuple[Verdict, ...]:
    """The verdicts there may be, the good one first."""
    good = Verdict.CANCELLED if due is None else Verdict.MOVED
    return (good, Verdict.STARTED, Verdict.GONE, Verdict.UNKNOWN)


def _tell(survey: DelayedSurvey, queue: str, matching: DelayedFilter) -> None:
    """Say what will be touched."""
    click.echo(f"{_spoken(survey.calls)} of {queue}:", err=True)
    kinds = heapq.nlargest(_KINDS, survey.kinds.items(), key=lambda kind: kind[1])
    for kind, count in kinds:
        job, state = kind or ("others", "")
        name = escaped(f"{job or 'of no known job'}  {state}".rstrip(), longest=100)
        click.echo(f"{count:>9,}  {name}", err=True)
    if len(survey.kinds) > len(kinds):
        rest = survey.calls - sum(count for _, count in kinds)
        click.echo(f"{rest:>9,}  of {len(survey.kinds) - len(kinds):,} other kinds", err=True)
    if survey.soonest is not None:
        click.echo(f"due {_span(survey.soonest, survey.latest)}", err=True)
    if survey.calls < len(matching.ids):
        click.echo(
            f"{len(matching.ids):,} are named: the others have ended, were cancelled, or never were there",
            err=True,
        )


def _span(soonest: datetime, latest: datetime | None) -> str:
    now = datetime.now(UTC)
    first = f"{when(soonest)} ({away(soonest, now)})"
    return first if latest in (None, soonest) else f"from {first} to {when(latest)} ({away(latest, now)})"


def _open(queue: str, module: str | None) -> DelayedCalls:
    app = default_app if module is None else load_app([module])
    try:
        return DelayedCalls(app, queue)
    except ValueError as error:
        if isinstance(error, KjobsError):
            raise
        raise click.UsageError(str(error)) from None


def _none(queue: str, matching: DelayedFilter) -> str:
    return f"no delayed calls of {queue}{' match' if matching != ALL else ''}"


def _spoken(count: int) -> str:
    return f"{count:,} delayed call{'' if count == 1 else 's'}"
