"""Which calls a test means: of a job, with arguments, with a key."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import msgspec

from ..app import App
from ..core.arguments import Mismatch, encode_other
from ..errors import ArgumentError
from ..job import Job, Key
from .calls import RecordedCall, short, spelled

_encode = msgspec.json.Encoder(enc_hook=encode_other).encode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What calls have to be like to be meant.

    Attributes:
        job: whose calls.
        text: the call as it would be written.
        arguments: its arguments by parameter, defaults included; None for any.
        key: its key as text; ``...`` for any.
    """

    job: Job[Any, Any]
    text: str
    arguments: Mapping[str, Any] | None
    key: str | EllipsisType | None

    def of_job(self, call: RecordedCall) -> bool:
        """Whether it is a call of the job, with whatever arguments."""
        return call.job == self.job.name or call.job in self.job.aliases

    def fits(self, call: RecordedCall) -> bool:
        """Whether it is one of the calls that are meant."""
        if not self.of_job(call) or (self.key is not ... and self.key != call.key):
            return False
        if self.arguments is None:
            return True
        try:
            given = _bound(self.job, call.args, call.kwargs)
        except TypeError:
            return False  # enqueued when the job had other parameters
        return given.keys() == self.arguments.keys() and all(
            _alike(value, given[name]) for name, value in self.arguments.items()
        )

    def __str__(self) -> str:
        return self.text if self.key is ... else f"{self.text} with key={short(self.key)}"


def wanted(
    app: App,
    job: Job[Any, Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    key: Key | EllipsisType,
    claim: str,
) -> Wanted:
    """The calls of a job that are meant: without arguments all of them, else those with the same ones.

    Raises:
        UnknownJob: no job has this name.
        ArgumentError: no call of the job could have these arguments.
    """
    found = app.find(job) if isinstance(job, str) else job
    text = key if key is None or key is ... else str(key)
    if not args and not kwargs:
        return Wanted(found, found.name, None, text)
    try:
        found.arguments.check(args, kwargs)
    except Mismatch as error:
        raise ArgumentError(f"{claim}(): {found.name} {error}") from None
    return Wanted(found, spelled(found.name, args, kwargs), _bound(found, args, kwargs), text)


def _bound(job: Job[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    bound = inspect.signature(job.function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _alike(expected: Any, given: Any) -> bool:
    """Whether two values are the same, or are the same on the wire, as a UUID and its text are."""
    if expected == given:
        return True
    try:
        return bool(msgspec.json.decode(_encode(expected)) == msgspec.json.decode(_encode(given)))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
