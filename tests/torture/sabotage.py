"""Breaks the core of a process on purpose, to see that torture notices.

A mutant is one of :mod:`tests.proof.mutants`: a module of kjobs is compiled from a source in which one rule
is another one. Nothing on the disk is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.proof.mutant import Mutant
from tests.proof.mutants_core import CORE
from tests.proof.mutants_store import STORE

#: Names the mutant.
VARIABLE = "KJOBS_TEST_MUTANT"

_MUTANTS = {mutant.name: mutant for mutant in (*CORE, *STORE)}


class _Loader(SourceFileLoader):
    """Loads a module with the change in it."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        assert self._mutant.old in source, f"{self._mutant.name} does not fit {self.path} any more"
        return self.source_to_code(source.replace(self._mutant.old, self._mutant.new).encode(), self.path)


class _Finder(MetaPathFinder):
    """Finds the module that a mutant is about."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._module = "kjobs." + mutant.module.removesuffix(".py").replace("/", ".")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(name, spec.origin, self._mutant)
        return spec


def known() -> list[str]:
    """The names of all mutants."""
    return sorted(_MUTANTS)


def sabotage() -> None:
    """Break this process, if its environment says so. To be called before anything of kjobs is imported."""
    name = os.environ.get(VARIABLE)
    if name:
        sys.meta_path.insert(0, _Finder(_MUTANTS[name]))
