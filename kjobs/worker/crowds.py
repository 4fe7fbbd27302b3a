"""The keys whose calls pile up, as log lines and probes tell of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..core.duration import spoken
from ..core.hotkeys import HotKey
from ..health.process import Crowd
from .facts import shown_key

#: Share of the calls in memory from which on a key is worth a word in the summary.
_LARGE = 0.25


def crowds(hot: Sequence[HotKey]) -> tuple[Crowd, ...]:
    """Hot keys so that everybody can read them."""
    now_ms = time.time() * 1000
    return tuple(
        Crowd(
            key=shown_key(one.key),
            topic=one.place[0],
            partition=one.place[1],
            waiting=one.waiting,
            age=round(max(0.0, now_ms - one.since_ms) / 1000, 1),
            running=one.running,
            parked=one.parked,
        )
        for one in hot
    )


def remark(found: Sequence[Crowd], held: int) -> str:
    """What a summary says of the hottest key, if it has a large share of the calls in memory."""
    if not found or found[0].waiting < _LARGE * held:
        return ""
    hottest = found[0]
    return f"; {hottest.waiting:,} of them have key {hottest.key!r} ({hottest.topic}[{hottest.partition}])"


def line(crowd: Crowd) -> str:
    """One of them in a dump."""
    state = "its first one runs" if crowd.running else "none of them runs"
    more = ", more are in the deferred store" if crowd.parked else ""
    return (
        f"{crowd.topic}[{crowd.partition}] key={crowd.key!r}: {crowd.waiting:,} calls, the oldest waits "
        f"{spoken(crowd.age)}; {state}{more}"
    )
