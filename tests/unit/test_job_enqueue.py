"""What a call is when it is handed over to be sent: its envelope, key, headers and handle."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from kjobs import App, ArgumentError, KjobsError, args
from tests.unit.recorder import Recorder, recorded

IDENT = UUID("01936f2e-7c1a-7b3e-9d5a-4c2b1f0e8d7c")


@pytest.fixture
def pair() -> tuple[App, Recorder]:
    return recorded()


# --- the envelope ------------------------------------------------------------------------------------------


def test_a_call_is_what_the_wire_format_says(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job(name="shop.mail.send_email")
    def send_email(user_id: int, template: str = "welcome") -> None: ...

    before = time.time_ns() // 1_000_000
    handle = send_email.delay(7, template="bye")
    after = time.time_ns() // 1_000_000
    envelope = sent.envelope
    assert list(envelope) == ["id", "job", "args", "kwargs", "at"]
    assert (envelope["job"], envelope["args"], envelope["kwargs"]) == (
        "shop.mail.send_email",
        [7],
        {"template": "bye"},
    )
    assert before <= envelope["at"] <= after
    assert UUID(envelope["id"]).version == 7
    assert int(envelope["id"][:12], 16) == envelope["at"]
    assert (sent.last.key, sent.last.headers, sent.last.ack) == (None, None, "all")
    assert (handle.id, handle.job, handle.queue, handle.key, handle.due) == (
        envelope["id"],
        "shop.mail.send_email",
        "default",
        None,
        None,
    )
    assert (handle.partition, handle.offset) == (3, 0)


def test_ids_are_never_the_same_and_sort_by_time(pair: tuple[App, Recorder]) -> None:
    app, _ = pair
    ids = [app.new_id() for _ in range(5000)]
    assert len({ident for ident, _ in ids}) == 5000
    assert [at for _, at in ids] == sorted(at for _, at in ids)
    stamps = [ident[:12] for ident, _ in ids]
    assert stamps == sorted(stamps)


def test_arguments_travel_by_their_types(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job
    def job(at: datetime, price: Decimal, ident: UUID, data: bytes) -> None: ...

    job.delay(datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.50"), IDENT, b"\xff")
    assert sent.envelope["args"] == ["2026-01-02T00:00:00Z", "1.50", str(IDENT), "/w=="]


# --- the key -------------------------------------------------------------------------------------------------


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


# --- arguments that do not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enqueue", "sentence"),
    [
        (lambda job: job.delay(), r"mail.send.delay\(\) is missing 1 argument: user_id"),
        (lambda job: job.delay(1, "x", 2), r"mail.send.delay\(\) takes at most 2 positional arguments"),
        (lambda job: job.delay(1, tempalte="x"), r"mail.send.delay\(\) got an unexpected argument 'tempalte'"),
        (lambda job: job.delay("7"), r"mail.send.delay\(\): Expected `int`, got `str` - at `user_id`"),
        (lambda job: job.delay(7, template=8), r"mail.send.delay\(\): .*template"),
        (lambda job: job.delay(object()), r"argument user_id=<object .*> is of type object and cannot travel"),
        (lambda job: job.delay(7, template={1j}), r"argument template=\{1j\} is of type set and cannot"),
        (lambda job: job.delay_many([(1,), ("8",)]), r"Expected `int`, got `str`"),
        (lambda job: job.delay_many([(1,), 8]), r"mail.send.delay_many\(\): 8 is a int; each call is a tuple"),
        (lambda job: job.delay_many([args(1, tmeplate="x")]), "unexpected argument 'tmeplate'"),
        (lambda job: job.options(key="k").delay("7"), "Expected `int`"),
        (lambda job: asyncio.run(job.adelay("7")), "Expected `int`"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    enqueue: Callable[[Any], Any], sentence: str
) -> None:
    app, sent = recorded()

    @app.job(name="mail.send")
    def send_email(user_id: int, template: str = "welcome") -> None: ...

    with pytest.raises(ArgumentError, match=sentence) as caught:
        enqueue(send_email)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, KjobsError)
    assert [call for call in sent.calls if msgspec.json.decode(call.value)["args"] != [1]] == []


def test_an_argument_that_cannot_travel_is_named_with_a_way_out(pair: tuple[App, Recorder]) -> None:
    app, _ = pair

    @app.job(name="mail.send")
    def send(who, *more, **named) -> None: ...  # type: ignore[no-untyped-def]

    class Loud:
        def __repr__(self) -> str:
            raise RuntimeError

    for call, name in (
        (lambda: send.delay(1, 2, Loud()), r"more\[1\]"),
        (lambda: send.delay(Loud()), "who"),
        (lambda: send.delay(1, x=Loud()), "x"),
    ):
        with pytest.raises(ArgumentError, match=rf"argument {name}=<Loud whose repr\(\) fails> is of type Loud"):
            call()
    with pytest.raises(ArgumentError, match=r"send.delay\(who=who.id\)"):
        send.delay(Loud())
    with pytest.raises(ArgumentError) as caught:
        send.delay([object()] * 1000)
    assert len(str(caught.value)) < 500


def test_arguments_that_contain_themselves_are_refused(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job
    def job(it: Any) -> None: ...

    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ArgumentError, match="argument it="):
        job.delay(loop)
    assert sent.calls == []


# --- many, and asynchronously ------------------------------------------------------------------------------------


def test_many_calls_are_sent_together_in_their_order(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job(key="user")
    def job(user: int, template: str = "x") -> None: ...

    handles = job.delay_many([(7,), args(8, template="y"), (9, "z")])
    assert [handle.key for handle in handles] == ["7", "8", "9"]
    assert sent.ways == ["send_many"] * 3
    assert [msgspec.json.decode(call.value)["kwargs"] for call in sent.calls] == [{}, {"template": "y"}, {}]
    assert job.delay_many([]) == []
    assert [handle.key for handle in job.options(key="k").delay_many((n,) for n in range(2))] == ["k", "k"]


def test_the_asynchronous_form_composes_the_same_call(pair: tuple[App, Recorder]) -> None:
    app, sent = pair

    @app.job(name="j", key="a")
    async def job(a: int) -> None: ...

    handle = asyncio.run(job.adelay(7))
    other = asyncio.run(job.options(key="k").adelay(7))
    assert sent.ways == ["asend", "asend"]
    assert (handle.key, other.key) == ("7", "k")
    assert (sent.envelope["job"], sent.envelope["args"]) == ("j", [7])


def test_a_batch_and_the_end_are_the_transports(pair: tuple[App, Recorder]) -> None:
    app, sent = pair
    with app.batch():
        pass
    app.close()
    assert (sent.ways, sent.closed) == (["batch"], 1)
