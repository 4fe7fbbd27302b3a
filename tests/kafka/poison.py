"""Records that must be buried, and not one of them may stop anything."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

NONSENSE = random.Random(22).randbytes(300)

#: A header that may come from anywhere: twice, empty, null, not text.
_ODD: tuple[tuple[str, bytes | None], ...] = (
    ("traceparent", b"00-1"),
    ("traceparent", b"00-2"),
    ("", b"a name of no letters"),
    ("null", None),
    ("empty", b""),
    ("bytes", b"\xff\xfe\x00"),
    ("ünï", "cödé".encode()),
    ("long", b"x" * 5000),
)


class Poison(NamedTuple):
    """A record that must be buried, and the reason that its dead letter must give."""

    value: bytes | None
    reason: str = "undecodable"
    key: bytes | None = b"a"
    headers: Sequence[tuple[str, bytes | None]] = ()


def call(job: object = "act", **fields: Any) -> bytes:
    """The value of a call, or of something like it."""
    return json.dumps({"job": job, **fields}).encode()


_NESTED = b"[" * 100_000

POISON: dict[str, Poison] = {
    "random bytes": Poison(NONSENSE),
    "an empty value": Poison(b""),
    "no value": Poison(None),
    "no value and no key": Poison(None, key=None),
    "an empty key": Poison(b"\0", key=b""),
    "a key that is no text": Poison(NONSENSE, key=b"\xff\xfe\xfd"),
    "truncated JSON": Poison(call(args=["ok"])[:-9]),
    "two objects": Poison(call(args=["ok"]) * 2),
    "bad UTF-8 in a string": Poison(b'{"job":"act","args":["\xff\xfe"]}', "bad-arguments"),
    "bad UTF-8 in the job": Poison(b'{"job":"a\xffct"}'),
    "UTF-16": Poison(call(args=["ok"]).decode().encode("utf-16")),
    "half a character": Poison(b'{"job":"act","args":["\\ud800"]}'),
    "100,000 nested brackets": Poison(_NESTED),
    "100,000 nested brackets in a call": Poison(b'{"job":"act","args":[' + _NESTED + b"]" * 100_000 + b"]}"),
    "100,000 nested brackets beside a call": Poison(
        b'{"job":"act","more":' + _NESTED + b"]" * 100_000 + b"}", key=b"b"
    ),
    "a million digits": Poison(b'{"job":"act","args":[' + b"9" * 900_000 + b"]}", "bad-arguments"),
    "a million digits as a time": Poison(b'{"job":"act","at":' + b"9" * 900_000 + b"}"),
    "NaN": Poison(b'{"job":"act","args":["ok",NaN]}'),
    "Infinity": Poison(b'{"job":"act","args":["ok",-Infinity]}'),
    "a list": Poison(b"[1,2,3]"),
    "null": Poison(b"null"),
    "a string": Poison(b'"act"'),
    "no job": Poison(b'{"args":["ok"]}', key=b"b"),
    "a job that is a number": Poison(call(7)),
    "a job that is null": Poison(call(None)),
    "an id that is a number": Poison(call(id=7)),
    "an id that is null": Poison(call(id=None)),
    "a time that is text": Poison(call(at="now")),
    "a due time that is a list": Poison(call(due=[])),
    "a version that is text": Poison(call(v="1")),
    "the next version": Poison(call(v=2, args=["ok"])),
    "version nought": Poison(call(v=0, args=["ok"])),
    "odd headers": Poison(NONSENSE, headers=_ODD),
    "an unknown job": Poison(call("act.later", args=["ok"]), "unknown-job"),
    "a job that is a module": Poison(call("os.system", args=["true"]), "unknown-job", None),
    "a job of no name": Poison(call(""), "unknown-job"),
    "a job of another language": Poison(call("задача 仕事"), "unknown-job", headers=_ODD),
    "too many arguments": Poison(call(args=["ok", 0.0, 1]), "bad-arguments"),
    "arguments that are an object": Poison(call(args={"script": "ok"}), "bad-arguments"),
    "names that are a list": Poison(call(kwargs=["ok"]), "bad-arguments"),
    "an unknown name": Poison(call(kwargs={"wrong": 1}), "bad-arguments", None),
    "one argument twice": Poison(call(args=["ok"], kwargs={"script": "ok"}), "bad-arguments"),
    "an argument of a wrong type": Poison(call(args=[["ok"]]), "bad-arguments", b"b", _ODD),
    "a length that is text": Poison(call(args=["ok", "long"]), "bad-arguments"),
}
