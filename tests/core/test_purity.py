"""The core is pure: it knows no clock, no chance, no threads, no files, no network and no log."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kjobs.core

FOLDER = Path(kjobs.core.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))

#: Everything a core module may import; whatever else it wants is the shell's.
ALLOWED = {
    "__future__",
    "base64",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "enum",
    "heapq",
    "inspect",
    "itertools",
    "math",
    "msgspec",
    "re",
    "typing",
    "zlib",
}
#: Built-in names by which a module could reach the world or run text.
REACHING = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint", "globals"}
#: Methods by which ``datetime`` reads the clock, or the zone of this machine.
CLOCKS = {"now", "today", "utcnow", "astimezone", "fromtimestamp"}


def imported(tree: ast.Module) -> set[str]:
    """The modules that are imported from outside the core, also for type checkers and inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level > 1:
                found.add("." * node.level + (node.module or ""))
            elif node.level == 0:
                found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_imports_nothing_that_reaches_the_world(path: Path) -> None:
    assert imported(ast.parse(path.read_text())) <= ALLOWED


def reaches(tree: ast.Module) -> set[str]:
    """The names in it by which it reaches the world, or reads a clock."""
    nodes = list(ast.walk(tree))
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = {
        node.func.attr
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return named & REACHING | called & CLOCKS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_calls_nothing_that_reaches_the_world(path: Path) -> None:
    assert not reaches(ast.parse(path.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from threading import Lock",
        "from .. import errors",
        "from ..config import Settings",
        "def f():\n    import random",
        "from confluent_kafka import Message",
        "import logging as log",
    ],
)
def test_imports_are_noticed(source: str) -> None:
    assert not imported(ast.parse(source)) <= ALLOWED


@pytest.mark.parametrize("source", ["open('x')", "f(print)", "eval(x)", "datetime.now(UTC)", "date.today()"])
def test_calls_are_noticed(source: str) -> None:
    assert reaches(ast.parse(source))


def test_all_of_the_core_was_looked_at() -> None:
    assert {"scheduler", "partition", "envelope", "policy", "outcome"} <= {path.stem for path in MODULES}
