"""The ordering key of a call: where it comes from, how it is written, what cannot be one."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from kjobs import App, ArgumentError
from tests.unit.recorder import Recorder, recorded

IDENT = UUID("01936f2e-7c1a-7b3e-9d5a-4c2b1f0e8d7c")


@pytest.fixture
def pair() -> tuple[App, Recorder]:
    return recorded()


# --- the key ------------------------------------------------------------------------------------------


class Level(enum.IntEnum):
    HIGH = 2


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("key", "written", "shown"),
    [
        ("7", b"7", "7"),
        (7, b"7", "7"),
        (-7, b"-7", "-7"),
        (2**70, str(2**70).encode(), str(2**70)),
        ("größe", "größe".encode(), "größe"),
        ("", b"", ""),
        (IDENT, str(IDENT).encode(), str(IDENT)),
        (Level.HIGH, b"2", "2"),
        (Colour.RED, b"red", "red"),
        (None, None, None),
    ],
)
def test_a_key_is_written_as_its_text(
    pair: tuple[App, Recorder], key: Any, written: bytes | None, shown: str | None
) -> None:
    app, sent = pair

    @app.job(key=lambda it: key)
    def by_function(it: int) -> None: ...

    @app.job(key="it")
    def by_name(it: Any) -> None: ...

    @app.job
    def by_option(it: int) -> None: ...

    for handle in (by_function.delay(1), by_name.delay(key), by_option.options(key=key).delay(1)):
        assert sent.calls[handle.offset or 0].key == written
        assert handle.key == shown


@pytest.mark.parametrize("key", [1.0, True, False, b"7", [], (), object(), Decimal(1), datetime.now(UTC)])
def test_what_is_no_key_is_refused(pair: tuple[App, Recorder], key: Any) -> None:
    app, sent = pair

    @app.job(key=lambda it: key)
    def by_function(it: int) -> None: ...

    @app.job
    def by_option(it: int) -> None: ...

    sentence = f"is a {type(key).__name__}; an ordering key is a text, a whole number, a UUID or None"
    for enqueue in (by_function.delay, by_option.options(key=key).delay):
        with pytest.raises(ArgumentError, match=sentence):
            enqueue(1)
    assert sent.calls == []


def test_a_key_that_is_no_text_in_utf8_is_refused_like_others(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job
    def job(it: int) -> None: ...

    with pytest.raises(ArgumentError, match="key="):
        job.options(key="\ud800").delay(1)
    assert sent.calls == []


def test_a_key_by_name_is_found_wherever_the_argument_is(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job(key="user")
    def job(a: int, user: int = 5, *, b: int = 0) -> None: ...

    for positional, named, key in (((1, 7), {}, b"7"), ((1,), {"user": 8}, b"8"), ((1,), {"b": 1}, b"5")):
        job.delay(*positional, **named)
        assert sent.last.key == key

    @app.job(key="user")
    def named_only(*, user: str | None = None) -> None: ...

    named_only.delay()
    assert sent.last.key is None
    named_only.delay(user="x")
    assert sent.last.key == b"x"

    @app.job(key="user")
    def positional_only(user: int, /) -> None: ...

    positional_only.delay(9)
    assert sent.last.key == b"9"


def test_a_key_function_gets_the_arguments_as_they_were_given(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    seen: list[Any] = []

    def key(*args: Any, **kwargs: Any) -> str:
        seen.append((args, kwargs))
        return "k"

    @app.job(key=key)
    def job(a: int, b: int = 2) -> None: ...

    job.delay(1, b=3)
    assert seen == [((1,), {"b": 3})]
    assert sent.last.key == b"k"
