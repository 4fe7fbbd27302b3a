"""How often a call may run: I10 and I11.

A call may run again only if its former run was not yet committed when something broke. Commit metadata
holds the finished offsets above the watermark too, so "committed" is a matter of time and not of
offsets: every acknowledged commit of a partition contains all that had finished by when it was sent. A
former run is *excused* if

* another session runs the call again, and no acknowledged commit that the former one's session made after
  its end came before that session, and
* its process was killed, or gave up by force, while it ran or at most ``commit_window`` after it ended;
  or its session was lost; or its process was frozen, or an outage announced, while it ran or at most
  ``commit_window`` after it ended; or it outlasted a revocation by more than ``revoke_budget``.

So the duplicates of one fault are at most what ran, and what had finished in the last
``commit_window`` seconds, on the process it hit.
"""

from __future__ import annotations

from itertools import pairwise

from .expectations import Config
from .story import Attempt, Record, Story
from .violations import Findings


def duplicates_are_explained(story: Story, config: Config, findings: Findings) -> None:
    """I10: a call succeeds twice only where a fault explains it; I11: and never without a fault."""
    code = "I11" if config.graceful_only else "I10"
    for attempt, seq in story.doubled:
        findings.add(
            code,
            f"the body of {attempt.record} did its work twice in one attempt",
            story.at(attempt.effect),
            story.at(seq),
        )
    for log in story.logs.values():
        for record in log.records.values():
            if len(record.attempts) < 2:
                continue
            succeeded = [attempt for attempt in record.attempts if attempt.ok]
            for former, latter in pairwise(succeeded):
                if log.reset_between(former.done, latter.started, record.offset):
                    continue
                if config.graceful_only or not _excused(former, latter, story, config):
                    findings.add(
                        code,
                        f"{record} succeeded in {former.inc} and again in {latter.inc}, and "
                        + ("nothing failed in this run" if config.graceful_only else "no fault explains it"),
                        story.at(former.started),
                        story.at(former.done),
                        story.at(latter.started),
                    )


def _excused(former: Attempt, latter: Attempt, story: Story, config: Config) -> bool:
    """Whether the former success may have been forgotten."""
    session = former.session
    if session is None or session is latter.session:
        return False
    heir = latter.started if latter.session is None else latter.session.began
    done = story.t(former.done)
    record = former.record
    held = _is_held(former)
    if former.ended < heir and not held and not came_back(record, heir, latter):
        known = session.protects(record, story.t(former.ended), heir, forgetful=config.forgetful)
        if record.due is not None or known:
            return False
    if config.forgetful and record.due is None:
        return True  # what finished above the watermark may be forgotten with any owner
    process = story.processes[former.inc]
    window = max(config.commit_window, config.erase_window) if record.stays or held else config.commit_window
    since = done + window
    if process.crashed and story.t(process.gone) <= since:
        return True
    if session.how == "lost":
        return True
    disturbed = [(story.t(began), story.t(ended)) for began, ended in process.frozen]
    disturbed += [(out.began, out.ended) for out in story.outages if out.inc in ("", former.inc)]
    if any(began <= since and done <= ended + window for began, ended in disturbed):
        return True
    if config.revoke_budget is None or session.how != "revoked":
        return False
    if (record.stays or held) and story.t(session.ended) <= since:
        return True  # what was to be written about it was given up on with the partition
    waited = story.t(session.ended) - story.t(former.started)
    return former.started < session.ended < former.done and waited >= config.revoke_budget


def _is_held(former: Attempt) -> bool:
    """Whether the end of an attempt may have waited for a state of which nobody knew whether it was saved."""
    return any(
        state.session is former.session and state.seq < former.done and state.fate in ("", "unknown")
        for state in former.record.states
    )


def came_back(record: Record, heir: int, latter: Attempt) -> bool:
    """Whether the store's log still had it when the next owner took over, or by another's word again."""
    for stay in record.stays:
        row, session = stay.rows[0][1], latter.session
        own = (
            stay.began > heir and session is not None and (row.inc, row.epoch) == (session.inc, session.epoch)
        )
        if stay.ended > heir and stay.began < latter.started and not own:
            return True
    return False
