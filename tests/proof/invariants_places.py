"""Delayed calls in the order of their key: they take their place when they are due, and keep it (I3)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter

from .expectations import Config
from .history import Enqueued, home
from .story import NEVER, Attempt, Placing, Record, Session, Story
from .violations import Findings

#: The turn of a call that came from the queue: it is no delayed one.
_QUEUED = 1 << 53
#: Turns of the places that a session gives come after those that the store had before.
_LATER = 1 << 40


@dataclass(slots=True)
class _Place:
    """A delayed call's place: before an offset, and in turn among those with the same one."""

    seq: int
    record: Record
    before: int
    turn: int

    @property
    def rank(self) -> tuple[int, int]:
        return self.before, self.turn


def delayed_calls_keep_their_place(story: Story, config: Config, findings: Findings) -> None:
    """I3: who is enqueued after a delayed call took its place waits for it; it waits for those before.

    A place that is not in the store's log yet is forgotten with the session that gave it.
    """
    delayed = _delayed(story, config)
    if not delayed:
        return
    lanes = {
        key: _Lane(lane, config) for (place, key), lane in _lanes(story).items() for key in [(place, key)]
    }
    for session in story.sessions:
        _Keys(session, delayed, lanes, story, config, findings).judge()
    for (place, key), records in delayed.items():
        lane = lanes.get((place, key))
        if lane is not None:
            for record in records:
                _check_earlier(record, lane, story, findings)


def _delayed(story: Story, config: Config) -> dict[tuple[object, bytes], list[Record]]:
    """The delayed calls that are ordered, by the partition of the queue and their key."""
    found: defaultdict[tuple[object, bytes], list[Record]] = defaultdict(list)
    for record in story.records():
        if record.due is not None and record.key is not None and not config.relaxed(record.call):
            found[home(record.place), record.key].append(record)
    return found


def _lanes(story: Story) -> dict[tuple[object, bytes], list[Record]]:
    return {(log.place, key): lane for log in story.logs.values() for key, lane in log.lanes.items()}


class _Lane:
    """The calls of a key in the queue, and from when on those up to each of them hold up nobody."""

    def __init__(self, records: list[Record], config: Config) -> None:
        self.records = records
        self.blockers: list[tuple[int, Record | None]] = [(-1, None)]
        for record in records:
            released = _released(record, config)
            latest, blocker = self.blockers[-1]
            self.blockers.append((released, record) if released > latest else (latest, blocker))

    def blocker(self, before: int) -> tuple[int, Record | None]:
        """Who is the last to let those pass that come at an offset, and when."""
        return self.blockers[bisect_left(self.records, before, key=attrgetter("offset"))]


def _released(record: Record, config: Config) -> int:
    if record.excused:
        return -1
    if config.relaxed(record.call):
        return min([record.released, *(attempt.ended for attempt in record.attempts)])
    return record.released


class _Keys:
    """What one owner does of the keys that have delayed calls."""

    def __init__(
        self,
        session: Session,
        delayed: dict[tuple[object, bytes], list[Record]],
        lanes: dict[tuple[object, bytes], _Lane],
        story: Story,
        config: Config,
        findings: Findings,
    ) -> None:
        self._session = session
        #: Seq of the first thing it did.
        acts = [*(a.started for a in session.attempts[:1]), *(p.seq for p in session.placings[:1])]
        self._opened = min(acts, default=session.began)
        self._delayed = delayed
        self._lanes = lanes
        self._story = story
        self._config = config
        self._findings = findings
        #: The places that are known, by key; those of calls that are through are dropped.
        self._places: dict[bytes, list[_Place]] = {}

    def judge(self) -> None:
        """Go through its attempts, and the places that were taken between them."""
        placings = self._session.placings
        index = 0
        for attempt in self._session.attempts:
            key = attempt.record.key
            if not attempt.ran or key is None or (self._session.place, key) not in self._delayed:
                continue
            while index < len(placings) and placings[index].seq < attempt.started:
                self._take(placings[index], _LATER + index)
                index += 1
            if attempt.started <= self._session.ended:
                self._check(attempt, key)

    def _known(self, key: bytes) -> list[_Place]:
        """The places of a key, first those that the store knew when this owner took over."""
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = []
            began = self._session.began
            for record in self._delayed[self._session.place, key]:
                for stay in record.stays:
                    rows = [row for seq, row in stay.rows if seq < began < stay.ended]
                    if any(
                        began < seq < self._opened and row.epoch < self._session.epoch
                        for seq, row in stay.rows
                    ):
                        continue  # a former owner wrote it again, and this one may have read that, or not
                    if rows and rows[-1].rank is not None and rows[-1].rank[1] != _QUEUED:
                        places.append(_Place(began, record, *rows[-1].rank))
        return places

    def _take(self, placing: Placing, turn: int) -> None:
        record = placing.record
        key = record.key
        if key is None or self._config.relaxed(record.call):
            return
        places = [place for place in self._known(key) if place.record is not record]
        self._places[key] = [*places, _Place(placing.seq, record, placing.before, turn)]

    def _check(self, attempt: Attempt, key: bytes) -> None:
        record = attempt.record
        if self._config.relaxed(record.call) and (
            record.due is not None or record.attempts[0] is not attempt
        ):
            return  # it has no place, or has let the others go
        # Who was through before is no obstacle to anybody any more, but for its own place.
        places = [p for p in self._known(key) if p.record is record or p.record.released > attempt.started]
        self._places[key] = places
        own = next((place for place in places if place.record is record), None)
        if record.due is None:
            self._check_before(attempt, (record.offset, _QUEUED), places)
        elif own is not None:
            self._check_before(attempt, own.rank, places)
            lane = self._lanes.get((self._session.place, key))
            if lane is not None:
                self._check_queued(attempt, own, lane)

    def _check_before(self, attempt: Attempt, rank: tuple[int, int], places: list[_Place]) -> None:
        for place in places:
            if place.record is not attempt.record and place.rank < rank:
                self._findings.add(
                    "I3",
                    f"{attempt.record} starts before {place.record}, which took its place first, was through",
                    self._story.at(place.seq),
                    self._story.at(attempt.started),
                )

    def _check_queued(self, attempt: Attempt, own: _Place, lane: _Lane) -> None:
        until, blocker = lane.blocker(own.before)
        if blocker is not None and until > attempt.started:
            self._findings.add(
                "I3",
                f"{attempt.record} starts before {blocker}, behind which it took its place, was through",
                self._story.at(own.seq),
                blocker.source,
                self._story.at(attempt.started),
            )


def _check_earlier(record: Record, lane: _Lane, story: Story, findings: Findings) -> None:
    """Whatever place it took: it is behind everything that was enqueued before it was due."""
    if record.due is None or record.displaced != NEVER or not record.attempts:
        return
    count = bisect_left(lane.records, record.due, key=lambda queued: _enqueued_at(queued, record.due))
    until, blocker = lane.blockers[count]
    if blocker is None:
        return
    for attempt in record.attempts:
        if attempt.ran and attempt.started < until:
            findings.add(
                "I3",
                f"{record} starts before {blocker}, which was enqueued before it was due, was through",
                blocker.source,
                story.at(attempt.started),
            )
            return


def _enqueued_at(queued: Record, due: float | None) -> float:
    """When a call was enqueued; if nobody told, it is not known to be before."""
    return queued.source.t if isinstance(queued.source, Enqueued) else due or 0.0
