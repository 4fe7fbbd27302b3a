"""A simulated worker's part that keeps the deferred store: real shelves, a simulated log around them.

It does what ``kjobs/deferred/keeper.py`` does, in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kjobs.core.commands import Answer, CloseStore, Defer, Erase, FetchLane, OpenStore, Release, Save
from kjobs.core.deferred import Change, End, Row
from kjobs.core.events import Certain, Deferred, Erased, Event, NotDeferred, NotErased, NotSaved, Place, Saved
from kjobs.core.partition import Entry
from kjobs.deferred.shelf import Shelf
from kjobs.deferred.work import Order

from .changelog import Changelog
from .disk import QUEUE_ID, DiskStore, DiskTrouble

if TYPE_CHECKING:
    from .incarnation import Incarnation

Command = OpenStore | CloseStore | Defer | Erase | Save | FetchLane | Release | Answer

#: Seconds before something that failed is tried again.
_PAUSE = 0.3


class Unreachable(Exception):
    """The broker does not answer."""


class Work:
    """One partition's shelf, and how far its log has been read."""

    def __init__(self, order: OpenStore, shelf: Shelf, log: Changelog, high: int, at: int) -> None:
        self.order = order
        self.shelf = shelf
        self.log = log
        self.high = high
        self.at = at
        self.read_at = 0.0
        self.write_at = 0.0
        self.failed_until = 0.0
        self.postponed: list[Order] = []
        self.saved: dict[str, Entry] = {}

    @property
    def store(self) -> DiskStore:
        """Its index."""
        store = self.shelf.store
        assert isinstance(store, DiskStore)
        return store


class Keeper:
    """Keeps the deferred store of a worker's partitions."""

    def __init__(self, worker: Incarnation) -> None:
        self._worker = worker
        self._world = worker.world
        self._orders: deque[Command] = deque()
        self._acks: deque[tuple[Work, Change, Order | None, bool, bool]] = deque()
        #: What happened, with the order to open the store that it comes of; None if it is about an entry.
        self._events: deque[tuple[OpenStore | None, Event]] = deque()
        #: By partition, the order of its present assignment.
        self._orders_of_now: dict[Place, OpenStore] = {}
        self.works: dict[Place, Work] = {}
        self._to_open: list[OpenStore] = []
        self._open_at = 0.0
        #: What is under way to the broker, by partition, in order.
        self._wires: dict[Place, deque[Callable[[bool], None]]] = {}
        #: What is under way leaves the process only when it goes on after a freeze.
        self._held = False
        self._wake_at = float("inf")

    # --- the owner's side ------------------------------------------------------------------------

    def perform(self, command: Command) -> None:
        """Take a command."""
        if isinstance(command, OpenStore):
            self._orders_of_now[command.place] = command
        elif isinstance(command, CloseStore):
            for place in command.places:
                self._orders_of_now.pop(place, None)
        self._orders.append(command)
        self.wake()

    def collect(self) -> list[Event]:
        """What happened since the last time; or some of it, as if the rest was about to."""
        events = self._events
        count = len(events)
        if count > 1 and self._world.rng.random() < 0.3:
            count = self._world.rng.randint(1, count)
        collected = [events.popleft() for _ in range(count)]
        if events:
            self._worker.wake()
        now = self._orders_of_now
        # What comes of an earlier assignment of a partition is not about the present one.
        return [event for order, event in collected if order is None or now.get(order.place) is order]

    @property
    def busy(self) -> bool:
        """Whether something is to be written still."""
        return any(self._wires.values()) or any(
            work.shelf.wishes or work.postponed for work in self.works.values()
        )

    def settled_until(self, place: Place) -> float:
        """Up to when everything in a log is known here, and what is to be said about it is said."""
        work = self.works.get(place)
        if work is None or not work.shelf.caught_up or work.shelf.wishes or self._wires.get(place):
            return 0.0
        return self._world.now if work.at >= work.log.end else 0.0

    # --- time ------------------------------------------------------------------------------------

    def wake(self, delay: float | None = None) -> None:
        """Take a step soon."""
        world = self._world
        at = world.now + (world.rng.uniform(0.0005, 0.01) if delay is None else delay)
        if at >= self._wake_at:
            return
        self._wake_at = at

        def step() -> None:
            if self._wake_at == at:
                self._wake_at = float("inf")
                self._worker.when_running(self.step)

        world.after(at - world.now, step)

    def appended(self, place: Place) -> None:
        """The log of a partition has grown."""
        work = self.works.get(place)
        if work is not None and work.read_at <= self._world.now:
            lag = self._world.rng.uniform(0.0, self._world.plan.read_lag)
            work.read_at = self._world.now + lag
            self.wake(lag)

    def step(self) -> None:
        """Do once what there is to do."""
        self._take_orders()
        self._open()
        self._take_acks()
        self._read()
        self._look()
        for work in self.works.values():
            for call_id in [call_id for call_id in work.saved if work.shelf.is_certain(call_id)]:
                self._events.append((None, Certain(work.saved.pop(call_id))))
            self._write_postponed(work)
            if work.shelf.wishes:
                self._write_wishes(work)
        if self._events:
            self._worker.wake()

    def _now_ms(self) -> int:
        return int(self._world.now * 1000)

    # --- orders ----------------------------------------------------------------------------------

    def _take_orders(self) -> None:
        while self._orders:
            command = self._orders.popleft()
            match command:
                case OpenStore():
                    self._to_open.append(command)
                    self._open_at = 0.0
                case CloseStore(places=places):
                    for place in places:
                        self._close(place)
                case Defer() | Erase() | Save():
                    self._write_order(command)
                case FetchLane(place=place, key=key, read=read):
                    if (work := self.works.get(place)) is not None:
                        self._guarded(work, self._fetch_lane, work, key, read)
                case Release(place=place, offsets=offsets):
                    if (work := self.works.get(place)) is not None:
                        self._guarded(work, work.shelf.release, offsets)
                case Answer(place=place, request=request, verdict=verdict):
                    if (work := self.works.get(place)) is not None:
                        self._guarded(work, work.shelf.answer, request, verdict)

    def _fetch_lane(self, work: Work, key: bytes, read: int) -> None:
        if work.shelf.caught_up:
            self._tell(work, [work.shelf.lane(key, read, self._now_ms())])

    def _open(self) -> None:
        if not self._to_open or self._world.now < self._open_at:
            return
        if self._worker.isolated:
            self._open_at = self._world.now + _PAUSE
            self.wake(_PAUSE)
            return
        orders, self._to_open = self._to_open, []
        for order in orders:
            self._begin(order)

    def _begin(self, order: OpenStore) -> None:
        self._close(order.place)
        log = self._world.changelogs[order.place]
        high = log.end
        store = self._worker.host.open(order.place, 0, high, order.epoch)
        shelf = Shelf(
            order.place,
            store,
            epoch=order.epoch,
            name=self._world.fresh("o"),
            topic_id=QUEUE_ID,
            read_from=order.read_from,
            room=self._world.plan.room,
            batch=self._world.plan.batch,
        )
        work = self.works[order.place] = Work(order, shelf, log, high, store.position)
        self._guarded(work, self._advance, work)
        self.wake()

    def _close(self, place: Place) -> None:
        self._to_open = [order for order in self._to_open if order.place != place]
        work = self.works.pop(place, None)
        if work is not None:
            work.store.close()

    def _guarded(self, work: Work, action: Callable[..., object], *args: Any) -> None:
        """Do something with an index; if it fails, make it anew."""
        if work.failed_until > self._world.now:
            return
        work.failed_until = 0.0
        try:
            action(*args)
        except DiskTrouble:
            self._world.rare["an index was made anew while its calls were out"] += 1
            self._renew(work)

    def _renew(self, work: Work) -> None:
        work.store.close()
        if not self._worker.isolated:
            work.high = work.log.end
        work.shelf.begin_anew(self._worker.host.renew(work.shelf.place))
        work.at = 0
        work.read_at = 0.0
        self.wake()

    # --- the log ---------------------------------------------------------------------------------

    def _read(self) -> None:
        world = self._world
        if self._worker.isolated:
            if self.works:
                self.wake(_PAUSE)
            return
        for work in list(self.works.values()):
            if world.now < work.read_at:
                self.wake(work.read_at - world.now)
                continue
            changes, at = work.log.read(work.at, world.rng.randint(1, 30))
            work.at = at
            self._guarded(work, self._take_in, work, changes, at)
            if work.at < work.log.end:
                self.wake()

    def _take_in(self, work: Work, changes: list[Change], position: int) -> None:
        shelf = work.shelf
        if changes or position != shelf.store.position:
            self._tell(work, shelf.read(changes, position))
        self._advance(work)

    def _advance(self, work: Work) -> None:
        shelf = work.shelf
        if not shelf.caught_up and work.at >= work.high:
            self._tell(work, shelf.catch_up())

    def _look(self) -> None:
        now_ms = self._now_ms()
        soonest: int | None = None
        for work in list(self.works.values()):
            shelf = work.shelf
            if not shelf.caught_up:
                continue
            due = shelf.next_due()
            if due is not None and due <= now_ms:
                try:
                    self._guarded(work, self._tell_due, work, now_ms)
                except Unreachable:
                    self.wake(_PAUSE)
                due = shelf.next_due()
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        if soonest is not None:
            self.wake(max(0.001, soonest / 1000 - self._world.now))

    def _tell_due(self, work: Work, now_ms: int) -> None:
        self._tell(work, work.shelf.look(now_ms, lambda: self._end(work)))

    def _end(self, work: Work) -> int:
        """Asks for the end of the queue's log."""
        if self._worker.isolated or self._world.chance(self._world.plan.end_unknown):
            raise Unreachable
        return self._world.logs[work.shelf.place].end

    def _tell(self, work: Work, events: list[Event]) -> None:
        self._events.extend((work.order, event) for event in events)

    # --- writing ---------------------------------------------------------------------------------

    def _write_order(self, order: Order) -> None:
        entry = order.entry
        work = self.works.get(entry.partition.place)
        if entry.partition.closed or work is None:
            return
        change: Row | End
        match order:
            case Erase():
                assert entry.row is not None
                change = End(id=entry.row.id, of=entry.row.offset)
            case Save(row=row):
                change = row
            case Defer():
                assert entry.deferral is not None
                change = entry.deferral
        if work.postponed or not work.shelf.may_write(change):
            work.postponed.append(order)
        else:
            self._write(work, work.shelf.signed(change, stays=isinstance(order, Save)), order)

    def _write_postponed(self, work: Work) -> None:
        for _ in range(len(work.postponed)):
            orders, work.postponed = work.postponed, []
            self._write_order(orders[0])
            work.postponed += orders[1:]
            if work.postponed and work.postponed[0] is orders[0]:
                break

    def _write_wishes(self, work: Work) -> None:
        if self._world.now < work.write_at:
            self.wake(work.write_at - self._world.now)
            return
        wishes, work.shelf.wishes = work.shelf.wishes, []
        for wish in wishes:
            self._write(work, wish, None)

    def _write(self, work: Work, change: Change, order: Order | None) -> None:
        world, worker = self._world, self._worker
        plan, place = world.plan, work.shelf.place
        lost = world.chance(plan.write_lost)
        mute = world.chance(plan.write_mute)
        twice = world.chance(plan.write_twice)
        # Whether the client knows, if it does not arrive, that it never left.
        sure = isinstance(order, Save) and world.save_rng.random() < 0.5

        def arrive(reachable: bool) -> None:
            if lost or not reachable:
                answer(None, definite=sure)
                return
            known = world.append(place, change, worker.name)
            if twice:
                world.rare["a write appeared twice"] += 1
                again = world.append(place, change, worker.name)
                known = world.rng.choice((known, again))
            if mute:
                world.rare["a write arrived of which nobody was told"] += 1
            answer(None if mute else known)

        def answer(known: Change | None, *, definite: bool = False) -> None:
            delay = world.rng.uniform(0.0005, plan.ack_lag)
            ack = (work, change if known is None else known, order, known is not None, definite)
            world.after(delay, lambda: worker.when_running(lambda: self._answered(ack)))

        self._wires.setdefault(place, deque()).append(arrive)
        world.after(world.rng.uniform(0.001, plan.write_lag), lambda: self._deliver(place))

    def _deliver(self, place: Place) -> None:
        """The oldest write under way arrives: those of one producer do so in order."""
        worker, world = self._worker, self._world
        wire = self._wires[place]
        if not wire:
            return
        if worker.isolated and worker.alive and world.rng.random() < 0.2:
            wire.popleft()(False)  # the client gives up on it
            return
        if worker.alive and (worker.isolated or (worker.frozen and self._held)):
            # It is in the client still, and arrives when the worker is back, whoever owns the partition then.
            world.after(world.rng.uniform(0.05, 0.2), lambda: self._deliver(place))
            return
        wire.popleft()(True)

    def _answered(self, ack: tuple[Work, Change, Order | None, bool, bool]) -> None:
        self._acks.append(ack)
        self.wake()

    def _take_acks(self) -> None:
        ours: dict[int, tuple[Work, list[Change]]] = {}
        others: dict[int, tuple[Work, list[Change]]] = {}
        events: list[Event] = []
        for _ in range(len(self._acks)):
            work, change, order, stored, definite = self._acks.popleft()
            if not stored:
                self._refused(work, change, order, events, definite=definite)
                continue
            if self.works.get(work.shelf.place) is not work:
                continue
            group = others if order is None else ours
            group.setdefault(id(work), (work, []))[1].append(change)
            match order:
                case Erase(entry=entry):
                    events.append(Erased(entry))
                case Defer(entry=entry):
                    events.append(Deferred(entry))
                case Save(entry=entry):
                    assert isinstance(change, Row)
                    self._events.append((None, Saved(entry, change)))
                    work.saved[change.id] = entry
        for wished, groups in ((False, ours), (True, others)):
            for work, changes in groups.values():
                self._guarded(work, self._acknowledge, work, changes, wished)
        self._events.extend((None, event) for event in events)

    def _acknowledge(self, work: Work, changes: list[Change], wished: bool) -> None:
        if not work.shelf.caught_up:
            # An end that is acknowledged before what it ends is read anew must be read as well.
            work.high = max(work.high, max(change.offset for change in changes) + 1)
        self._tell(work, work.shelf.acknowledged(changes, wished=wished))

    def _refused(
        self, work: Work, change: Change, order: Order | None, events: list[Event], *, definite: bool
    ) -> None:
        self._world.rare["a write was refused"] += 1
        if isinstance(order, Save) and definite:
            assert isinstance(change, Row)
            work.shelf.withdrawn(change)
            events.append(NotSaved(order.entry, "simulated", definite=True))
            return
        work.shelf.refused(change, wished=order is None)
        match order:
            case None:
                work.write_at = self._world.now + _PAUSE
            case Erase(entry=entry):
                events.append(NotErased(entry))
            case Defer(entry=entry):
                events.append(NotDeferred(entry))
            case Save(entry=entry):
                events.append(NotSaved(entry, "simulated", definite=False))

    # --- life and death --------------------------------------------------------------------------

    def freeze(self) -> None:
        """The process stops: what it wrote has left it, or has not."""
        self._held = self._world.rng.random() < 0.6

    def crash(self) -> None:
        """The process is gone; of what it had sent, the first so many may arrive still."""
        for wire in self._wires.values():
            for _ in range(self._world.rng.randint(0, len(wire))):
                wire.pop()
        self._worker.host.crashed([work.store for work in self.works.values()])

    def quit(self) -> None:
        """The process ends in order."""
        for work in self.works.values():
            work.store.close()
