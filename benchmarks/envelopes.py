"""Writes calls as kjobs does, byte for byte alike, without kjobs."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec

#: Of 1,000 keys, as the drains have them.
KEYS = 1_000


class Written(msgspec.Struct):
    """A call on the wire; see ``docs/wire-format.md``."""

    id: str
    job: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    at: int


_encode = msgspec.json.Encoder().encode


def envelope(job: str, number: int, *args: Any) -> bytes:
    """The call with this number.

    >>> len(envelope("benchmarks.noop", 7, 7))
    112
    """
    now_ms = time.time_ns() // 1_000_000
    identity = f"{now_ms << 80 | 7 << 76 | 2 << 62 | number:032x}"
    return _encode(Written(identity, job, args, {}, now_ms))


def keys(count: int, different: int = KEYS) -> Iterator[bytes]:
    """Keys in an order that looks like chance, and is the same in every run."""
    chance = random.Random(1)
    for _ in range(count):
        yield str(chance.randrange(different)).encode()


def with_hot_key(count: int, different: int, hot: int) -> Iterator[bytes]:
    """Keys of which one is that of exactly ``hot`` calls, all mixed."""
    chance = random.Random(2)
    is_hot = bytearray(count)
    is_hot[:hot] = b"\1" * hot
    chance.shuffle(is_hot)
    for flag in is_hot:
        yield b"hot" if flag else str(chance.randrange(different - 1)).encode()
