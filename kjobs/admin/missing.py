"""Says of a queue that it does not exist, and which there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..config import Settings
from ..core.topics import Names
from ..errors import UnknownQueue

#: Queues named to somebody who asked for one that does not exist.
_SHOWN = 10


def missing(settings: Settings, topics: Iterable[str], queue: str, companion: str, lack: str) -> UnknownQueue:
    """The error for a queue that lacks a companion topic, or does not exist at all.

    Args:
        settings: of the app.
        topics: those of the cluster.
        queue: which queue was asked for.
        companion: the name of the topic that is missing.
        lack: what the queue has not without it, and what follows from that.
    """
    known = frozenset(topics)
    if Names(settings.prefix).queue(queue) in known:
        return UnknownQueue(
            f"queue {queue} has no {lack.format(companion)}. Create it with `kjobs topics apply MODULE`."
        )
    prefix, suffix = f"{settings.prefix}.", companion[companion.rindex(".") :]
    queues = sorted(
        name.removeprefix(prefix).removesuffix(suffix)
        for name in known
        if name.startswith(prefix) and name.endswith(suffix)
    )
    close = difflib.get_close_matches(queue, queues, n=1)
    if close:
        hint = f"Did you mean {close[0]}?"
    elif queues:
        more = f" and {len(queues) - _SHOWN} more" if len(queues) > _SHOWN else ""
        hint = f"There are: {', '.join(queues[:_SHOWN])}{more}."
    else:
        hint = f"There is none with the prefix {settings.prefix}; is it the right cluster?"
    return UnknownQueue(f"there is no queue {queue} at {settings.bootstrap_servers}. {hint}")
