"""The store in a local file does what every store must do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kjobs.deferred.sqlite import SqliteStore
from tests.deferred.conformance import Conformance
from tests.deferred.logs import MadeUpLog


class TestSqliteStore(Conformance):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[MadeUpLog]:
        log = MadeUpLog(lambda: SqliteStore(tmp_path / "0.sqlite"))
        yield log
        log.store.close()
