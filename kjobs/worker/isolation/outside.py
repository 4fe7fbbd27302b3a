"""A call in a cell, as the worker sees it: what is ordered, and what comes of the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import assert_never

from ...context import Context, state_of
from ...core.isolation import Isolation
from ...core.outcome import OK, Condemned, Crashed, Discarded, Failed, Outcome, Reason, Snoozed
from ...core.partition import Entry
from ...core.policy import Policy
from ...errors import CheckpointError, CheckpointRefused
from ...kafka.message import headers_of
from ..overtime import HARD, Unstoppable
from . import wire
from .cells import Cells, Died

log = logging.getLogger("kjobs.worker")

#: Seconds before a call is tried again whose process could not begin.
PAUSE = 5.0


class IsolatedError(Exception):
    """What a job raised in a process of its own; subclasses have the names of what was raised."""


class CellDied(Exception):
    """The process that ran a call by itself ended before the call did."""


def isolated(context: Context, policy: Policy, cells: Cells, draw: Callable[[], float]) -> Outcome:
    """Make an attempt in a cell.

    Args:
        context: the call.
        policy: its job's; it says what the limits are.
        cells: where to run it.
        draw: a random number in [0, 1), for the jitter of backoffs.
    """
    limit = None if policy.timeout is None else policy.timeout + HARD
    answer = cells.run(
        _order(context, policy), lambda: context.cancelled, limit, lambda asked: _save(context.entry, asked)
    )
    match answer:
        case wire.Succeeded():
            return OK
        case wire.Failed(trouble=trouble, retry_in=retry_in):
            # Its class is not here: what the policy says of it was found out where it is.
            kinds = (BaseException,)
            judged = replace(
                policy,
                retry_on=kinds if answer.retry else (),
                discard_on=kinds if answer.discard else (),
            )
            return Failed(_error(trouble), judged, draw(), retry_in)
        case wire.Snoozed(delay=delay):
            return Snoozed(delay, policy)
        case wire.Discarded(why=why):
            return Discarded(why)
        case wire.Condemned(reason=reason, trouble=trouble):
            return Condemned(Reason(reason), _error(trouble))
        case Died(begun=False):
            # The call never ran, so it is not to blame, and no attempt is counted.
            log.error(
                "the process for a call of %s ended before it could begin (%s); it is tried again in %g s%s",
                context.job,
                answer.how,
                PAUSE,
                _last(answer),
                extra={"event": "isolation.not_begun", "job": context.job, "id": context.id},
            )
            return Snoozed(PAUSE, policy)
        case Died(late=True):
            return Failed(Unstoppable(), policy, draw())
        case Died():
            return Crashed(CellDied(f"its process {answer.how}{_last(answer)}"), policy)
        case _:
            assert_never(answer)


def _save(entry: Entry, asked: wire.Save) -> wire.SaveAnswered:
    """Save what a call in a cell wants to be saved."""
    saver = entry.partition.saver
    # As of a call that is no cell's: a slot must not go on with the next one of the key by itself.
    entry.more = False
    try:
        if saver is None:
            raise CheckpointRefused("checkpoint(): nothing here can store a state")
        saver.save(entry, asked.state)
    except CheckpointError as error:
        return wire.SaveAnswered(asked.number, type(error).__name__, str(error), error.definite)
    return wire.SaveAnswered(asked.number)


def _last(died: Died) -> str:
    return f"; its last words:\n{died.words}" if died.words.strip() else ""


def _order(context: Context, policy: Policy) -> wire.Order:
    entry, record = context.entry, context.entry.record
    topic, number = entry.partition.place
    limits = policy.isolate or Isolation()  # one without is a suspect
    return wire.Order(
        topic=topic,
        partition=number,
        offset=entry.offset,
        key=entry.key,
        value=record.value(),
        headers=[(name, value) for name, value in headers_of(record)],
        timestamp_ms=record.timestamp()[1],
        queue=context.queue,
        failures=entry.failures,
        epoch=entry.partition.epoch,
        position=entry.position,
        memory=limits.bytes,
        cpu=limits.cpu_seconds,
        state=state_of(entry),
    )


def _error(trouble: wire.Trouble) -> BaseException:
    error = _kind(trouble.module, trouble.name)(trouble.text)
    error.add_note(f"In its process:\n{trouble.trace}")
    try:
        raise error
    except IsolatedError as raised:  # so that it has a traceback, which log lines and dead letters show
        return raised


@cache
def _kind(module: str, name: str) -> type[IsolatedError]:
    """A class with the name of what was raised."""
    return type(name.rpartition(".")[2], (IsolatedError,), {"__module__": module, "__qualname__": name})
