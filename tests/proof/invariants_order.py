"""The order of calls with the same key: I3 and I4."""

from __future__ import annotations

from .expectations import Config
from .history import AnyEvent
from .story import NEVER, Attempt, Record, Session, Story
from .violations import Findings


def no_overtaking(story: Story, config: Config, findings: Findings) -> None:
    """I3: no call starts before every earlier call of its key is finished.

    A call with relaxed order lets the others go once its first attempt has ended.
    """
    for lane in story.lanes():
        if len(lane) > 1:
            guilty = _by_starts(lane, story, config, findings)
            _by_effects(lane, guilty, story, config, findings)


def _by_starts(lane: list[Record], story: Story, config: Config, findings: Findings) -> set[int]:
    """By kjobs' own word; returns the ranks of the calls that overtook."""
    latest = -1
    blocker: Record | None = None
    guilty: set[int] = set()
    told: Record | None = None
    for record in lane:
        if blocker is not None:
            hasty = [a for a in record.attempts if a.ran and a.started < latest]
            if hasty:
                guilty.add(record.rank)
                if told is not blocker:  # one call that stays unfinished is told once, not per follower
                    told = blocker
                    findings.add(
                        "I3",
                        f"{record} started before {blocker} was finished",
                        *_last_word(blocker, story),
                        story.at(hasty[0].started),
                    )
        released = _released(record, config)
        if released > latest:
            latest, blocker = released, record
    return guilty


def _released(record: Record, config: Config) -> int:
    """From when on the next call of its key may start."""
    if record.excused:
        return -1  # retention took it: whoever owns the partition now cannot know that it still runs
    if config.relaxed(record.call):
        return min([record.released, *(attempt.ended for attempt in record.attempts)])
    return record.released


def _last_word(record: Record, story: Story) -> tuple[AnyEvent | None, ...]:
    """The events that show the state of a call."""
    attempt = record.attempts[-1] if record.attempts else None
    if attempt is None:
        return (record.source,)
    return (story.at(attempt.started), story.at(attempt.ended))


def _by_effects(
    lane: list[Record], guilty: set[int], story: Story, config: Config, findings: Findings
) -> None:
    """By the word of the jobs' bodies: the first effects of a key are in log order."""
    latest = -1
    blocker: Record | None = None
    for record in lane:
        effect = record.effect
        if effect < latest and record.rank not in guilty and blocker is not None:
            findings.add(
                "I3",
                f"{record} had its effect before {blocker} had its own, whatever kjobs says",
                story.at(blocker.effect),
                story.at(effect),
            )
        mark = min(effect, record.given_up)
        settled = mark != NEVER and record.released == record.settled
        if settled and mark > latest and not record.excused and not config.relaxed(record.call):
            latest, blocker = mark, record


def replay_is_a_suffix(story: Story, config: Config, findings: Findings) -> None:
    """I4: what one owner starts of a key is an unbroken run of the log, from where it had to begin.

    Within a session each start is the same record again or the next one of its key; a step back needs
    another assignment between, and never lands below what was committed by then.
    """
    for session in story.sessions:
        _walk(session, story, config, findings)


def _walk(session: Session, story: Story, config: Config, findings: Findings) -> None:
    lanes = story.logs[session.place].lanes if session.place in story.logs else {}
    reached: dict[bytes, int] = {}
    for attempt in session.attempts:
        record = attempt.record
        if attempt.started > session.ended:
            continue  # I7 tells
        if record.stays:
            continue  # it came from the deferred store, or may have
        if record.offset < session.floor and attempt.ran:
            findings.add(
                "I4",
                f"{record} starts again, below offset {session.floor} that was committed or assigned",
                story.at(session.began),
                story.at(attempt.started),
            )
            continue
        if record.key is None or record.rank < 0:
            continue
        last = reached.get(record.key)
        if last is None or record.rank == last + 1:
            reached[record.key] = record.rank
        elif record.rank > last:
            _check_gap(lanes[record.key], last, attempt, story, config, findings)
            reached[record.key] = record.rank
        elif record.rank < last and attempt.ran:
            if record.settled > attempt.started or _comes_back(attempt, config):
                continue  # it was overtaken: if it may not be, I3 tells
            findings.add(
                "I4",
                f"{record} starts after a later call of its key, with no assignment between",
                story.at(session.began),
                lanes[record.key][last].source,
                story.at(attempt.started),
            )


def _comes_back(attempt: Attempt, config: Config) -> bool:
    """Whether it is another attempt of a call that let others pass while it waited."""
    return config.relaxed(attempt.record.call) and any(
        former.session is attempt.session and former.ended < attempt.started
        for former in attempt.record.attempts
    )


def _check_gap(
    lane: list[Record], last: int, attempt: Attempt, story: Story, config: Config, findings: Findings
) -> None:
    """Whether the records between were left out though this owner had begun to replay the key."""
    skipped = lane[last + 1 : attempt.record.rank]
    if any(record.settled > attempt.started for record in skipped):
        return  # it overtook them: I3 tells
    if any(record.excused or record.stays or record.withdrawn < attempt.started for record in skipped):
        return  # what is known of them is in the deferred store, and not in commits
    if any(config.relaxed(record.call) for record in lane):
        return  # a relaxed call was finished later than its followers: no unbroken run is to be expected
    findings.add(
        "I4",
        f"{attempt.record} starts right after {lane[last]}: {skipped[0]} is left out of the replay",
        skipped[0].source,
        story.at(attempt.started),
    )
