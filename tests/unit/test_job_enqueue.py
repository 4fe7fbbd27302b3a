"""What a call is when it is handed over to be sent: its envelope, key, headers and handle."""

from __future__ import annotations

import asyncio
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


# --- the envelope -------------------------------------------------------------------------------------


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


# --- arguments that do not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enqueue", "sentence"),
    [
        (lambda job: job.delay(), r"mail.send.delay\(\) is missing 1 argument: user_id"),
        (lambda job: job.delay(1, "x", 2), r"mail.send.delay\(\) takes at most 2 positional arguments"),
        (
            lambda job: job.delay(1, tempalte="x"),
            r"mail.send.delay\(\) got an unexpected argument 'tempalte'",
        ),
        (lambda job: job.delay("7"), r"mail.send.delay\(\): Expected `int`, got `str` - at `user_id`"),
        (lambda job: job.delay(7, template=8), r"mail.send.delay\(\): .*template"),
        (
            lambda job: job.delay(object()),
            r"argument user_id=<object .*> is of type object and cannot travel",
        ),
        (lambda job: job.delay(7, template={1j}), r"argument template=\{1j\} is of type set and cannot"),
        (lambda job: job.delay_many([(1,), ("8",)]), r"Expected `int`, got `str`"),
        (
            lambda job: job.delay_many([(1,), 8]),
            r"mail.send.delay_many\(\): 8 is a int; each call is a tuple",
        ),
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

    calls: dict[str, Callable[[], Any]] = {
        r"more\[1\]": lambda: send.delay(1, 2, Loud()),
        "who": lambda: send.delay(Loud()),
        "x": lambda: send.delay(1, x=Loud()),
    }
    for name, call in calls.items():
        with pytest.raises(
            ArgumentError, match=rf"argument {name}=<Loud whose repr\(\) fails> is of type Loud"
        ):
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


# --- many, and asynchronously -------------------------------------------------------------------------


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
