"""The store in Redis says what the one in a local file says, whatever is done with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kjobs.core.deferred import QUEUED, End, Kind, Row
from kjobs.core.ports import DeferredStore
from kjobs.deferred.sqlite import SqliteStore
from tests.redis.log import Log
from tests.servers.redis import Redis

_IDS = [f"id-{n}" for n in range(12)] + ["not-utf8-\udcff"]
_KEYS = [b"", b"a", b"ab", b"\x00\x01", b"\xff\xff"]
_STEPS = 80

Step = Callable[[DeferredStore], Any]


def changes(draw: random.Random, offset: int) -> tuple[list[Row | End], int]:
    """Some changes, and one past the last offset of theirs."""
    found: list[Row | End] = []
    for _ in range(draw.randrange(1, 8)):
        offset += draw.randrange(1, 3)
        call_id = draw.choice(_IDS)
        of = draw.choice([None, -1, draw.randrange(offset + 1)])
        if draw.random() < 0.4:
            found.append(End(id=call_id, of=of, offset=offset))
            continue
        ranks = [None, (offset, QUEUED), (draw.randrange(20), draw.randrange(1, 5)), (offset - 5000, QUEUED)]
        found.append(
            Row(
                id=call_id,
                value=draw.choice([None, b"", b"value"]),
                due_ms=draw.choice([0, 0, draw.randrange(100)]),
                key=draw.choice([None, *_KEYS]),
                relaxed=draw.random() < 0.2,
                failures=draw.randrange(3),
                since_ms=draw.randrange(100),
                rank=draw.choice(ranks),
                topic_id="id of the queue",
                owner=(3, "owner"),
                expires_ms=draw.choice([None, 0, 99]),
                headers=draw.choice([None, [("a", None), ("a", b"\xff")]]),
                of=-1 if of is None else of,
                offset=offset,
            )
        )
    if draw.random() < 0.2:
        found.reverse()
    return found, offset + 1


def step(draw: random.Random, offset: int) -> tuple[str, Step, int]:
    """Something to do or to ask; its name, and the end of the log after it."""
    now, limit = draw.randrange(120), draw.randrange(1, 5)
    match draw.choice("aaaaaddddnlllLshhrrotg"):
        case "a":
            found, end = changes(draw, offset)
            position = draw.choice([None, end])

            def apply(store: DeferredStore) -> Any:
                applied = store.apply(found, position)
                return list(applied.survivors), set(applied.lanes)

            return "apply", apply, end
        case "d":
            kind = draw.choice(list(Kind))
            return "due", lambda store: list(store.due(kind, now, limit)), offset
        case "n":
            return "next_due", lambda store: [store.next_due(kind) for kind in Kind], offset
        case "l":
            key, read = draw.choice([*_KEYS, b"none"]), draw.choice([0, 10, 1000])

            def lane(store: DeferredStore) -> Any:
                rows, head = store.lane(key, read, now, limit)
                return list(rows), head

            return "lane", lane, offset
        case "L":
            return "lanes", lambda store: dict(store.lanes()), offset
        case "s":
            low = draw.choice([0, 5, -10_000])
            return "sources", lambda store: set(store.sources(low)), offset
        case "h":
            some = [draw.randrange(offset + 1) for _ in range(3)]
            return "hold", lambda store: store.hold(some), offset
        case "r":
            some = [draw.randrange(offset + 1) for _ in range(8)]
            return "release", lambda store: store.release(some), offset
        case "t":
            return "taken", lambda store: [store.taken(call_id) for call_id in _IDS], offset
        case "g":
            return "get", lambda store: [store.get(call_id) for call_id in _IDS], offset
        case _:
            return "state", lambda s: (s.lowest(), s.last_turn(), s.count, s.position), offset


@pytest.mark.parametrize("seed", range(40))
def test_both_stores_say_the_same(shared_redis: Redis, log: Log, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    file = tmp_path / "index.sqlite"
    mine: DeferredStore = log.open(shared_redis.url)
    other: DeferredStore = SqliteStore(file)
    offset = 0
    done: list[str] = []
    for _ in range(_STEPS):
        if draw.random() < 0.05:
            done.append("opened again")
            mine.close()
            mine = log.open(shared_redis.url)
            other.close()
            other = SqliteStore(file)
        name, act, offset = step(draw, offset)
        done.append(name)
        assert act(mine) == act(other), f"they differ after {', '.join(done)}"
    other.close()
