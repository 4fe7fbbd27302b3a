"""Dead letters: I15 and I16."""

from __future__ import annotations

from collections import Counter

from .expectations import Config
from .history import DeadLogged
from .invariants_duplicates import came_back
from .story import Attempt, Record, Session, Story
from .violations import Findings


def dead_letters_are_complete(story: Story, config: Config, findings: Findings) -> None:
    """I15: a dead letter has the bytes, key, partition and headers of its record, and says what it was."""
    for dead in story.dead:
        wrong = list(_wrong(dead, story, config))
        if wrong:
            where = f"{dead.place[0]}[{dead.place[1]}]@{dead.offset}"
            findings.add("I15", f"the dead letter at {where} {'; '.join(wrong)}", dead)


def _wrong(dead: DeadLogged, story: Story, config: Config) -> list[str]:
    """What is wrong with a dead letter."""
    names = {name for name, _ in dead.headers}
    wrong = [f"has no header {name}" for name in sorted(config.dead_headers - names)]
    if dead.source is None:
        return [*wrong, "does not say where it came from"]
    topic, number, offset = dead.source
    log = story.logs.get((topic, number))
    record = log.records.get(offset) if log is not None else None
    if record is None or log is None or not record.known:
        deleted = log is not None and any(d.first <= offset < d.after for d in log.deletions)
        return wrong if deleted else [*wrong, f"came from {topic}[{number}]@{offset}, where nothing is"]
    if dead.place[1] != number:
        wrong.append(f"is in partition {dead.place[1]}, not {number}")
    if dead.key != record.key:
        wrong.append(f"has the key {dead.key!r}, not {record.key!r}")
    if dead.call != record.call:
        wrong.append(f"is of call {dead.call!r}, not {record.call!r}")
    if record.logged:
        if dead.value_digest != record.digest:
            wrong.append("has another value than its record")
        missing = Counter(record.headers) - Counter(dead.headers)
        wrong += [f"has lost the header {name} of its record" for name, _ in missing]
    return wrong


def dead_or_done(story: Story, config: Config, findings: Findings) -> None:
    """I16: a call that was given up on does not succeed later, unless it is replayed.

    Excepted are zombies, which began it before, and owners that came before the dead letter was
    committed: they do not know of it. A replayed call is another record.
    """
    for log in story.logs.values():
        for record in log.records.values():
            if not record.burials or not record.attempts:
                continue
            for buried, session in record.burials:
                culprit = _culprit(record, buried, session, story, config)
                if culprit is not None and not log.reset_between(buried, culprit.started, record.offset):
                    findings.add(
                        "I16",
                        f"{record} is a dead letter and a success of {culprit.inc}",
                        story.at(buried),
                        story.at(culprit.started),
                        story.at(min(culprit.effect, culprit.ended)),
                    )
                    break


def _culprit(
    record: Record, buried: int, session: Session | None, story: Story, config: Config
) -> Attempt | None:
    """A success that the dead letter rules out, or that rules out the dead letter."""
    for attempt in record.attempts:
        if not attempt.ok:
            continue
        if session is not None and attempt.session is session:
            return attempt
        if attempt.started < buried or session is None:
            continue
        began = attempt.started if attempt.session is None else attempt.session.began
        if record.stays and (record.due is not None or came_back(record, began, attempt)):
            if not came_back(record, began, attempt):
                return attempt
            continue
        if session.protects(record, story.t(buried), began, forgetful=config.forgetful):
            return attempt
    return None
