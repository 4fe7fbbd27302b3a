"""When an answer about a call that came from the queue is certain, so that it may be given.

Such a call is finished in the queue because the deferred store has it; but until the group knows that, a
crash would bring it back from the queue, whatever was said of it. So an answer about it waits for a commit
that tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .commands import Answer
from .deferred import Verdict

if TYPE_CHECKING:
    from .partition import Partition


class Pending(msgspec.Struct):
    """An answer that is not certain yet.

    Attributes:
        source: the offset of the call in the queue.
        after: the last snapshot that was taken before the call was finished in the queue; None if it is not.
    """

    request: str
    verdict: Verdict
    source: int
    after: int | None = None


def answered(partition: Partition, pending: Pending) -> list[Answer]:
    """Take in what is to be answered; returns what is certain at once."""
    if pending.source < partition.committed:
        return [Answer(partition.place, pending.request, pending.verdict)]
    partition.stored.pending.append(pending)
    partition.dirty = True  # so that there is a commit
    _note(partition)
    return []


def certain(partition: Partition, snapshot: int) -> list[Answer]:
    """What is certain now that the group has a commit.

    Args:
        partition: whose; its ``committed`` offset is that of the commit.
        snapshot: the number of the commit's snapshot if it tells of everything, or -1.
    """
    answers: list[Answer] = []
    waiting: list[Pending] = []
    for pending in partition.stored.pending:
        told = pending.after is not None and pending.after < snapshot
        if told or pending.source < partition.committed:
            answers.append(Answer(partition.place, pending.request, pending.verdict))
        else:
            waiting.append(pending)
    partition.stored.pending = waiting
    if waiting:
        partition.dirty = True
        _note(partition)
    return answers


def _is_finished(partition: Partition, offset: int) -> bool:
    if offset >= partition.next_offset or offset in partition.stored.sources:
        return False
    return not any(entry.offset == offset and not entry.done for entry in partition.order)


def _note(partition: Partition) -> None:
    for pending in partition.stored.pending:
        if pending.after is None and _is_finished(partition, pending.source):
            pending.after = partition.snapshots
