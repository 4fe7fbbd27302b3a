"""Annotations: which cannot be, which are left out, and types with code of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pydantic
import pytest

from kjobs.core.arguments import Arguments, Mismatch
from tests.core.wire import over_the_wire, received

if TYPE_CHECKING:
    from somewhere_else import Unknown  # type: ignore[import-not-found]  # pyright: ignore


# --- annotations --------------------------------------------------------------------------------------


def test_a_name_that_only_type_checkers_know_leaves_its_parameter_plain() -> None:
    def job(one: Unknown, two: UUID, three: list[Unknown]) -> None: ...

    args, _ = over_the_wire(job, {"a": 1}, UUID(int=1), [1, "x"])
    assert args == ({"a": 1}, UUID(int=1), [1, "x"])


def test_annotations_of_what_is_returned_are_no_matter() -> None:
    def job(a: int) -> socket.socket: ...  # type: ignore[empty-body]

    assert over_the_wire(job, 7) == ((7,), {})


def lock(a: int, guard: threading.Event) -> None: ...
def connection(line: socket.socket) -> None: ...
def inner(lines: dict[str, list[socket.socket]]) -> None: ...
def maybe(line: socket.socket | None = None) -> None: ...
def named(*, line: socket.socket) -> None: ...
def many(*lines: socket.socket) -> None: ...


class Holder(msgspec.Struct):
    line: socket.socket


def held(holder: Holder) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter", "kind"),
    [
        (lock, "guard", "Event"),
        (connection, "line", "socket"),
        (inner, "lines", "socket"),
        (maybe, "line", "socket"),
        (named, "line", "socket"),
        (many, "lines", "socket"),
        (held, "holder", "socket"),
    ],
)
def test_what_json_cannot_carry_is_refused_when_the_job_is_declared(
    function: Callable[..., Any], parameter: str, kind: str
) -> None:
    with pytest.raises(TypeError) as caught:
        Arguments(function)
    sentence = str(caught.value)
    assert f"parameter {parameter!r} is a {kind}, which JSON cannot carry" in sentence
    assert "its id" in sentence


class Circle(msgspec.Struct):
    radius: int


class Square(msgspec.Struct):
    side: int


def test_a_union_that_cannot_be_told_apart_is_refused_when_the_job_is_declared() -> None:
    def job(what: Circle | Square) -> None: ...

    with pytest.raises(TypeError, match="parameter 'what' cannot travel as JSON"):
        Arguments(job)


class Tree(msgspec.Struct):
    leaves: list[Tree] = []


def test_types_that_contain_themselves_are_no_trouble() -> None:
    def job(tree: Tree) -> None: ...

    tree = Tree([Tree(), Tree([Tree()])])
    assert over_the_wire(job, tree) == ((tree,), {})


# --- models that misbehave ----------------------------------------------------------------------------


class Fussy(pydantic.BaseModel):
    id: int

    @pydantic.field_validator("id")
    @classmethod
    def known(cls, found: int) -> int:
        return {1: 1}[found]  # a bug: KeyError, which pydantic lets pass


class Proud(msgspec.Struct):
    id: int

    def __post_init__(self) -> None:
        if self.id < 0:
            raise RuntimeError("never below zero")


def fussy(it: Fussy) -> None: ...
def proud(it: Proud) -> None: ...


@pytest.mark.parametrize(
    ("function", "args"), [(fussy, b'[{"id":2}]'), (proud, b'[{"id":-1}]'), (fussy, b'[{"id":"x"}]')]
)
@pytest.mark.parametrize("by_name", [False, True])
def test_whatever_a_type_raises_is_a_mismatch(
    function: Callable[..., Any], args: bytes, by_name: bool
) -> None:
    kwargs = b'{"it":' + args[1:-1] + b"}"
    with pytest.raises(Mismatch):
        received(function, b"[]" if by_name else args, kwargs if by_name else b"{}")
