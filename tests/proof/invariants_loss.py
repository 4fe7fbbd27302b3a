"""Nothing is lost, nothing runs that was not enqueued, nothing gets stuck: I1, I2, I18, I19, I20."""

from __future__ import annotations

from collections.abc import Iterator

from .expectations import Config
from .history import AnyEvent, Gap, GapInjected
from .story import NEVER, Log, Record, Story
from .violations import Findings


def nothing_lost(story: Story, config: Config, findings: Findings) -> None:
    """I1: every acknowledged call is in the log, and ends as done, dead or deliberately dropped.

    I13: so does every delayed call. I18: and every record that is not a call, as a dead letter.
    """
    for record in story.records():
        if record.excused:
            continue
        if config.dumped and not record.logged:
            code = "I1" if record.due is None else "I13"
            findings.add(code, f"{record} was acknowledged and is not in the log", record.source)
        elif config.drained and not _finished(record, config):
            code = "I1" if record.due is None else "I13"
            if record.call is None and not record.burials:
                code = "I18"
            findings.add(code, f"{record} {_shape(record, config)}", *_evidence(story, record))
    if config.dumped:
        for call, times in story.replayed.items():
            records = story.positions[call]
            expected = len(story.enqueued[call]) + times
            if len(records) < expected and not any(record.deleted for record in records):
                findings.add(
                    "I1",
                    f"call {call!r} was enqueued and replayed {expected} times, and {len(records)} remain",
                )


def _finished(record: Record, config: Config) -> bool:
    if record.dead or (record.burials and not config.dumped):
        return True
    if record.withdrawn != NEVER:
        return True
    if any(attempt.result in ("discarded", "expired") for attempt in record.attempts):
        return True
    return record.effect != NEVER if config.effects else any(attempt.ok for attempt in record.attempts)


def _shape(record: Record, config: Config) -> str:
    """What is wrong with an unfinished record, in words."""
    if record.burials:
        return "was acknowledged as a dead letter and is not in the dead letter topic"
    if config.effects and any(attempt.result == "ok" for attempt in record.attempts):
        return "is said to have succeeded, but its body did not do its work"
    if record.attempts:
        return f"was never finished after {len(record.attempts)} attempts"
    return "was never begun"


def _evidence(story: Story, record: Record) -> Iterator[AnyEvent | None]:
    yield record.source
    if record.attempts:
        yield story.at(record.attempts[-1].started)
    if record.burials:
        yield story.at(record.burials[-1][0])


def no_phantom(story: Story, config: Config, findings: Findings) -> None:
    """I2: what runs was enqueued, and what was refused never runs."""
    told: set[str] = set()
    for attempt in story.attempts:
        record = attempt.record
        if not record.known:
            log = story.logs[record.place]
            if any(d.first <= record.offset < d.after for d in log.deletions):
                continue
            if config.dumped:
                findings.add("I2", f"{record} runs and is not in the log", story.at(attempt.started))
                told.add(record.call or "")
    for call, records in story.positions.items():
        if call in told or call in story.enqueued or call in story.unknown or call in story.scheduled:
            continue
        begun = [attempt for record in records for attempt in record.attempts]
        evidence = story.at(begun[0].started) if begun else records[0].source
        why = "was refused for certain" if call in story.failed else "was never enqueued"
        findings.add("I2", f"call {call!r} {why}, but it is {'run' if begun else 'in the log'}", evidence)


def gaps_are_told(story: Story, config: Config, findings: Findings) -> None:
    """I19: what retention took before it was read is reported, and nothing else is."""
    for log in story.logs.values():
        if not log.deletions and not log.gaps:
            continue
        deletions = _joined(log.deletions)
        for gap in log.gaps:
            if not any(first <= gap.first and gap.after <= after for first, after in deletions):
                findings.add(
                    "I19", f"a gap is reported in {log.place} where nothing was deleted", *log.deletions, gap
                )
        if config.drained:
            _check_silent(log, config, findings)


def _check_silent(log: Log, config: Config, findings: Findings) -> None:
    for record in log.order:
        if not record.deleted or _finished(record, config):
            continue
        if not any(gap.first <= record.offset < gap.after for gap in log.gaps):
            findings.add(
                "I19", f"{record} was deleted before it was finished, and nobody said so", record.source
            )


def _joined(deletions: list[GapInjected] | list[Gap]) -> list[tuple[int, int]]:
    """Ranges, with those that touch made one."""
    out: list[tuple[int, int]] = []
    for first, after in sorted((d.first, d.after) for d in deletions):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(after, out[-1][1]))
        else:
            out.append((first, after))
    return out


def commits_reach_the_end(story: Story, config: Config, findings: Findings) -> None:
    """I20: once everything is finished, the committed offset is the end of the log."""
    if not config.drained:
        return
    for log in story.logs.values():
        if log.final is None or not log.order:
            continue
        offset = log.final.offset
        rest = [record for record in log.order if record.offset >= offset and not record.excused]
        if rest and all(record.settled != NEVER for record in rest):
            findings.add(
                "I20",
                f"everything in {log.place} is finished, but the committed offset stays at {offset} and the "
                f"log ends at {log.order[-1].offset + 1}",
                log.final,
            )
