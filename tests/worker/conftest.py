"""What every test of this folder gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kjobs.context import enter


@pytest.fixture(autouse=True)
def _leaves_no_current_call() -> Iterator[None]:
    """Calls that a test runs in its own thread leave theirs behind, as they do in a slot."""
    yield
    enter(None)
