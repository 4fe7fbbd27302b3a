"""What becomes of delayed calls, and what is said of those that are cancelled, moved or replaced: I13."""

from __future__ import annotations

from .expectations import Config
from .story import NEVER, Attempt, Record, Story, Wish
from .violations import Findings


def delayed_calls_end(story: Story, config: Config, findings: Findings) -> None:
    """I13: nothing waits any more once everything had its time. That each ran is told with I1's words."""
    if not config.drained:
        return
    for place, waiting in story.waiting.items():
        for name, record in waiting.items():
            findings.add(
                "I13",
                f"{record or name} waits in {place[0]}[{place[1]}] in the end, for ever",
                *([] if record is None else [record.source]),
            )


def wishes_are_answered(story: Story, config: Config, findings: Findings) -> None:
    """I13: whoever wants something of a call is answered in the end, though not always in time."""
    if not config.drained:
        return
    for wish in story.wishes:
        if wish.request and wish.answered == NEVER:
            findings.add("I13", f"nobody ever answers {wish.request}", story.at(wish.seq))


def verdicts_are_true(story: Story, config: Config, findings: Findings) -> None:
    """I13: a call that was said to be cancelled does not begin, one that was moved not as it was, and so on.

    That one that was moved does not begin before its new time is I12.
    """
    for record in story.records():
        for wish in record.wishes:
            if wish.told != NEVER:
                _check_verdict(record, wish, story, config, findings)


def _check_verdict(record: Record, wish: Wish, story: Story, config: Config, findings: Findings) -> None:
    later = [attempt for attempt in record.attempts if attempt.ran and attempt.started > wish.told]
    if record.due is None and config.forgetful:
        later = []  # a commit may have forgotten that the store had it
    match wish.verdict, wish.due:
        case "cancelled", None:
            if later:
                _wrong(record, wish, later[0], "it starts after that", story, findings)
        case "started", None:
            if len(later) > 1:
                _wrong(record, wish, later[1], "it is tried again after that", story, findings)
        case "gone", _:
            if _waited(record, wish, story):
                _wrong(record, wish, None, "it waited in the store", story, findings)
    if wish.verdict in ("cancelled", "moved"):
        for attempt in record.attempts:
            if _begun(attempt, wish) and (attempt.until > wish.told or attempt.ok):
                what = "ran" if attempt.until > wish.told else "had succeeded"
                _wrong(record, wish, attempt, f"it {what} there then", story, findings)


def _begun(attempt: Attempt, wish: Wish) -> bool:
    """Whether whoever answered had begun a call before it was cancelled or moved."""
    session = attempt.session
    own = session is not None and session.inc == wish.inc and session.began < wish.told <= session.ended
    return own and attempt.ran and attempt.started < min(wish.done, wish.told)


def _waited(record: Record, wish: Wish, story: Story) -> bool:
    """Whether it was in the store when somebody wanted something of it, and nothing else ended it since."""
    until = wish.told if wish.due is not None else NEVER  # one that was to be cancelled may run all the same
    if record.settled < until or any(attempt.started < wish.told for attempt in record.attempts):
        return False
    if any(other is not wish and other.due is None and other.seq < wish.told for other in record.wishes):
        return False
    if any(s.inc == wish.inc and wish.seq < s.began < wish.told for s in story.sessions):
        return False  # whoever had it before may have followed the wish, and not said so
    if wish.due is None:
        return any(stay.began < wish.seq == stay.ended for stay in record.stays)
    return any(stay.began < wish.seq and wish.told < stay.ended for stay in record.stays)


def _wrong(
    record: Record, wish: Wish, attempt: Attempt | None, why: str, story: Story, findings: Findings
) -> None:
    findings.add(
        "I13",
        f"somebody was told that {record} is {wish.verdict}, but {why}",
        story.at(wish.seq),
        None if attempt is None else story.at(attempt.started),
        story.at(wish.told),
    )


def what_is_withdrawn_ends(story: Story, config: Config, findings: Findings) -> None:
    """I13: a call that was taken out or replaced does not begin long after that, whoever was told what."""
    if config.notice is None:
        return
    for record in story.records():
        if record.withdrawn == NEVER or any(w.verdict in ("started", "gone") for w in record.wishes):
            continue  # that one was about to begin, if no more; or it was said that it was not affected
        until = story.t(record.withdrawn) + config.notice
        for attempt in record.attempts:
            late = attempt.ran and story.t(attempt.started) > until
            if late and not (_disturbed(attempt, record.withdrawn, story) or _is_back(record, attempt)):
                findings.add(
                    "I13",
                    f"{record} starts {story.t(attempt.started) - until + config.notice:.3f} s after it was "
                    "taken out, or replaced",
                    story.at(record.withdrawn),
                    story.at(attempt.started),
                )
                break


def _is_back(record: Record, attempt: Attempt) -> bool:
    """Whether it is one of the queue, and somebody may have it who has read it there.

    That it was taken out is known to the group only with a commit; until then nobody is told so for certain,
    and if its owner dies before, the queue has it.
    """
    session = attempt.session
    return record.due is None and session is not None and session.began > record.withdrawn


def _disturbed(attempt: Attempt, since: int, story: Story) -> bool:
    """Whether its process could not know."""
    process = story.processes[attempt.inc]
    if any(ended > since for _, ended in process.frozen):
        return True
    t = story.t(since)
    return any(out.inc == attempt.inc and out.ended > t for out in story.outages)
