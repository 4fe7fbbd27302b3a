"""Reads what the log of the deferred store says: when which calls were in it, and what others wanted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .history import Compacted, DelayedLogged, Place, Told, home
from .story import Record, Stay, Story, Wish


@dataclass(slots=True)
class _Waits:
    """A call as a reader of the log has it."""

    offset: int
    epoch: int
    record: Record | None
    stay: Stay


def read_stores(story: Story) -> None:
    """Find out for each record when the deferred store had it, and what others wanted of it."""
    shelves: dict[Place, _Shelf] = {}
    told: dict[str, tuple[int, Told]] = {}
    answers: dict[str, tuple[int, DelayedLogged]] = {}
    for seq, event in enumerate(story.events):
        if isinstance(event, DelayedLogged):
            if event.place not in shelves:
                shelves[event.place] = _Shelf(story, event.place)
            shelves[event.place].read(seq, event)
            if event.what == "answer":
                answers.setdefault(event.request, (seq, event))
        elif isinstance(event, Compacted) and event.place in shelves:
            shelves[event.place].forget(event.offsets)
        elif isinstance(event, Told):
            told.setdefault(event.request, (seq, event))
    for wish in story.wishes:
        if wish.request in told:
            wish.told, found = told[wish.request]
            wish.verdict = found.verdict
        if wish.request in answers:
            wish.answered, answer = answers[wish.request]
            wish.inc = answer.inc
    for shelf in shelves.values():
        shelf.end()


class _Shelf:
    """One partition of the log, read from its beginning."""

    def __init__(self, story: Story, place: Place) -> None:
        self._story = story
        self._place = place
        self._live: dict[str, _Waits] = {}
        self._left: dict[int, DelayedLogged] = {}
        #: The records that were ever written under a name.
        self._named: defaultdict[str, list[Record]] = defaultdict(list)

    def read(self, seq: int, event: DelayedLogged) -> None:
        """Take in the next record."""
        self._left[event.offset] = event
        match event.what:
            case "call":
                self._call(seq, event)
            case "end":
                self._end(seq, event)
            case "move":
                self._wish(seq, event)

    def forget(self, offsets: tuple[int, ...]) -> None:
        """Compaction took these."""
        for offset in offsets:
            self._left.pop(offset, None)

    def end(self) -> None:
        """Tell what is left in the end."""
        live: dict[str, tuple[int, int, Record | None]] = {}
        for event in self._left.values():
            former = live.get(event.name)
            if event.what not in ("call", "end") or (former and _too_late(event, *former[:2])):
                continue
            live.pop(event.name, None)
            if event.what == "call":
                live[event.name] = (event.offset, event.epoch, self._record(event))
        self._story.waiting[self._place] = {name: record for name, (_, _, record) in live.items()}

    def _call(self, seq: int, event: DelayedLogged) -> None:
        record = self._record(event)
        if record is not None:
            if record not in self._named[event.name]:
                self._named[event.name].append(record)
            for wish in record.wishes:
                if event.inc and wish.due == event.due:
                    wish.done = min(wish.done, seq)
        former = self._live.get(event.name)
        if former is not None and _too_late(event, former.offset, former.epoch):
            return
        if former is not None and former.record is record:
            former.offset, former.epoch = event.offset, event.epoch
            former.stay.rows.append((seq, event))
            return
        if former is not None:
            self._leave(seq, former)
            if former.record is not None and not event.inc:
                former.record.withdrawn = min(former.record.withdrawn, seq)
        stay = Stay(seq, rows=[(seq, event)])
        self._live[event.name] = _Waits(event.offset, event.epoch, record, stay)
        if record is not None:
            record.stays.append(stay)

    def _end(self, seq: int, event: DelayedLogged) -> None:
        former = self._live.get(event.name)
        if not event.inc:
            self._wish(seq, event)
        else:
            named = self._named[event.name][-1:] if former is None else [former.record]
            for record in named:
                if record is not None:
                    record.ends.append(seq)
        if former is None or _too_late(event, former.offset, former.epoch):
            return
        self._leave(seq, former)
        del self._live[event.name]
        if former.record is not None and not event.inc:
            former.record.withdrawn = min(former.record.withdrawn, seq)

    def _wish(self, seq: int, event: DelayedLogged) -> None:
        wish = Wish(event.request, seq, event.due)
        self._story.wishes.append(wish)
        for record in (self._named[event.name] or self._queued(event.name))[-1:]:
            # Of several of one name the last one is meant.
            record.wishes.append(wish)
            if wish.due is not None:
                record.displaced = min(record.displaced, seq)

    def _leave(self, seq: int, former: _Waits) -> None:
        former.stay.ended = seq

    def _record(self, event: DelayedLogged) -> Record | None:
        """The call that a record is about."""
        log = self._story.logs.get(self._place)
        if log is not None and (found := log.records.get(event.offset)) is not None and not event.inc:
            return found
        if event.call is not None:
            records = self._story.positions.get(event.call, [])
            delayed = [record for record in records if record.place == self._place]
            if delayed:
                return delayed[-1]
        queued = self._queued(event.name)
        return queued[0] if queued else None

    def _queued(self, name: str) -> list[Record]:
        """The record of the queue that a name means: that of a call with its offset."""
        log = self._story.logs.get(home(self._place))
        _, at, offset = name.rpartition("@")
        if log is None or not at or not offset.isdigit():
            return []
        record = log.records.get(int(offset))
        return [] if record is None else [record]


def _too_late(event: DelayedLogged, offset: int, epoch: int) -> bool:
    """Whether a record goes on from one that was replaced before, or is of an earlier owner than the last."""
    return (event.of is not None and event.of < offset) or 0 < event.epoch < epoch
