"""Dead letters as people see them, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..admin.deadletter import DeadLetter, readable
from ..admin.settlement import Settlement
from ..core.ports import Headers
from .shown import bytes_json, iso, or_dash, value_text, when
from .table import block, escaped, table

_TITLES = ("id", "job", "key", "reason", "error", "attempts", "when", "place")

#: Characters of what others name, in a table; whole they are in `show` and with --json.
_ID = 48
_NAME = 40
_KEY = 24

#: Headers that are told of in other words.
_TOLD = frozenset(
    {
        "kj-id",
        "kj-job",
        "kj-reason",
        "kj-error",
        "kj-message",
        "kj-traceback",
        "kj-attempts",
        "kj-failed-at",
        "kj-replay-of",
        "kj-replays",
    }
)


def listing(letters: Iterable[DeadLetter], *, settled: bool) -> Iterator[str]:
    """The lines of a table of letters; with their states if there may be settled ones."""
    titles = (*_TITLES, "state") if settled else _TITLES
    rows = (_row(letter) for letter in letters)
    return table(titles, (row if settled else row[:-1] for row in rows))


def _row(letter: DeadLetter) -> tuple[str, ...]:
    return (
        escaped(letter.id, longest=_ID),
        or_dash(letter.job, _NAME),
        or_dash(letter.key, _KEY),
        or_dash(letter.reason, _NAME),
        or_dash(letter.error, _NAME),
        str(letter.attempts),
        "-" if letter.failed_at is None else f"{letter.failed_at.astimezone():%Y-%m-%d %H:%M:%S}",
        letter.place,
        letter.state,
    )


def whole(letter: DeadLetter, settlement: Settlement | None) -> str:
    """All there is to say of a letter."""
    told = {
        "id": letter.id,
        "job": letter.job or "-",
        "queue": letter.queue,
        "key": "-" if letter.key is None else letter.key,
        "state": letter.state + _by(settlement),
        "reason": letter.reason or "-",
        "error": letter.error or "-",
        "attempts": str(letter.attempts),
        "enqueued": when(letter.enqueued_at),
        "failed": when(letter.failed_at),
        "place": letter.place,
    }
    if letter.replay_of is not None:
        told["replay of"] = f"{letter.replay_of}, replay {letter.replays}"
    parts = ["\n".join(f"{name:<10}{escaped(text)}" for name, text in told.items())]
    headers = [
        f"{escaped(name)}: {'null' if value is None else escaped(readable(value))}"
        for name, value in _others(letter)
    ]
    for title, text in (
        ("message", letter.message),
        ("headers", "\n".join(headers)),
        ("value", value_text(letter.value)),
        ("traceback", (letter.traceback or "").rstrip("\n")),
    ):
        if text:
            parts.append(f"{title}\n{block(text)}")
    return "\n\n".join(parts)


def _others(letter: DeadLetter) -> Headers:
    """The headers that nothing else is told of."""
    return [(name, value) for name, value in letter.headers if name not in _TOLD]


def _by(settlement: Settlement | None) -> str:
    return "" if settlement is None else f" {when(settlement.at)} by {settlement.by}"


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """A letter as a JSON object. Bytes that are no text are there in base64, under another name."""
    return {
        "id": letter.id,
        "job": letter.job,
        "queue": letter.queue,
        **bytes_json("key", letter.record_key),
        "reason": letter.reason,
        "error": letter.error,
        "message": letter.message,
        "traceback": letter.traceback,
        "attempts": letter.attempts,
        "partition": letter.partition,
        "offset": letter.offset,
        "failed_at": iso(letter.failed_at),
        "enqueued_at": iso(letter.enqueued_at),
        **bytes_json("value", letter.value),
        "headers": [{"name": name, **bytes_json("value", value)} for name, value in _others(letter)],
        "replay_of": letter.replay_of,
        "replays": letter.replays,
        "state": letter.state,
    }
