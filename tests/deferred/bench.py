"""A shelf on a bench: its log is a list, and a test says when what is read, written and acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from kjobs.core.deferred import Answered, Change, End, Move, Row, Verdict, outdone
from kjobs.core.events import CancelAsked, CaughtUp, Due, Event, LaneDue, LaneFetched, MoveAsked
from kjobs.deferred.memory import MemoryStore
from kjobs.deferred.shelf import Shelf
from tests.deferred.calls import NOW

PLACE = ("kjobs.q", 0)


def live(log: Iterable[Change]) -> dict[str, Row]:
    """The calls that a reader of a log has in the end, by the rules about ``of`` and about owners."""
    found: dict[str, Row] = {}
    for change in log:
        if not isinstance(change, Row | End):
            continue
        former = found.get(change.id)
        if former is not None and change.of is not None and 0 <= change.of < former.offset:
            continue
        if former is not None and outdone(former, change):
            continue
        found.pop(change.id, None)
        if isinstance(change, Row):
            found[change.id] = change
    return found


def compacted(log: Iterable[Change]) -> list[Change]:
    """What compaction leaves of a log: the last record of each key."""
    last: dict[str, Change] = {}
    for change in log:
        key = change.id if isinstance(change, Row | End) else change.request
        last.pop(key, None)
        last[key] = change
    return list(last.values())


def without_offset(row: Row) -> Row:
    """A call, wherever in the log it is and whoever wrote it."""
    return replace(row, offset=-1, of=-1, owner=(0, ""))


class Bench:
    """A shelf, and everything around it.

    Args:
        log: what is in the log before.
        store: the index that was found; an empty one if not given.
        epoch: of the assignment.
        name: of the assignment.
        caught_up: whether the log is read to its end at once.
        more: for the shelf.
    """

    def __init__(
        self,
        log: Sequence[Change] = (),
        *,
        store: MemoryStore | None = None,
        epoch: int = 5,
        name: str = "me",
        caught_up: bool = True,
        **more: Any,
    ) -> None:
        self.log = list(log)
        self.store = MemoryStore() if store is None else store
        self.shelf = Shelf(
            PLACE,
            self.store,
            **{"epoch": epoch, "name": name, "topic_id": "queue", "read_from": 0, **more},
        )
        self.at = self.store.position
        self.unacked: list[tuple[Change, bool]] = []
        self.events: list[Event] = []
        if caught_up:
            self.catch_up()

    @property
    def end(self) -> int:
        """One past the last offset of the log."""
        return self.log[-1].offset + 1 if self.log else 0

    # --- the log ---------------------------------------------------------------------------------

    def append(self, *changes: Change) -> list[Any]:
        """Somebody writes to the log; nobody has read it yet."""
        known = [replace(change, offset=self.end + n) for n, change in enumerate(changes)]
        self.log += known
        return known

    def read(self, count: int = 1 << 20) -> list[Event]:
        """The shelf reads so many records on."""
        found = [change for change in self.log if change.offset >= self.at][:count]
        if found:
            self.at = found[-1].offset + 1
        return self._heard(self.shelf.read(found, self.at))

    def written(self, *changes: Change) -> list[Any]:
        """Somebody writes to the log, and the shelf reads it."""
        known = self.append(*changes)
        self.read()
        return known

    def catch_up(self) -> list[Event]:
        """The log is read to its end, and the shelf told that that is all."""
        return [*self.read(), *self._heard(self.shelf.catch_up())]

    # --- writing ---------------------------------------------------------------------------------

    def order(self, change: Row | End, *, stays: bool = False) -> Any:
        """The scheduler's word is written to the log; not acknowledged yet."""
        assert self.shelf.may_write(change)
        (known,) = self.append(self.shelf.signed(change, stays=stays))
        self.unacked.append((known, False))
        return known

    def save(self, row: Row, state: str, *, of: int | None = None) -> Any:
        """A call that runs saves a state; the record is not acknowledged yet."""
        of = row.offset if of is None else of
        return self.order(replace(row, of=of, offset=-1, state=state.encode()), stays=True)

    def grant(self) -> list[Any]:
        """What the shelf wishes is written to the log; not acknowledged yet."""
        wishes, self.shelf.wishes = self.shelf.wishes, []
        known = self.append(*wishes)
        self.unacked += [(change, True) for change in known]
        return known

    def acknowledge(self, count: int = 1 << 20) -> list[Event]:
        """So many writes are acknowledged, in their order."""
        events: list[Event] = []
        for change, wished in self.unacked[:count]:
            events += self.shelf.acknowledged([change], wished=wished)
        del self.unacked[:count]
        return self._heard(events)

    def settle(self) -> None:
        """Everything is written, acknowledged and read, until there is no more to say."""
        for _ in range(50):
            self.acknowledge()
            self.read()
            if not self.shelf.wishes:
                return
            self.grant()
        raise AssertionError(f"there is no end to it: {self.log[-5:]}")

    # --- the scheduler ---------------------------------------------------------------------------

    def due(self, now_ms: int = NOW, end: int = 100) -> list[Row]:
        """What the shelf gives out by now."""
        found = self._heard(self.shelf.look(now_ms, lambda: end))
        return [row for event in found if isinstance(event, Due) for row in event.rows]

    def lane(self, key: bytes = b"k", read: int = 1 << 40, now_ms: int = NOW) -> LaneFetched:
        """What the shelf gives out of a lane."""
        return self.shelf.lane(key, read, now_ms)

    def finish(self, row: Row) -> None:
        """A call that was given out has ended, and all is written, acknowledged and read."""
        self.settle()
        self.order(End(id=row.id, of=row.offset))
        self.settle()

    def defer(self, row: Row, due: int, **more: Any) -> Any:
        """A call that was given out is to wait; the record is not acknowledged yet."""
        return self.order(replace(row, due_ms=NOW + due, of=row.offset, **more))

    # --- what came of it -------------------------------------------------------------------------

    def _heard(self, events: Sequence[Event]) -> list[Event]:
        self.events += events
        return list(events)

    @property
    def asked(self) -> list[CancelAsked | MoveAsked]:
        """What the scheduler was asked."""
        return [event for event in self.events if isinstance(event, CancelAsked | MoveAsked)]

    @property
    def lanes_told(self) -> list[bytes]:
        """Lanes that were said to be due."""
        return [event.key for event in self.events if isinstance(event, LaneDue)]

    @property
    def start(self) -> CaughtUp:
        """What was told when the log was read."""
        (told,) = [event for event in self.events if isinstance(event, CaughtUp)]
        return told

    def verdict(self, request: str) -> Verdict | None:
        """What the log says became of a wish; it says so once."""
        answers = [
            change for change in self.log if isinstance(change, Answered) and change.request == request
        ]
        assert len(answers) <= 1, answers
        return answers[0].verdict if answers else None

    def successor(self, *, warm: bool) -> Bench:
        """The next owner of the partition as things are now, with the index of this one, or with none."""
        store = MemoryStore(self.store.rows, self.store.position) if warm else None
        return Bench(self.log, store=store, epoch=self.shelf.owner[0] + 1, name="next")

    def waiting(self, name: str) -> Row | None:
        """A call as it is in the index, wherever its record is."""
        row = self.store.get(name)
        return None if row is None else without_offset(row)

    def assert_the_log_says_so(self) -> None:
        """A reader of the log, and one of what compaction leaves of it, knows what the index knows."""
        known = {row.id: without_offset(row) for row in self.store.rows}
        for log in (self.log, compacted(self.log)):
            assert {name: without_offset(row) for name, row in live(log).items()} == known


def cancel(name: str, request: str = "") -> End:
    """Somebody takes a call out."""
    return End(id=name, request=request)


def move(name: str, due: int, request: str) -> Move:
    """Somebody wants a call at another time, so many ms from the start."""
    return Move(request=request, id=name, due_ms=NOW + due)
