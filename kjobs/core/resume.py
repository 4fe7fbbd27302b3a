"""Where to go on in a partition: from its committed offset, its checkpoint and the log's ends."""

from __future__ import annotations

from dataclasses import dataclass

from .checkpoint import Checkpoint, decode


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where reading begins, and what must be told about it.

    Attributes:
        offset: the first offset to fetch.
        checkpoint: what is known above it, or None.
        gap: offsets ``[from, to)`` that were committed to be read next and are no longer in the log.
        replaced: the topic is not the one the commit was made for: it was deleted and created again,
            or cut short. Nothing of the commit applies.
    """

    offset: int
    checkpoint: Checkpoint | None = None
    gap: tuple[int, int] | None = None
    replaced: bool = False


def resume(
    committed: int | None, metadata: str | None, *, low: int, high: int, topic_id: str = ""
) -> Resumption:
    """Decide where to go on.

    Args:
        committed: the group's committed offset, or None if it has none (a new group).
        metadata: the string committed with it.
        low: the first offset the log still has.
        high: one past its last offset.
        topic_id: Kafka's id of the topic as it is now, "" where it is unknown.
    """
    if committed is None or committed < 0:
        return Resumption(low)
    checkpoint = decode(committed, metadata)
    known = checkpoint.topic_id if checkpoint else ""
    if committed > high or (known and topic_id and known != topic_id):
        return Resumption(low, replaced=True)
    if committed < low:
        return Resumption(low, checkpoint, gap=(committed, low))
    return Resumption(committed, checkpoint)
