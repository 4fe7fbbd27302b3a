"""The deferred store of a test: the rules of a worker's, on stores in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from msgspec.structs import replace

from ..core.commands import Answer, CloseStore, Defer, Erase, FetchLane, OpenStore, Release, Save
from ..core.deferred import Answered, Change, End, Row, Verdict
from ..core.events import Certain, Deferred, Erased, Event, Place, Saved
from ..deferred.memory import MemoryStore
from ..deferred.shelf import Shelf

Command = OpenStore | CloseStore | Defer | Erase | Save | FetchLane | Release | Answer


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
                return [*self._write(entry.partition.place, row)[1], Deferred(entry)]
            case Save(entry=entry, row=row):
                known, events = self._write(entry.partition.place, row, stays=True)
                assert isinstance(known, Row)
                return [Saved(entry, known), *events, Certain(entry)]
            case Erase(entry=entry):
                assert entry.row is not None
                end = End(id=entry.row.id, of=entry.row.offset)
                return [*self._write(entry.partition.place, end)[1], Erased(entry)]
            case FetchLane(place=place, key=key, read=read):
                return [self._shelves[place].lane(key, read, self._now_ms())]
            case Release(place=place, offsets=offsets):
                self._shelves[place].release(offsets)
                return []
            case Answer(place=place, request=request, verdict=verdict):
                shelf = self._shelves[place]
                shelf.answer(request, verdict)
                return [*shelf.read((), self._ends[place]), *self._grant(place)]
            case _:
                assert_never(command)

    def read(self, place: Place, change: Change) -> list[Event]:
        """Take in what somebody else wrote."""
        at = self._next(place)
        events = self._shelves[place].read([replace(change, offset=at)], at + 1)
        return [*events, *self._grant(place)]

    def look(self, ends: Callable[[Place], int], now_ms: int | None = None) -> list[Event]:
        """What is due.

        Args:
            ends: gives the end of a queue's log.
            now_ms: by then (ms since the epoch); now if not given.
        """
        events: list[Event] = []
        for place, shelf in self._shelves.items():
            by = self._now_ms() if now_ms is None else now_ms
            events += shelf.look(by, partial(ends, place))
        return events

    def next_due_ms(self) -> int | None:
        """When the next call is due (ms since the epoch)."""
        dues = (shelf.next_due() for shelf in self._shelves.values())
        return min((due for due in dues if due is not None), default=None)

    def find(self, place: Place, name: str) -> Row | None:
        """The call with this record key, if the store has it."""
        return self._shelves[place].store.get(name)

    def taken(self, place: Place, name: str) -> bool:
        """Whether the call with this record key is in the scheduler's hands."""
        return self._shelves[place].store.taken(name)

    def _next(self, place: Place) -> int:
        at = self._ends.get(place, 0)
        self._ends[place] = at + 1
        return at

    def _write(
        self, place: Place, change: Row | End, *, stays: bool = False
    ) -> tuple[Row | End, Sequence[Event]]:
        shelf = self._shelves[place]
        known = replace(shelf.signed(change, stays=stays), offset=self._next(place))
        events = shelf.acknowledged([known])
        shelf.read([known], known.offset + 1)
        return known, [*events, *self._grant(place)]

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
