"""The store in memory does what every store must do."""

from __future__ import annotations

import pytest

from kjobs.deferred.memory import MemoryStore
from tests.deferred.conformance import Conformance
from tests.deferred.logs import MadeUpLog


class Kept:
    """What outlives a store in memory, as a file outlives one on a disk."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def open(self) -> MemoryStore:
        self.store = MemoryStore(self.store.rows, self.store.position)
        return self.store


class TestMemoryStore(Conformance):
    @pytest.fixture
    def log(self) -> MadeUpLog:
        return MadeUpLog(Kept().open)
