"""What is behind a call of the deferred store, and in the queue still: it waits until that is out (I3)."""

from __future__ import annotations

from collections import defaultdict

from .expectations import Config
from .history import home
from .story import Attempt, Record, Session, Stay, Story
from .violations import Findings

#: The turn of a call that came from the queue.
_QUEUED = 1 << 53


def the_queue_waits_for_the_store(story: Story, config: Config, findings: Findings) -> None:
    """I3: a call of the queue does not start before the store's log says that those before it have ended.

    Otherwise it might be committed, and after a crash one that comes before it would run after it.
    """
    stored = _stored(story, config)
    if not stored:
        return
    for session in story.sessions:
        for attempt in session.attempts:
            record = attempt.record
            if record.key is None or record.due is not None or not attempt.ran:
                continue
            if attempt.started > session.ended or any(s.began < attempt.started for s in record.stays):
                continue  # it may come from the store, too, where it is ended after those before it
            for before in stored.get((session.place, record.key), ()):
                if _waits(before, attempt, session) and _is_first(before, record, session, attempt.started):
                    findings.add(
                        "I3",
                        f"{record} starts before the store's log says that {before} has ended",
                        story.at(before.settled),
                        story.at(attempt.started),
                    )


def _stored(story: Story, config: Config) -> dict[tuple[object, bytes], list[Record]]:
    """The calls that were in the store and are ordered, by the partition of the queue and their key."""
    found: defaultdict[tuple[object, bytes], list[Record]] = defaultdict(list)
    for record in story.records():
        if record.stays and record.key is not None and not record.excused and not config.relaxed(record.call):
            found[home(record.place), record.key].append(record)
    return found


def _waits(before: Record, attempt: Attempt, session: Session) -> bool:
    """Whether the store of an owner has a call that has finished."""
    seq = attempt.started
    if before.settled > seq or min(before.withdrawn, before.displaced) < seq:
        return False
    return any(
        stay.began < seq < stay.ended
        and _is_known(stay, session)
        and not any(stay.began < ended < seq for ended in before.ends)
        for stay in before.stays
    )


def _is_known(stay: Stay, session: Session) -> bool:
    return stay.began < session.began or stay.rows[0][1].inc == session.inc


def _is_first(before: Record, record: Record, session: Session, seq: int) -> bool:
    """Whether a call of the store has its place before one of the queue."""
    if before.due is None:
        return before.offset < record.offset
    if any(p.record is before and p.seq < seq and p.before <= record.offset for p in session.placings):
        return True
    ranks = [row.rank for stay in before.stays for at, row in stay.rows if at < session.began]
    return bool(ranks) and ranks[-1] is not None and ranks[-1] < (record.offset, _QUEUED)
