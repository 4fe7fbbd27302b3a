"""What is promised of calls that wait in the deferred store, asked of a scenario's history."""

from __future__ import annotations

from collections import defaultdict

from tests.kafka.scenario import Scenario
from tests.proof import history as h

#: Seconds by which two readings of the monotonic clock may differ from what is written as a wall time.
_ROUNDING = 0.002


def assert_never_early(scenario: Scenario) -> None:
    """No attempt began before its call was due."""
    due = {event.call: event.due for event in scenario.events(h.Enqueued) if event.due is not None}
    for event in scenario.events(h.Started):
        if event.call in due:
            wanted = due[event.call]
            assert wanted is not None
            assert event.t >= wanted - _ROUNDING, f"{event.call} began {wanted - event.t:.3f} s early"


def assert_in_order(scenario: Scenario) -> None:
    """Of each key, the calls that were not delayed were finished in the order in which they were enqueued.

    After a crash a call may be made again; then so are those behind it. So the last attempts are looked at.
    """
    enqueued = {event.call: event for event in scenario.events(h.Enqueued)}
    last: dict[str, None] = {}
    for effect in sorted(scenario.events(h.Effect), key=lambda effect: effect.t):
        last.pop(effect.call, None)
        last[effect.call] = None
    found: dict[bytes, list[int]] = defaultdict(list)
    for call in last:
        event = enqueued.get(call)
        if event is not None and event.key is not None and event.due is None and event.seq is not None:
            found[event.key].append(event.seq)
    for key, numbers in found.items():
        assert numbers == sorted(numbers), f"{key!r} ran as {numbers}"
