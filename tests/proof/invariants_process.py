"""What a process may hold, and how it stops: I25 and I26."""

from __future__ import annotations

import heapq
from collections import defaultdict

from .expectations import Config
from .history import Buffered
from .story import NEVER, Process, Story
from .violations import Findings


def memory_is_bounded(story: Story, config: Config, findings: Findings) -> None:
    """I25: no process holds more records or bytes, or runs more calls at once, than it may."""
    if config.max_records is not None or config.max_size is not None:
        records = float("inf") if config.max_records is None else config.max_records
        size = float("inf") if config.max_size is None else config.max_size
        for event in story.events:
            if isinstance(event, Buffered) and (event.records > records or event.size > size):
                findings.add(
                    "I25",
                    f"{event.inc} holds {event.records} records of {event.size} bytes; allowed are {records} "
                    f"of {size}",
                    event,
                )
    if config.slots is None:
        return
    running: defaultdict[str, list[int]] = defaultdict(list)
    for attempt in story.attempts:
        if not attempt.ran:
            continue
        ends = running[attempt.inc]
        while ends and ends[0] < attempt.started:
            heapq.heappop(ends)
        heapq.heappush(ends, attempt.until)
        if len(ends) > config.slots:
            findings.add(
                "I25",
                f"{attempt.inc} runs {len(ends)} calls at once in {config.slots} slots",
                story.at(attempt.started),
            )


def stops_when_told(story: Story, config: Config, findings: Findings) -> None:
    """I26: after TERM a process begins nothing more, and is gone when its grace is over."""
    told = {inc: process for inc, process in story.processes.items() if process.terms}
    if not told:
        return
    for attempt in story.attempts:
        process = told.get(attempt.inc)
        if process is None or not attempt.ran:
            continue
        term = process.terms[0][0]
        if attempt.started > term and story.t(attempt.started) > story.t(term) + config.start_slack:
            findings.add(
                "I26",
                f"{attempt.record} starts in {attempt.inc} after it was told to stop",
                story.at(term),
                story.at(attempt.started),
            )
    for process in told.values():
        _check_exit(process, story, config, findings)


def _check_exit(process: Process, story: Story, config: Config, findings: Findings) -> None:
    deadline = min(story.t(seq) + grace for seq, grace in process.terms) + config.exit_slack
    term = story.at(process.terms[0][0])
    if process.gone != NEVER:
        if story.t(process.gone) > deadline:
            findings.add(
                "I26",
                f"{process.inc} was gone only {story.t(process.gone) - deadline:.3f} s after its grace",
                term,
                story.at(process.gone),
            )
    elif story.events[-1].t > deadline:
        findings.add("I26", f"{process.inc} was told to stop and is not gone after its grace", term)
