"""Run jobs in a test suite without Kafka.

>>> from kjobs import testing
>>> with testing.manual() as queue:
...     send_email.delay(7)
...     queue.assert_enqueued(send_email, 7)
...     queue.drain()

Everything that decides is what a worker runs: the scheduler, the invoker, the wire format. The log, the
dead letter queue and the clock are in memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "DeadCall",
    "FrozenClock",
    "Misuse",
    "Queue",
    "RecordedCall",
    "State",
    "Totals",
    "inline",
    "manual",
]

# Python imports this package before the pytest plugin in it, in every pytest run of everybody who has
# kjobs installed. So what is here is imported when it is first used.
_HOMES = {
    "DeadCall": ".calls",
    "FrozenClock": ".clock",
    "Misuse": ".misuse",
    "Queue": ".queue",
    "RecordedCall": ".calls",
    "State": ".calls",
    "Totals": "..worker.report",
    "inline": ".modes",
    "manual": ".modes",
}


if TYPE_CHECKING:
    from ..worker.report import Totals
    from .calls import DeadCall, RecordedCall, State
    from .clock import FrozenClock
    from .misuse import Misuse
    from .modes import inline, manual
    from .queue import Queue
else:  # a type checker that saw this would take any name for one of ours

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(home, __name__), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
