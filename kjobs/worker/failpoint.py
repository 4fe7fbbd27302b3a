"""Named places in a worker where a test can kill it: ``KJOBS_FAILPOINT=after-effect:kill@3``.

A failpoint costs one look at a module's variable, and nothing where ``armed`` is looked at once.
"""

from __future__ import annotations

import os
import signal
import threading
from enum import StrEnum

from ..errors import ConfigError


class Failpoint(StrEnum):
    """The places."""

    AFTER_FETCH = "after-fetch"
    IN_JOB = "in-job"
    AFTER_EFFECT = "after-effect"
    AFTER_BURIAL = "after-burial"
    IN_COMMIT = "in-commit"
    IN_REVOKE = "in-revoke"
    BEFORE_DEFER = "before-defer"
    AFTER_DEFER = "after-defer"
    BEFORE_ERASE = "before-erase"
    AFTER_ERASE = "after-erase"
    BEFORE_SAVE = "before-save"
    AFTER_SAVE = "after-save"
    AFTER_DUE = "after-due"
    IN_CATCH_UP = "in-catch-up"


_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}
_lock = threading.Lock()


def _parse(text: str) -> tuple[Failpoint, signal.Signals, int] | None:
    if not text:
        return None
    try:
        name, _, action = text.partition(":")
        kind, _, count = action.partition("@")
        passes = int(count or 1)
        if passes < 1:
            raise ValueError
        return Failpoint(name), _ACTIONS[kind], passes
    except (ValueError, KeyError):
        raise ConfigError(
            f"KJOBS_FAILPOINT={text!r}: expected name:action@n, with a name of {', '.join(Failpoint)}, an "
            f"action of {', '.join(_ACTIONS)}, and the n-th time it is passed"
        ) from None


#: The failpoint that is set for this process, with its action and the passes left until it acts.
armed = _parse(os.environ.get("KJOBS_FAILPOINT", ""))


def failpoint(here: Failpoint) -> None:
    """Pass a failpoint; does not return if it is the one to die at."""
    global armed
    if armed is None or armed[0] is not here:
        return
    with _lock:
        if armed is None:
            return
        name, action, left = armed
        armed = (name, action, left - 1) if left > 1 else None
        if left == 1:
            os.kill(os.getpid(), action)
