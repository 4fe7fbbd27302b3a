"""What no writer of a part of a history could know, and the whole of it tells."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from tests.kafka.merging import completed
from tests.proof import history as h

#: How a record that was replayed names the dead letter it comes from.
_LETTER = re.compile(r"(.+)\[(\d+)\]@(\d+)")


def prepared(events: Sequence[h.AnyEvent]) -> list[h.AnyEvent]:
    """A history with what its writers could not know put in."""
    known = _Known(events)
    replays = [replayed for event in events if (replayed := _replayed(event)) is not None]
    processes: defaultdict[str, list[h.AnyEvent]] = defaultdict(list)
    for event in chain(events, known.unacknowledged, replays):
        processes[event.inc].append(known.settled(event))
    return h.merge(*(completed(own) if _is_worker(own) else own for own in processes.values()))


class _Known:
    """What the whole history of a partition tells, and no writer of a part of it knew.

    Args:
        events: the history.
    """

    def __init__(self, events: Sequence[h.AnyEvent]) -> None:
        self._scheduled = {event.call: event for event in events if isinstance(event, h.Scheduled)}
        #: Delayed calls of which their callers know nothing, and which are in the log.
        self.unacknowledged = list(_unacknowledged(events))
        self._scheduled |= {event.call: event for event in self.unacknowledged}
        #: The offsets in the store's log at which a delayed call is: it is written again when it is moved.
        self._rows = {(event.call, event.offset) for event in self._scheduled.values()}
        self._requests: dict[str, str] = {}
        #: Whose epochs are whose.
        self._owners: dict[int, str] = {}
        for event in events:
            if isinstance(event, h.Started):
                self._owners.setdefault(event.epoch, event.inc)
            elif isinstance(event, h.DelayedLogged):
                self._rows.add((event.name, event.offset))
                if event.request:
                    self._requests[event.name] = event.request

    def settled(self, event: h.AnyEvent) -> h.AnyEvent:
        """An event with the place that its call is really in, and so on."""
        match event:
            case h.Started() | h.Ended() | h.Effect() | h.Buried():
                # A worker tells the offset in the log of the deferred store, and not that it is one of that.
                put = self._put(event.call, event.offset)
                if put is not None:
                    return msgspec.structs.replace(event, place=put.place, offset=put.offset)
            case h.DeadLogged(source=(topic, number, offset)) if topic.endswith(".delayed"):
                put = self._put(event.call, offset)
                if put is not None:
                    return msgspec.structs.replace(event, source=(topic, number, put.offset))
            case h.Told(request=request) if request.startswith("?"):
                return msgspec.structs.replace(event, request=self._requests.get(request[1:], request))
            case h.DelayedLogged() if event.inc:
                return msgspec.structs.replace(event, inc=self._owners.get(event.epoch, event.inc))
        return event

    def _put(self, call: str | None, offset: int | None) -> h.Scheduled | None:
        """Where a delayed call was enqueued, if this is one of the offsets that it has in the log."""
        put = self._scheduled.get(call or "")
        return put if put is not None and (call, offset) in self._rows else None


def _is_worker(events: Sequence[h.AnyEvent]) -> bool:
    return any(isinstance(event, h.AssignedTo) for event in events)


def _replayed(event: h.AnyEvent) -> h.Replayed | None:
    """What a record in the dump says of the dead letter that it comes from."""
    if not isinstance(event, h.Logged):
        return None
    for name, value in event.headers:
        if name == "kj-replay-of" and value is not None:
            topic, number, offset = _LETTER.fullmatch(value.decode()).groups()  # type: ignore[union-attr]
            return h.Replayed(event.t, call=event.call, place=(topic, int(number)), offset=int(offset))
    return None


def _unacknowledged(events: Sequence[h.AnyEvent]) -> Iterator[h.Scheduled]:
    """Delayed calls whose acknowledgements were lost, as the log has them."""
    unknown = {event.call for event in events if isinstance(event, h.EnqueueUnknown)}
    # The log's record has the key in its headers; whoever began the call told it, too.
    keys = {event.call: event.key for event in events if isinstance(event, h.Started)}
    for event in events:
        if (
            isinstance(event, h.DelayedLogged)
            and event.what == "call"
            and not event.inc
            and event.call in unknown
        ):
            assert event.call is not None
            assert event.due is not None
            yield h.Scheduled(
                event.t,
                call=event.call,
                name=event.name,
                place=event.place,
                offset=event.offset,
                key=keys.get(event.call),
                due=event.due,
            )
