"""How attempts are counted and spaced: I12 and I14."""

from __future__ import annotations

from .expectations import Config
from .story import NEVER, Attempt, Record, Session, Story
from .violations import Findings

#: Results after which the same attempt comes again.
_NOT_COUNTED = frozenset({"snoozed", "early"})


def never_early(story: Story, config: Config, findings: Findings) -> None:
    """I12: the body of a delayed call does not run before its time, of a moved one not before the new."""
    for record in story.records():
        dues = [event.due for event in story.enqueued.get(record.call or "", ()) if event.due is not None]
        due = record.due if record.due is not None else min(dues, default=None)
        if due is None and not record.wishes:
            continue
        for attempt in record.attempts:
            if not attempt.ran or attempt.result in ("early", "expired"):
                continue
            earliest = _earliest(record, due, attempt.started)
            if earliest is not None and story.t(attempt.started) < earliest - config.early_slack:
                findings.add(
                    "I12",
                    f"{record} is due at {earliest:.3f} and runs before",
                    record.source,
                    story.at(attempt.started),
                )


def _earliest(record: Record, due: float | None, seq: int) -> float | None:
    """When a call may begin, by what its enqueuer and those who moved it knew at ``seq``.

    Of a wish that was not answered nobody knows whether it was followed: the earliest time counts.
    """
    earliest = due
    for wish in record.wishes:
        if wish.due is None or wish.seq > seq:
            continue
        if wish.verdict == "moved" and wish.told < seq:
            earliest = wish.due
        elif earliest is not None:
            earliest = min(earliest, wish.due)
    return earliest


def attempts_are_exact(story: Story, config: Config, findings: Findings) -> None:
    """I14: the first attempt is 1, each counted failure adds one, and none begins before its time.

    A new owner of the partition may repeat the number of an attempt that a crash cut short, and may have
    forgotten failures, but only those that no acknowledged commit contained.
    """
    for what, seq in story.odd_effects:
        effect = story.events[seq]
        findings.add("I14", f"a body ran as an attempt of another number: {what}", effect)
    for log in story.logs.values():
        for record in log.records.values():
            _check_record(record, story, config, findings)


def _check_record(record: Record, story: Story, config: Config, findings: Findings) -> None:
    attempts = record.attempts
    limit = config.rules_of(record.call).retries
    if len(attempts) == 1 and attempts[0].number == 1:
        _check_exhausted(record, limit, story, findings)
        return
    latest: dict[Session | None, Attempt] = {}
    for attempt in attempts:
        if not attempt.ran:
            continue
        previous = latest.get(attempt.session)
        if previous is None:
            _check_first(attempt, story, config, findings)
        else:
            _check_next(previous, attempt, story, config, findings)
        latest[attempt.session] = attempt
        if limit is not None and attempt.number > limit + 1:
            findings.add(
                "I14",
                f"{record} begins attempt {attempt.number}, its job allows {limit + 1}",
                story.at(attempt.started),
            )
    _check_exhausted(record, limit, story, findings)


def _check_next(
    previous: Attempt, attempt: Attempt, story: Story, config: Config, findings: Findings
) -> None:
    """An attempt that follows another one in the same session."""
    if previous.ended > attempt.started:
        return  # they overlap: I5 tells
    expected = [previous.number + 1] if previous.result == "failed" else [previous.number]
    if previous.result == "condemned":
        expected.append(previous.number + 1)
    if attempt.number not in expected:
        findings.add(
            "I14",
            f"{attempt.record} begins attempt {attempt.number} after attempt {previous.number} ended "
            f"{previous.result!r}; expected {expected[0]}",
            story.at(previous.ended),
            story.at(attempt.started),
        )
    elif previous.due is not None:
        _check_due(previous.due, previous, attempt, story, config, findings)


def _check_first(attempt: Attempt, story: Story, config: Config, findings: Findings) -> None:
    """The first attempt of a call in a session: what former owners knew may be known, or not."""
    session = attempt.session
    began = attempt.started if session is None else session.began
    record, log = attempt.record, story.logs[attempt.record.place]
    counted = [
        former
        for former in record.attempts
        if former.result == "failed"
        and former.ended < attempt.started
        and former.session is not session
        # What is in the deferred store is not forgotten when somebody sets the offsets.
        and (_is_stored(former, began) or not log.reset_between(former.ended, attempt.started, record.offset))
    ]
    highest = 1 + max((former.number for former in counted), default=0)
    lowest = 1
    # A failure that is not retried ends in a dead letter; only those that are retried are committed.
    for former in counted:
        owner = former.session
        if former.due is None or owner is None or former.ended > began or _is_overruled(former, began):
            continue
        if _is_stored(former, began) or (
            former.record.due is None
            and not former.record.stays_at(former.started)
            and not _has_saved(former)
            and not config.forgetful
            and owner.protects(former.record, story.t(former.ended), began, forgetful=False)
        ):
            lowest = max(lowest, former.number + 1)
    if not lowest <= attempt.number <= highest:
        wanted = str(lowest) if lowest == highest else f"{lowest} to {highest}"
        findings.add(
            "I14",
            f"{attempt.record} begins attempt {attempt.number} in a new session; expected {wanted}",
            *[story.at(former.ended) for former in counted[-1:]],
            story.at(attempt.started),
        )
        return
    dues = [f for f in counted if f.number == attempt.number - 1 and f.due is not None]
    if dues:
        earliest = min(dues, key=lambda former: former.due or 0.0)
        _check_due(earliest.due or 0.0, earliest, attempt, story, config, findings)


def _is_stored(former: Attempt, before: int) -> bool:
    """Whether the deferred store knew of a failure, and of no older state, at a time."""
    stay = next((stay for stay in former.record.stays if stay.began < before <= stay.ended), None)
    if stay is None:
        return False
    rows = [row for seq, row in stay.rows if seq < before]
    return rows[-1].failures >= former.number


def _has_saved(former: Attempt) -> bool:
    """Whether it asked for a state to be saved: then the store tells how often it failed, and no commit."""
    return any(former.started < state.seq < former.ended for state in former.record.states)


def _is_overruled(former: Attempt, before: int) -> bool:
    """Whether somebody else has written later, and not known of a failure: a zombie."""
    stay = next((stay for stay in former.record.stays if stay.began < before <= stay.ended), None)
    if stay is None:
        return False
    seq, row = [(seq, row) for seq, row in stay.rows if seq < before][-1]
    return seq > former.ended and row.inc != former.inc and row.failures < former.number


def _check_due(
    due: float, previous: Attempt, attempt: Attempt, story: Story, config: Config, findings: Findings
) -> None:
    started = story.t(attempt.started)
    moves = [w.due for w in attempt.record.wishes if w.due is not None and w.seq < attempt.started]
    due = min([due, *moves])  # that one that was moved is not early is I12
    if started < due - config.early_slack:
        findings.add(
            "I14",
            f"{attempt.record} begins attempt {attempt.number} {due - started:.3f} s before it is due",
            story.at(previous.ended),
            story.at(attempt.started),
        )


def _check_exhausted(record: Record, limit: int | None, story: Story, findings: Findings) -> None:
    """A call that is given up on for its retries has used them."""
    if limit is None or not record.burials:
        return
    for seq, session in record.burials:
        event = story.events[seq]
        if getattr(event, "reason", "") != "retries-exhausted":
            continue
        own = [a for a in record.attempts if a.session is session and a.ran and a.ended < seq]
        if own and own[-1].number <= limit and own[-1].ended != NEVER:
            findings.add(
                "I14",
                f"{record} is given up on after attempt {own[-1].number}, its job allows {limit + 1}",
                story.at(own[-1].ended),
                event,
            )
