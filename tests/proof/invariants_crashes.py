"""Calls that crash the process they run in: I17."""

from __future__ import annotations

from collections import Counter

from .expectations import Config
from .story import Session, Story
from .violations import Findings

#: Crashes after which a call is a dead letter.
_MOST = 3


def crashes_end(story: Story, config: Config, findings: Findings) -> None:
    """I17: a call that crashes its own process is not begun again after three times.

    Counted in one session: a crash that was not committed yet may be forgotten by the next owner.
    """
    for record in story.records():
        crashes: Counter[Session | None] = Counter()
        for attempt in record.attempts:
            if crashes[attempt.session] >= _MOST and attempt.ran:
                findings.add(
                    "I17",
                    f"{record} begins again after {crashes[attempt.session]} crashes",
                    story.at(attempt.started),
                )
            crashes[attempt.session] += attempt.result == "crashed"
