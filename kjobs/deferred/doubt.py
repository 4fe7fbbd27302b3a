"""Whether an index that was found can be trusted, for whatever keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.topics import TOMBSTONES_MS
from .opener import LogState


def doubt(noted: Mapping[str, Any], position: int, state: LogState, *, schema: int) -> str | None:
    """Why an index cannot be trusted; None if it can.

    Args:
        noted: what the index says of itself.
        position: how far of the log it knows.
        state: the log as it is.
        schema: the version of its format as it should be.
    """
    for name, what in (
        ("schema", "the version of its format"),
        ("cluster_id", "its cluster"),
        ("log_id", "the id of its log's topic"),
        ("queue_id", "the id of its queue's topic"),
    ):
        is_now = schema if name == "schema" else getattr(state, name)
        if noted.get(name) != is_now:
            return f"{what} is {noted.get(name)!r} and should be {is_now!r}"
    if position > state.high:
        return f"it knows the log up to offset {position}, and the log ends at {state.high}"
    if position < state.low:
        return f"it knows the log up to offset {position}, and the log begins at {state.low}"
    seen_ms = noted.get("seen_ms")
    age_ms = state.now_ms - (seen_ms if isinstance(seen_ms, int) else 0)
    if age_ms > TOMBSTONES_MS / 2:
        return (
            f"it was last used {age_ms / 86_400_000:.1f} days ago: the log may not tell any more which calls "
            "have ended since"
        )
    if age_ms < -TOMBSTONES_MS / 2:
        return "it was last used in the future"
    return None


def noted_of(state: LogState) -> dict[str, Any]:
    """What an index that is made now notes of itself, besides its schema."""
    return {
        "cluster_id": state.cluster_id,
        "log_id": state.log_id,
        "queue_id": state.queue_id,
        "seen_ms": state.now_ms,
    }
