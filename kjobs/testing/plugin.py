"""The fixtures that pytest finds by itself. Every pytest run imports this, so it imports nothing of kjobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .queue import Queue


@pytest.fixture
def kjobs_inline() -> Iterator[Queue]:
    """Calls of the default app run at once; see :func:`kjobs.testing.inline`."""
    from .modes import inline

    with inline() as queue:
        yield queue


@pytest.fixture
def kjobs_manual() -> Iterator[Queue]:
    """Calls of the default app wait for ``drain()``; see :func:`kjobs.testing.manual`."""
    from .modes import manual

    with manual() as queue:
        yield queue
