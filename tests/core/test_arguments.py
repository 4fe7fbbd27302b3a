"""Which calls fit a job's parameters, and what is said of those that do not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs import ArgumentError
from kjobs.core.arguments import Arguments, Mismatch
from tests.core.wire import over_the_wire, received


def plain(a: int, b: str = "x", c: float = 1.5) -> None: ...
def rest(a: int, *more: str) -> None: ...
def others(a: int, **named: int) -> None: ...
def named_only(a: int, *, b: str, c: int = 3) -> None: ...
def positional_only(a: int, b: str = "x", /, c: int = 0) -> None: ...
def positional_and_others(a: int, /, **named: int) -> None: ...
def everything(a: int, /, b: str, *more: int, c: bool, d: str = "d", **named: float) -> None: ...
def nothing() -> None: ...
def unannotated(a, b=None, *more, c=1, **named) -> None: ...  # type: ignore[no-untyped-def]


FUNCTIONS = (
    plain,
    rest,
    others,
    named_only,
    positional_only,
    positional_and_others,
    everything,
    nothing,
    unannotated,
)


# --- calls that fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (7,), {}),
        (plain, (7, "y"), {}),
        (plain, (7, "y", 2.5), {}),
        (plain, (), {"a": 7}),
        (plain, (7,), {"c": 2.5}),
        (plain, (7,), {"c": 2.5, "b": "y"}),
        (rest, (7,), {}),
        (rest, (7, "x", "y", "z"), {}),
        (others, (7,), {}),
        (others, (7,), {"x": 1, "y": 2}),
        (others, (), {"a": 7, "x": 1}),
        (named_only, (7,), {"b": "y"}),
        (named_only, (), {"a": 7, "b": "y", "c": 4}),
        (positional_only, (7,), {}),
        (positional_only, (7, "y"), {"c": 4}),
        (positional_and_others, (7,), {"a": 8, "x": 1}),
        (everything, (7, "b", 1, 2), {"c": True, "e": 1.5}),
        (everything, (7,), {"b": "b", "c": False, "a": 1.5}),
        (nothing, (), {}),
        (unannotated, (7, [1], {"x": 1}), {"c": None, "d": "x"}),
    ],
)
def test_calls_that_fit_arrive_as_they_were_made(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert over_the_wire(function, *args, **kwargs) == (args, kwargs)


def test_defaults_are_the_workers_and_do_not_travel() -> None:
    assert over_the_wire(plain, 7) == ((7,), {})


# --- calls that do not --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "sentence"),
    [
        (plain, (), {}, "is missing 1 argument: a"),
        (plain, (1, "x", 1.0, 4), {}, "takes at most 3 positional arguments but 4 were given"),
        (plain, (1,), {"d": 2}, "got an unexpected argument 'd'"),
        (plain, (1,), {"a": 2}, "got two values for argument 'a'"),
        (rest, (), {}, "is missing 1 argument: a"),
        (others, (1,), {"a": 2}, "got two values for argument 'a'"),
        (others, (1, 2), {}, "takes at most 1 positional argument but 2 were given"),
        (named_only, (1,), {}, "is missing 1 argument: b"),
        (named_only, (), {}, "is missing 2 arguments: a, b"),
        (named_only, (1, "b"), {}, "takes at most 1 positional argument but 2 were given"),
        (positional_only, (), {"a": 1}, "got an unexpected argument 'a'"),
        (positional_and_others, (), {"a": 1}, "is missing 1 argument: a"),
        (everything, (1,), {"c": True}, "is missing 1 argument: b"),
        (everything, (1, "b"), {}, "is missing 1 argument: c"),
        (nothing, (1,), {}, "takes at most 0 positional arguments but 1 (was|were) given"),
    ],
)
def test_calls_that_do_not_fit_are_refused_where_they_are_made_and_where_they_would_run(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Mismatch, match=f"^{sentence}$"):
        Arguments(function).check(args, kwargs)
    value = msgspec.json.encode
    with pytest.raises(Mismatch):
        Arguments(function).restore(value(args), value(kwargs))


names = st.sampled_from(["a", "b", "c", "d", "e", "more", "named"])


@given(st.sampled_from(FUNCTIONS), st.integers(0, 5), st.sets(names, max_size=4))
def test_a_call_fits_exactly_if_python_says_so(
    function: Callable[..., Any], count: int, named: set[str]
) -> None:
    args, kwargs = (1,) * count, dict.fromkeys(named, 1)
    try:
        inspect.signature(function).bind(*args, **kwargs)
        fits = True
    except TypeError:
        fits = False
    try:
        Arguments(function).check(args, kwargs)
        accepted = True
    except Mismatch:
        accepted = False
    assert accepted == fits


@given(st.sampled_from(FUNCTIONS), st.integers(0, 5), st.sets(names, max_size=4))
def test_a_worker_calls_nothing_that_python_would_refuse(
    function: Callable[..., Any], count: int, named: set[str]
) -> None:
    values = {"str": "x", "int": 1, "float": 1.5, "bool": True}
    signature = inspect.signature(function)

    def fitting(name: str, position: int | None) -> Any:
        parameters = list(signature.parameters.values())
        if position is not None and position < len(parameters):
            return values.get(str(parameters[position].annotation), 1)
        return values.get(str(getattr(signature.parameters.get(name), "annotation", "")), 1)

    args = tuple(fitting("", position) for position in range(count))
    kwargs = {name: fitting(name, None) for name in named}
    try:
        positional, by_name = over_the_wire(function, *args, **kwargs)
    except ArgumentError:
        return
    signature.bind(*positional, **by_name)


# --- records that somebody else has written -----------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (b"{}", b"{}"),
        (b"null", b"{}"),
        (b"7", b"{}"),
        (b'"[7]"', b"{}"),
        (b"[7]", b"[1]"),
        (b"[7]", b"[]"),
        (b"[7]", b"null"),
        (b"[7]", b"42"),
        (b"[7]", b'""'),
        (b"[]", b"{}"),
        (b'["7"]', b"{}"),
        (b"[7.5]", b"{}"),
        (b"[true]", b"{}"),
        (b"[null]", b"{}"),
        (b"[[7]]", b"{}"),
        (b"[1e400]", b"{}"),
        (b"[7]", b'{"b":7}'),
        (b"[7]", b'{"z":7}'),
        (b"[7]", b'{"a":7}'),
        (b'[7,"\xff"]', b"{}"),
        (b"[7]", b'{"b":"\xff"}'),
        (b"[" + b"9" * 1_000_000 + b"]", b"{}"),
        (b"[7" + b",7" * 100_000 + b"]", b"{}"),
    ],
)
def test_arguments_that_do_not_fit_are_a_mismatch_and_nothing_else(args: bytes, kwargs: bytes) -> None:
    with pytest.raises(Mismatch) as caught:
        received(plain, args, kwargs)
    assert str(caught.value)


def test_white_space_is_no_matter() -> None:
    assert received(plain, b" [ 7 ] ", b" { } ") == ((7,), {})
    assert received(plain, b"[\n]", b'{ "a" : 7 }') == ((), {"a": 7})


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        (b'["7"]', b"{}", "a"),
        (b"[7, 8]", b"{}", "b"),
        (b'[7, "x", "y"]', b"{}", "c"),
        (b"[7]", b'{"b":8}', "b"),
        (b"[7]", b'{"strange":8}', "strange"),
    ],
)
def test_a_mismatch_names_the_parameter(args: bytes, kwargs: bytes, name: str) -> None:
    with pytest.raises(Mismatch, match=rf"[`$.']{name}\b"):
        received(plain, args, kwargs)


def test_a_named_argument_of_a_job_that_takes_any_is_named_too() -> None:
    with pytest.raises(Mismatch, match=r"^x: Expected `int`"):
        received(others, b"[7]", b'{"x":"1"}')


def test_calls_of_different_lengths_may_follow_each_other() -> None:
    arguments = Arguments(rest)
    for count in (1, 3, 0, 2, *range(60, 0, -1), 1):
        args = (7, *("x" for _ in range(count - 1)))[:count]
        if count:
            assert arguments.restore(b"[" + b",".join([b"7", *[b'"x"'] * (count - 1)]) + b"]", b"{}") == (
                args,
                {},
            )
        else:
            with pytest.raises(Mismatch, match="missing 1 argument: a"):
                arguments.restore(b"[]", b"{}")


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json, max_size=4), st.dictionaries(st.text(max_size=5), json, max_size=3))
def test_without_annotations_json_arrives_as_it_is(args: list[Any], kwargs: dict[str, Any]) -> None:
    def free(*args, **kwargs) -> None: ...  # type: ignore[no-untyped-def]

    assert over_the_wire(free, *args, **kwargs) == (tuple(args), kwargs)
