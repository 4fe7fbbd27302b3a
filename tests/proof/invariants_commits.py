"""What may be committed: I8 and I9."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from operator import attrgetter

from .expectations import Config
from .history import AssignedTo, Committed, FinalCommit, OffsetsReset
from .story import Log, Record, Story
from .violations import Findings


def commits_pass_nothing(story: Story, config: Config, findings: Findings) -> None:
    """I8: when an offset is committed, everything below it is finished or acknowledged as dead.

    Judged as of when the commit was sent, where that is known. Where an owner begins to read counts too:
    a commit may be stored whose acknowledgement nobody saw.
    """
    for log in story.logs.values():
        reached = 0
        for seq in log.commits:
            event = story.events[seq]
            if isinstance(event, OffsetsReset):
                # Whoever moves the offset forward answers for what is left out.
                reached = max(reached, bisect_left(log.order, event.offset, key=attrgetter("offset")))
            elif isinstance(event, Committed | FinalCommit | AssignedTo):
                reached = _pass(log, reached, seq, event, story, findings)


def _pass(
    log: Log,
    reached: int,
    seq: int,
    event: Committed | FinalCommit | AssignedTo,
    story: Story,
    findings: Findings,
) -> int:
    """Check what this commit passes that none did before; returns how far it goes."""
    sent = event.sent if isinstance(event, Committed) else None
    open_: list[Record] = []
    while reached < len(log.order) and log.order[reached].offset < event.offset:
        record = log.order[reached]
        reached += 1
        if not record.excused and not _safe(record, seq, sent, story):
            open_.append(record)
    if open_:
        first = open_[0]
        state = "has not begun"
        begun = [a for a in first.attempts if a.started < seq]
        if begun:
            state = "runs" if begun[-1].until > seq else f"ended {begun[-1].result!r} and is not settled"
        findings.add(
            "I8",
            f"{type(event).__name__}: offset {event.offset} of {log.place} is past {len(open_)} unfinished "
            f"records, the first is {first}, which {state}",
            story.at(begun[-1].started) if begun else first.source,
            event,
        )
    return reached


def _safe(record: Record, seq: int, sent: float | None, story: Story) -> bool:
    """Whether a record was finished, or in the deferred store, when a commit was sent."""
    done = min(record.settled, record.withdrawn)
    if sent is None:
        return done <= seq or record.stays_at(seq)
    if done <= seq and story.t(done) <= sent:
        return True
    return any(story.t(stay.began) <= sent < story.t(stay.ended) for stay in record.stays)


def commits_never_go_back(story: Story, config: Config, findings: Findings) -> None:
    """I9: the committed offset of a partition never falls, unless somebody sets it.

    Acknowledgements are told by different processes, and a frozen one tells late: a commit is compared
    with what was acknowledged before it was sent.
    """
    for log in story.logs.values():
        times: list[float] = []
        highest: list[int] = []
        own: defaultdict[str, list[tuple[float, Committed]]] = defaultdict(list)
        for seq in log.commits:
            event = story.events[seq]
            if isinstance(event, OffsetsReset):
                times, highest = [], []
                own.clear()
                continue
            if not isinstance(event, Committed | FinalCommit):
                continue
            sent = event.sent if isinstance(event, Committed) else None
            known = len(times) if sent is None else bisect_left(times, sent)
            if known and event.offset < highest[known - 1]:
                findings.add(
                    "I9", f"{log.place} was committed up to {highest[known - 1]} and goes back", event
                )
            elif isinstance(event, Committed):
                _check_own(own[event.inc], event, findings)
            times.append(event.t)
            highest.append(max(event.offset, highest[-1] if highest else event.offset))


def _check_own(earlier: list[tuple[float, Committed]], event: Committed, findings: Findings) -> None:
    """Within a process commits are sent in order, also where acknowledgements overlap."""
    sent = event.t if event.sent is None else event.sent
    index = bisect_right(earlier, sent, key=lambda pair: pair[0])
    if index and earlier[index - 1][1].offset > event.offset and earlier[index - 1][0] < sent:
        previous = earlier[index - 1][1]
        findings.add(
            "I9", f"{event.inc} committed {previous.offset} of {event.place} and goes back", previous, event
        )
    earlier.insert(index, (sent, event))
