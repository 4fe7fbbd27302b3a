"""Who may run what, and when: I5, I6 and I7."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from .expectations import Config
from .history import Place
from .story import NEVER, Attempt, Session, Story
from .violations import Findings


def no_overlap(story: Story, config: Config, findings: Findings) -> None:
    """I5: no process runs two calls of one key at once, of whatever assignments.

    I6: two processes do so only if the older attempt is a zombie's: its owner was given no more time.
    """
    live: dict[tuple[Place, bytes | int], list[Attempt]] = {}
    for attempt in story.attempts:
        if not attempt.ran:
            continue
        record = attempt.record
        token = (record.place, record.offset if record.key is None else record.key)
        others = live.get(token)
        if others is None:
            live[token] = [attempt]
            continue
        still = [other for other in others if other.until > attempt.started]
        for other in still:
            _check_pair(other, attempt, story, config, findings)
        still.append(attempt)
        live[token] = still


def _check_pair(older: Attempt, newer: Attempt, story: Story, config: Config, findings: Findings) -> None:
    same_call = older.record is newer.record
    if not same_call and (config.relaxed(older.record.call) or config.relaxed(newer.record.call)):
        return  # a relaxed call that comes back does not wait for the one that passed it
    if older.inc == newer.inc:
        message = f"{newer.record} starts in {newer.inc} while {older.record} still runs there"
        findings.add("I5", message, story.at(older.started), story.at(newer.started))
    elif not _zombie(older, newer.started, story, config):
        findings.add(
            "I6",
            f"{newer.record} starts in {newer.inc} while {older.inc}, which holds the partition, runs "
            f"{older.record}",
            story.at(older.started),
            story.at(newer.started),
        )


def _zombie(attempt: Attempt, seq: int, story: Story, config: Config) -> bool:
    """Whether the attempt's process no longer owned the partition at ``seq``."""
    session = attempt.session
    if session is None or session.ended < seq:
        return True
    process = story.processes[attempt.inc]
    if process.frozen_at(seq):
        return True
    lease = process.lease_at(seq)
    if lease is None and config.session_timeout is not None:
        lease = story.t(session.last_heard(seq)) + config.session_timeout
    return lease is not None and lease < story.t(seq)


def fences_rise(story: Story, config: Config, findings: Findings) -> None:
    """I6: the epoch, the base of the fencing token, rises with every owner that runs something."""
    owners: defaultdict[Place, list[Session]] = defaultdict(list)
    for session in story.sessions:
        if any(attempt.ran for attempt in session.attempts):
            owners[session.place].append(session)
    for place, sessions in owners.items():
        for former, latter in pairwise(sessions):
            reset = any(former.began < seq < latter.began for seq, _ in story.logs[place].resets)
            if latter.epoch <= former.epoch and not reset:
                findings.add(
                    "I6",
                    f"{latter.inc} owns {place} in epoch {latter.epoch} after epoch {former.epoch}: its "
                    "fencing tokens do not rise",
                    story.at(former.began),
                    story.at(latter.began),
                )


def starts_are_owned(story: Story, config: Config, findings: Findings) -> None:
    """I7: every start is of a partition that is assigned, in its present epoch, and under a lease."""
    leased = {inc for inc, process in story.processes.items() if process.leases}
    for attempt in story.attempts:
        if not attempt.ran:
            continue
        why = _disowned(attempt, story, config, leased)
        if why:
            session = attempt.session
            began = NEVER if session is None else session.began
            ended = NEVER if session is None else session.ended
            findings.add(
                "I7",
                f"{attempt.record} starts in {attempt.inc} {why}",
                story.at(began),
                story.at(ended) if ended < attempt.started else None,
                story.at(attempt.started),
            )


def leases_are_earned(story: Story, config: Config, findings: Findings) -> None:
    """I7: no lease goes on longer than the group surely counts the process as a member."""
    if config.session_timeout is None:
        return
    for process in story.processes.values():
        for lease in process.leases:
            if lease.until > lease.heard + config.session_timeout + config.start_slack:
                findings.add(
                    "I7",
                    f"{process.inc} takes a lease until {lease.until:.3f}, but heard from the group last at "
                    f"{lease.heard:.3f} and may be evicted {config.session_timeout:g} s later",
                    story.at(lease.seq),
                )


def _disowned(attempt: Attempt, story: Story, config: Config, leased: set[str]) -> str:
    """Why it was not to start, or ""."""
    session = attempt.session
    if session is None:
        return "which was never assigned its partition in that epoch"
    if session.ended < attempt.started:
        words = {"revoked": "given back", "lost": "lost", "replaced": "assigned anew"}
        return f"after the partition was {words.get(session.how, session.how)}"
    if attempt.started < session.began:
        return "before the partition was assigned"
    if config.confirmed and not (session.commits and session.commits[0][0] < attempt.started):
        return "before a commit showed that the assignment is real"
    slack = config.start_slack
    t = story.t(attempt.started)
    if attempt.inc in leased:
        if attempt.lease is None:
            return "before it was given a lease"
        if t > attempt.lease + slack:
            return f"though its lease ended at {attempt.lease:.3f}"
    elif config.session_timeout is not None and t > attempt.heard + config.session_timeout + slack:
        return f"though it had last heard from the group at {attempt.heard:.3f}"
    return ""
