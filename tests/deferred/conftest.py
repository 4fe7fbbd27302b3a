"""What tests of the keeper have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deferred.keeping import Owner


@pytest.fixture
def owner(kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    monkeypatch.setattr("kjobs.deferred.rack.PAUSE", 0.05)
    # Files note the real time, which is not that of these calls.
    monkeypatch.setattr("kjobs.deferred.doubt.TOMBSTONES_MS", 1 << 50)
    owner = Owner(kafka, topic_prefix, tmp_path)
    yield owner
    owner.close()
