"""The deferred store's log: records of the ``.delayed`` topic, read and written.

The names and meanings of the headers are in ``docs/wire-format.md``.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ..core.deferred import QUEUED, Answered, Change, End, Move, Rank, Row, Verdict
from ..core.envelope import Malformed, decode
from ..core.ports import Headers

DUE = "kj-due"
KEY = "kj-key"
RELAXED = "kj-relaxed"
FAILURES = "kj-failures"
CRASHES = "kj-crashes"
SINCE = "kj-since"
RANK = "kj-rank"
TOPIC_ID = "kj-topic-id"
OWNER = "kj-owner"
EXPIRES = "kj-expires"
NULL = "kj-null"
OF = "kj-of"
STATE = "kj-state"
REQUEST = "kj-request"
MOVE = "kj-move"
ANSWER = "kj-answer"

#: No number is as large, and every store can hold those that are not.
_ENDLESS = 1 << 62

_OWN = frozenset(
    {DUE, KEY, RELAXED, FAILURES, CRASHES, SINCE, RANK, TOPIC_ID, OWNER, EXPIRES, NULL, OF, STATE}
)
#: What a call's own headers cannot be called, or it would be read as something else.
_TAKEN = _OWN | {REQUEST, MOVE, ANSWER}


class Written:
    """A record to be written: its key, value and headers."""

    __slots__ = ("headers", "key", "value")

    def __init__(self, key: str, value: bytes | None, headers: Headers) -> None:
        self.key = name_bytes(key)
        self.value = value
        self.headers = headers


def name_bytes(name: str) -> bytes:
    """An id as it is in the log. What others wrote there need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def name_text(name: bytes | None) -> str:
    """An id as kjobs has it."""
    return "" if name is None else name.decode("utf-8", "surrogateescape")


# --- writing -------------------------------------------------------------------------------------


def delayed(
    due_ms: int, key: bytes | None, *, relaxed: bool, headers: Headers | None
) -> list[tuple[str, bytes | None]]:
    """The headers of a call that an enqueuer delays."""
    own: list[tuple[str, bytes | None]] = [*headers] if headers else []
    own.append((DUE, b"%d" % due_ms))
    if key is not None:
        own.append((KEY, key))
        if relaxed:
            own.append((RELAXED, b"1"))
    return own


def enqueued(row: Row, headers: Headers) -> Row:
    """A call of the queue with the headers it has there; a replayed one may bring a state."""
    state = next((text for name, text in headers if name == STATE), None)
    return replace(row, headers=headers or None, state=state if row.state is None else row.state)


def written(change: Change) -> Written:
    """A change as a record."""
    match change:
        case Row():
            # Not null, or it would be a tombstone.
            return Written(change.id, change.value or b"", _row_headers(change))
        case End():
            own = _numbers((OF, change.of))
            own += _owner(change.owner)
            if change.request:
                own.append((REQUEST, name_bytes(change.request)))
            return Written(change.id, None, own)
        case Move():
            # Not null, or compaction would take it for a tombstone.
            return Written(
                change.request, b"", [(MOVE, name_bytes(change.id)), *_numbers((DUE, change.due_ms))]
            )
        case Answered():
            return Written(change.request, None, [(ANSWER, change.verdict.encode())])


def _row_headers(row: Row) -> Headers:
    others = [(name, text) for name, text in row.headers or () if name not in _TAKEN]
    own = delayed(row.due_ms, row.key, relaxed=row.relaxed, headers=others)
    if row.value is None:
        own.append((NULL, b"1"))
    own += _numbers((SINCE, row.since_ms), (EXPIRES, row.expires_ms), (OF, row.of if row.of >= 0 else None))
    if row.failures:
        own += _numbers((FAILURES, row.failures))
    if row.crashes:
        own += _numbers((CRASHES, row.crashes))
    if row.rank is not None:
        place, turn = row.rank
        own.append((RANK, b"%d" % place if turn == QUEUED else b"%d.%d" % (place, turn)))
        own.append((TOPIC_ID, row.topic_id.encode()))
    if row.state is not None:
        own.append((STATE, row.state))
    return own + _owner(row.owner)


def _owner(owner: tuple[int, str]) -> list[tuple[str, bytes | None]]:
    return [(OWNER, f"{owner[0]}.{owner[1]}".encode())] if owner[1] else []


def _numbers(*named: tuple[str, int | None]) -> list[tuple[str, bytes | None]]:
    return [(name, b"%d" % number) for name, number in named if number is not None]


# --- reading -------------------------------------------------------------------------------------


def change(key: bytes | None, value: bytes | None, headers: Headers, offset: int) -> Change:
    """A record as a change; whatever it is, it is one.

    A record that is no call comes out as one all the same: it will be found out, and buried, when it runs.
    """
    own: dict[str, bytes] = {}
    others: list[tuple[str, bytes | None]] = []
    for name, text in headers:
        if name in _OWN:
            own[name] = text or b""
        else:
            others.append((name, text))
    name = name_text(key)
    if value is None:
        return _ended(name, own, others, offset)
    for other, text in others:
        if other == MOVE and name:
            return Move(request=name, id=name_text(text), due_ms=_number(own, DUE) or 0, offset=offset)
    due_ms = _number(own, DUE)
    if due_ms is None:
        due_ms = _told_due(value)
    since_ms = _number(own, SINCE)
    of = _number(own, OF)
    return Row(
        id=f"@{offset}" if key is None else name,
        value=None if NULL in own else value,
        due_ms=due_ms,
        key=own.get(KEY),
        relaxed=RELAXED in own,
        failures=max(0, _number(own, FAILURES) or 0),
        crashes=max(0, _number(own, CRASHES) or 0),
        since_ms=due_ms if since_ms is None else since_ms,
        rank=_rank(own.get(RANK)),
        topic_id=own.get(TOPIC_ID, b"").decode("ascii", "replace"),
        owner=_owner_of(own),
        expires_ms=_number(own, EXPIRES),
        headers=others or None,
        state=own.get(STATE),
        of=-1 if of is None else max(-1, of),
        offset=offset,
    )


def _ended(
    name: str, own: Mapping[str, bytes], others: list[tuple[str, bytes | None]], offset: int
) -> End | Answered:
    request = ""
    for other, text in others:
        if other == ANSWER:
            try:
                return Answered(request=name, verdict=Verdict((text or b"").decode()), offset=offset)
            except ValueError:
                return Answered(request=name, verdict=Verdict.UNKNOWN, offset=offset)
        if other == REQUEST:
            request = name_text(text)
    return End(id=name, of=_number(own, OF), owner=_owner_of(own), request=request, offset=offset)


def _number(own: Mapping[str, bytes], name: str) -> int | None:
    text = own.get(name)
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) < _ENDLESS else None


def _rank(text: bytes | None) -> Rank | None:
    if text is None:
        return None
    place, dot, turn = text.partition(b".")
    try:
        rank = int(place), int(turn) if dot else QUEUED
    except ValueError:
        return None
    return rank if max(map(abs, rank)) < _ENDLESS else None


def _owner_of(own: Mapping[str, bytes]) -> tuple[int, str]:
    text, _, name = own.get(OWNER, b"").partition(b".")
    try:
        epoch = int(text)
    except ValueError:
        return 0, ""
    return (epoch, name.decode("ascii", "replace")) if abs(epoch) < _ENDLESS else (0, "")


def _told_due(value: bytes) -> int:
    try:
        return decode(value).due or 0
    except Malformed:
        return 0
