"""Queues with delayed calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.waiting_room import WaitingRoom


@pytest.fixture
def room(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[WaitingRoom]:
    """A queue without calls."""
    made = WaitingRoom(kafka, topic_prefix, tmp_path)
    yield made
    made.close()
