"""The rows, in the order in which a round takes them."""

from __future__ import annotations

from .rows.crash import Crash
from .rows.drain import Drain
from .rows.enqueue import Enqueue
from .rows.imports import Imports
from .rows.latency import Latency
from .rows.memory import Memory
from .rows.pauses import Pauses
from .rows.peers import Peers
from .rows.raw import Raw
from .rows.row import Row


def rows() -> list[Row]:
    """New rows for a run. The raw loop is next to the drains that are compared with it."""
    return [Raw(), Drain(), Pauses(), Enqueue(), Latency(), Memory(), Crash(), Imports(), Peers()]
