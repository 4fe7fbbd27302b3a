"""The deferred store of a test: the rules of a worker's, on stores in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec.structs import replace

from ..core.commands import Answer, CloseStore, Defer, Erase, FetchLane, OpenStore, Release
from ..core.deferred import Answered, Change, End, Row, Verdict
from ..core.events import Deferred, Erased, Event, Place
from ..deferred.memory import MemoryStore
from ..deferred.shelf import Shelf

Command = OpenStore | CloseStore | Defer | Erase | FetchLane | Release | Answer


class MemoryKeeper:
    """Keeps shelves in memory; everything that is written is acknowledged at once.

    Args:
        now_ms: the clock (ms since the epoch).
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._shelves: dict[Place, Shelf] = {}
        self._ends: dict[Place, int] = {}
        #: What was answered to requests.
        self.verdicts: dict[str, Verdict] = {}

    def perform(self, command: Command) -> list[Event]:
        """Do what the scheduler commands; returns what comes of it."""
        match command:
            case OpenStore(place=place, read_from=read_from, epoch=epoch, topic_id=topic_id):
                store = MemoryStore(position=self._ends.get(place, 0))
                shelf = Shelf(place, store, epoch=epoch, name="test", topic_id=topic_id, read_from=read_from)
                self._shelves[place] = shelf
                return shelf.catch_up()
            case CloseStore(places=places):
                for place in places:
                    self._shelves.pop(place, None)
                return []
            case Defer(entry=entry):
                row = entry.deferral
                assert row is not None
                if entry.row is None:
                    row = replace(row, headers=entry.record.headers())
                return [*self._write(entry.partition.place, row), Deferred(entry)]
            case Erase(entry=entry):
                assert entry.row is not None
                end = End(id=entry.row.id, of=entry.row.offset)
                return [*self._write(entry.partition.place, end), Erased(entry)]
            case FetchLane(place=place, key=key, read=read):
                return [self._shelves[place].lane(key, read, self._now_ms())]
            case Release(place=place, offsets=offsets):
                self._shelves[place].release(offsets)
                return []
            case Answer(place=place, request=request, verdict=verdict):
                self._shelves[place].answer(request, verdict)
                return self._grant(place)
            case _:
                assert_never(command)

    def read(self, place: Place, change: Change) -> list[Event]:
        """Take in what somebody else wrote."""
        at = self._next(place)
        events = self._shelves[place].read([replace(change, offset=at)], at + 1)
        return [*events, *self._grant(place)]

    def look(self, ends: Callable[[Place], int]) -> list[Event]:
        """What is due; ``ends`` gives the end of a queue's log."""
        events: list[Event] = []
        for place, shelf in self._shelves.items():
            events += shelf.look(self._now_ms(), lambda place=place: ends(place))  # type: ignore[misc]
        return events

    def next_due(self) -> float | None:
        """When the next call is due (epoch seconds)."""
        dues = (shelf.next_due() for shelf in self._shelves.values())
        soonest = min((due for due in dues if due is not None), default=None)
        return None if soonest is None else soonest / 1000

    def find(self, place: Place, name: str) -> Row | None:
        """The call of this record's key, if it waits."""
        return self._shelves[place].store.get(name) if place in self._shelves else None

    def _next(self, place: Place) -> int:
        at = self._ends.get(place, 0)
        self._ends[place] = at + 1
        return at

    def _write(self, place: Place, change: Row | End) -> Sequence[Event]:
        shelf = self._shelves[place]
        known = replace(shelf.signed(change), offset=self._next(place))
        events = shelf.acknowledged([known])
        shelf.read([known], known.offset + 1)
        return [*events, *self._grant(place)]

    def _grant(self, place: Place) -> list[Event]:
        """Write what a shelf wishes to be written."""
        shelf = self._shelves[place]
        events: list[Event] = []
        while shelf.wishes:
            wishes, shelf.wishes = shelf.wishes, []
            for wish in wishes:
                known = replace(wish, offset=self._next(place))
                if isinstance(known, Answered):
                    self.verdicts[known.request] = known.verdict
                events += shelf.acknowledged([known], wished=True)
                events += shelf.read([known], known.offset + 1)
        return events
