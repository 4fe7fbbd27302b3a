"""One attempt: from a record's bytes to an outcome. It never raises, whatever is in the record or the job."""

from __future__ import annotations

import sys
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import UnknownJob, current
from kjobs.core.outcome import (
    OK,
    Condemned,
    Failed,
    Outcome,
    Reason,
)
from tests.core.goldens import goldens
from tests.core.test_envelope import MALFORMED
from tests.worker.invoking import Bench, call_of, entry_of

IDENT = UUID("01936f2e-7c1a-7b3e-9d5a-4c2b1f0e8d7c")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def condemned(found: Outcome) -> Condemned:
    assert isinstance(found, Condemned)
    return found


# --- a call that runs ---------------------------------------------------------------------------------


def test_a_job_gets_its_arguments_and_its_return_is_success(bench: Bench) -> None:
    got: list[Any] = []

    @bench.app.job(name="j", aliases=("old",))
    def job(a: int, ident: UUID, *, b: str = "b") -> str:
        got.append((a, ident, b))
        return "ignored"

    assert bench.run("j", 7, str(IDENT)) is OK
    assert bench.run("old", 7, str(IDENT), kwargs={"b": "c"}) is OK
    assert got == [(7, IDENT, "b"), (7, IDENT, "c")]


def test_a_job_knows_its_call(bench: Bench) -> None:
    seen: list[Any] = []

    @bench.app.job(name="j", aliases=("old",))
    def job() -> None:
        known = current()
        seen.append(
            (known.id, known.job, known.queue, known.key, known.attempt, known.partition, known.offset)
        )
        seen.append((known.headers, known.deadline, known.cancelled))

    bench.take(entry_of(call_of("old"), key=b"7", failures=2, headers=[("a", b"b")]))
    assert seen == [("call-1", "old", "mail", "7", 3, 3, 17), ({"a": "b"}, None, False)]
    bench.take(entry_of(b'{"job":"j"}', offset=18))
    assert seen[2][0] == "kjobs.mail-3-18"


# --- records that are no call, or no call of ours -----------------------------------------------------


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_call_is_undecodable(bench: Bench, value: bytes | None) -> None:
    assert condemned(bench.take(entry_of(value))).reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "__main__.x",
        "../x",
        "task\0",
        "n" * 10_000,
        "",
        "j ",
        "J",
        "job",
        "antigravity.x",
    ],
)
def test_a_name_that_is_not_registered_is_looked_up_and_never_imported(bench: Bench, name: str) -> None:
    @bench.app.job(name="j")
    def job() -> None: ...

    before = set(sys.modules)
    found = condemned(bench.run(name))
    assert found.reason is Reason.UNKNOWN_JOB
    assert isinstance(found.error, UnknownJob)
    assert repr(name) in str(found.error)
    assert "or give the job that name as an alias" in str(found.error)
    assert set(sys.modules) == before


def test_a_name_that_is_nearly_right_is_told(bench: Bench) -> None:
    @bench.app.job(name="shop.mail.send")
    def job() -> None: ...

    assert "Did you mean shop.mail.send?" in str(condemned(bench.run("shop.mail.sent")).error)


@pytest.mark.parametrize(
    "fields", [{"args": ["7"]}, {"args": []}, {"args": [7, 8]}, {"kwargs": {"b": 1}}, {"args": 7}]
)
def test_arguments_that_do_not_fit_are_not_run(bench: Bench, fields: dict[str, Any]) -> None:
    ran: list[int] = []

    @bench.app.job(name="j")
    def job(a: int) -> None:
        ran.append(a)

    found = condemned(bench.take(entry_of(msgspec.json.encode({"job": "j", "args": [7], **fields}))))
    assert found.reason is Reason.BAD_ARGUMENTS
    assert ran == []


class Fussy(pydantic.BaseModel):
    id: int

    @pydantic.field_validator("id")
    @classmethod
    def known(cls, found: int) -> int:
        return {1: 1}[found]


def test_a_type_that_raises_is_a_bad_argument_and_not_the_end_of_a_slot(bench: Bench) -> None:
    @bench.app.job(name="j")
    def job(a: Fussy) -> None: ...

    assert condemned(bench.run("j", {"id": 2})).reason is Reason.BAD_ARGUMENTS


# --- whatever comes -----------------------------------------------------------------------------------

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
nearly = st.fixed_dictionaries(
    {"job": st.sampled_from(["j", "a", "x"])},
    optional={
        "args": st.lists(json, max_size=3) | json,
        "kwargs": st.dictionaries(st.sampled_from(["a", "b", "c"]), json, max_size=2) | json,
        "due": st.integers() | json,
        "expires": st.integers() | json,
        "at": st.integers() | json,
        "id": st.text() | json,
        "v": st.just(1) | json,
    },
)
values = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([golden.wire for golden in goldens()]),
    nearly.map(msgspec.json.encode),
)


@given(
    values,
    st.none() | st.binary(max_size=5),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary()), max_size=3),
)
def test_any_record_ends_as_an_outcome(
    value: bytes, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    bench = Bench()

    @bench.app.job(name="j")
    def job(a: int, b: UUID | None = None) -> None:
        known = current()
        assert [known.id, known.key, known.headers, known.enqueued_at, known.fence, known.deadline]

    @bench.app.job(name="a", timeout=5)
    def any_of_them(*args: Any, **kwargs: Any) -> None: ...

    found = bench.take(entry_of(value, key=key, headers=headers))
    assert isinstance(found, Outcome)
    assert not isinstance(found, Failed)
