"""The log itself: I23 and I24."""

from __future__ import annotations

from .expectations import Config
from .history import Enqueued
from .story import Story
from .violations import Findings


def log_order_is_call_order(story: Story, config: Config, findings: Findings) -> None:
    """I23: what one producer enqueues under one key stands in the log in the order of its calls."""
    series: dict[tuple[str, str, str, bytes], list[Enqueued]] = {}
    for enqueued in story.enqueued.values():
        for event in enqueued:
            if event.key is not None and event.seq is not None:
                topic = event.place[0]
                series.setdefault((event.inc, event.producer, topic, event.key), []).append(event)
    for events in series.values():
        events.sort(key=lambda event: event.seq or 0)
        former = events[0]
        for event in events[1:]:
            if event.place != former.place:
                findings.add(
                    "I23",
                    f"key {event.key!r} goes to partition {event.place[1]} after {former.place[1]}: its "
                    "calls have no order",
                    former,
                    event,
                )
            elif event.offset <= former.offset:
                findings.add(
                    "I23",
                    f"call {event.call!r} was enqueued after {former.call!r} by the same producer and stands "
                    "before it in the log",
                    former,
                    event,
                )
            former = event


def offsets_are_calls(story: Story, config: Config, findings: Findings) -> None:
    """I24: an offset is one call for ever, and a call has one offset for each time it was enqueued."""
    for message, former, event in story.clashes:
        findings.add("I24", message, former, event)
    for call, records in story.positions.items():
        if len(records) == 1 or (call not in story.enqueued and call not in story.unknown):
            continue
        times = len(story.enqueued[call]) + story.unknown.get(call, 0) + story.replayed.get(call, 0)
        if len(records) > times:
            findings.add(
                "I24",
                f"call {call!r} was enqueued {times} times and is in the log {len(records)} times",
                *[record.source for record in records],
            )
