"""The thread that keeps the deferred store of a worker's partitions.

It reads their logs with a consumer of its own, keeps the indexes, tells the owner what is due, and writes
what the scheduler orders. The owner hands it commands and collects events; neither waits for the other.

    owner ──commands──► keeper ──records──► the log ──► keeper ──► index
          ◄──events────        ◄──acknowledgements──
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from .. import events
from ..core.commands import Answer, CloseStore, Defer, Erase, FetchLane, OpenStore, Release
from ..core.deferred import Change
from ..core.events import Deferred, Erased, Event, NotDeferred, NotErased, Place
from ..core.partition import Entry
from ..errors import BrokerError, EnqueueError, OutcomeUnknown
from ..kafka.admin import Admin
from ..kafka.message import headers_of
from ..kafka.producer import Producer
from ..kafka.tail import Tail
from . import wire
from .opener import Opener
from .rack import PATIENCE, PAUSE, Rack
from .scribe import Scribe
from .work import Work

log = logging.getLogger("kjobs.worker")

#: Records taken from the client at a time.
_HANDFUL = 2000
#: Seconds between two looks at what the client has fetched: while things happen, and when nothing has for a
#: while.
_TICK = 0.005
_LAZY_TICK = 0.02
_A_WHILE = 0.5
#: The same while there are no partitions.
_IDLE = 0.1
#: Seconds between two log lines about a store that catches up.
_TELL_EVERY = 5.0
#: Seconds between two log lines about the same trouble.
_QUIET = 10.0
#: Seconds after which an index is asked again when its next call is due, so that one that has vanished is
#: noticed before that.
_ASK_EVERY = 1.0
#: Seconds between two notes to the embedded broker of what is still needed; and while it is getting full.
_NOTE_EVERY = 0.5
_NOTE_SOON = 0.05
#: Seconds for which the embedded broker is asked for a topic.
_ASK = 5.0

Command = OpenStore | CloseStore | Defer | Erase | FetchLane | Release | Answer


class Keeper:
    """Keeps the deferred store of this worker's partitions. Made, started and stopped by the owner.

    Args:
        producer: writes the log.
        tail: reads it.
        admin: for ends and ids.
        opener: gives indexes.
        logs: the log's topic by the queue's.
        now: the worker's clock (epoch seconds).
        told: called when something can be collected; from this thread.
        embedded: the broker is the embedded one, which must be told what is still needed.
        passed: told when a place where a test may kill the worker is passed.
    """

    def __init__(
        self,
        *,
        producer: Producer,
        tail: Tail,
        admin: Admin,
        opener: Opener,
        logs: Mapping[str, str],
        now: Callable[[], float],
        told: Callable[[], None],
        cluster_id: str = "",
        embedded: bool = False,
        passed: Callable[[str], None] = lambda where: None,
    ) -> None:
        self._tail = tail
        self._admin = admin
        self._now = now
        self._told = told
        self._embedded = embedded
        self._passed = passed
        self._orders: deque[Command] = deque()
        #: What happened, with the order to open the store that it comes of; None if it is about an entry.
        self._events: deque[tuple[OpenStore | None, Event]] = deque()
        #: By partition, the order of its present assignment; kept by the owner.
        self._orders_of_now: dict[Place, OpenStore] = {}
        self._ends: dict[Place, int] = {}
        self._noted: dict[Place, int] = {}
        self._note_at = 0.0
        self._brisk_until = 0.0
        self._more = False
        self._wake = threading.Event()
        self._scribe = Scribe(producer, told=self._wake.set, passed=passed)
        self._rack = Rack(
            admin=admin,
            opener=opener,
            tail=tail,
            producer=producer,
            logs=logs,
            now_ms=self._now_ms,
            cluster_id=cluster_id,
            embedded=embedded,
            passed=passed,
            begun=self._advance,
        )
        self._ended = False
        #: When the next call is due (epoch seconds), for the owner to be awake then.
        self.next_due: float | None = None
        #: Whether nothing is to be expected of it: no order, nothing due, nothing to tell.
        self.settled = False
        #: How far the broker's clock was ahead of this worker's when it last said so (seconds).
        self.clock_offset: float | None = None
        #: What ended this thread, if something did.
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kjobs-keeper", daemon=True)

    # --- the owner's side ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def perform(self, command: Command) -> None:
        """Take a command."""
        self.settled = False
        if isinstance(command, OpenStore):
            self._orders_of_now[command.place] = command
        elif isinstance(command, CloseStore):
            for place in command.places:
                self._orders_of_now.pop(place, None)
        self._orders.append(command)
        self._wake.set()

    def collect(self) -> list[Event]:
        """What happened since the last time."""
        told = [self._events.popleft() for _ in range(len(self._events))]
        now = self._orders_of_now
        # What comes of an earlier assignment of a partition is not about the present one.
        return [event for order, event in told if order is None or now.get(order.place) is order]

    def stop(self, timeout: float) -> None:
        """Close the indexes and end."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._ended:
                self._wake.wait(self._patience())
                self._wake.clear()
                self._step()
        except BaseException as error:
            self.failure = error
            log.exception("the deferred store cannot go on", extra={"event": "store.failed"})
        finally:
            for work in self._rack.works.values():
                with suppress(Exception):
                    work.shelf.store.close()
            self._tail.close()

    def _patience(self) -> float:
        if self._orders or self._scribe.waiting or self._more:
            return 0.0
        if not self._rack.works:
            return max(0.0, min(_IDLE, self._rack.next_try))
        tick = _TICK if time.monotonic() < self._brisk_until else _LAZY_TICK
        if self.next_due is None:
            return tick
        return min(tick, max(0.0, self.next_due - self._now()))

    def _step(self) -> None:
        """Do once what there is to do."""
        self._take_orders()
        self._rack.open()
        self._rack.bring_back()
        self._take_acks()
        self._read()
        self._look()
        for work in self._rack.works.values():
            if work.postponed:
                self._scribe.write_postponed(work)
            if work.shelf.wishes:
                self._scribe.write_wishes(work)
        if self._embedded:
            self._note_needed()
        self.settled = not (
            self._orders
            or self._scribe.waiting
            or self._events
            or self._rack.waiting
            or (self.next_due is not None and self.next_due <= self._now())
        )
        if self._events:
            self._told()
            self._brisk_until = time.monotonic() + _A_WHILE

    def _take_orders(self) -> None:
        while self._orders:
            command = self._orders.popleft()
            match command:
                case OpenStore():
                    self._rack.order(command)
                case CloseStore(places=places):
                    for place in places:
                        self._noted.pop(place, None)
                        self._rack.close(place)
                case Defer(entry=entry) | Erase(entry=entry):
                    place = entry.partition.place
                    if not entry.partition.closed and (work := self._rack.works.get(place)) is not None:
                        self._scribe.write_entry(work, entry)
                case FetchLane(place=place, key=key, read=read):
                    if (work := self._rack.works.get(place)) is not None:
                        self._rack.guarded(work, self._fetch_lane, work, key, read)
                case Release(place=place, offsets=offsets):
                    if (work := self._rack.works.get(place)) is not None:
                        self._rack.owe(work, work.shelf.release, offsets)
                case Answer(place=place, request=request, verdict=verdict):
                    if (work := self._rack.works.get(place)) is not None:
                        self._rack.owe(work, work.shelf.answer, request, verdict)

    def _fetch_lane(self, work: Work, key: bytes, read: int) -> None:
        # While the index is made anew nobody knows; the scheduler asks again afterwards.
        if work.shelf.caught_up:
            self._tell(work, [work.shelf.lane(key, read, self._now_ms())])

    def _tell(self, work: Work, told: Sequence[Event]) -> None:
        self._events.extend((work.order, event) for event in told)

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    # --- the log -----------------------------------------------------------------------------------

    def _read(self) -> None:
        records, positions, lost = self._tail.read(_HANDFUL)
        # While a store catches up, there is more where that came from.
        self._more = bool(records) and not all(w.shelf.caught_up for w in self._rack.works.values())
        if records:
            self._brisk_until = time.monotonic() + _A_WHILE
        for work in list(self._rack.works.values()):
            where = work.log
            if where in lost:
                self._rack.lose(work, RuntimeError("its log no longer has what was to be read next"))
            elif where in positions:
                found = records.get(where, ())
                changes = [wire.change(r.key(), r.value(), headers_of(r), r.offset()) for r in found]
                if work.room is not None:
                    for change, record in zip(changes, found, strict=True):
                        work.room.take(change, record.key(), record.value(), headers_of(record))
                self._rack.guarded(work, self._take_in, work, changes, positions[where])

    def _take_in(self, work: Work, changes: Sequence[Change], position: int) -> None:
        shelf = work.shelf
        if changes or position != shelf.store.position:
            self._tell(work, shelf.read(changes, position))
        self._advance(work, position)

    def _advance(self, work: Work, position: int) -> None:
        """See whether everything is read that was in the log when the partition was taken over."""
        shelf = work.shelf
        if shelf.caught_up:
            return
        now = time.monotonic()
        if position >= work.state.high:
            self._tell(work, shelf.catch_up())
            took = now - work.begun
            level = logging.INFO if took > 1.0 else logging.DEBUG
            log.log(
                level,
                "the deferred store of %s[%d] is caught up: %s calls wait, %s records read in %.1f s",
                *shelf.place,
                f"{shelf.store.count:,}",
                f"{max(0, work.state.high - work.first):,}",
                took,
                extra={"event": "store.ready", "calls": shelf.store.count, "seconds": took},
            )
            events.emit(events.StoreReady(*shelf.place, shelf.store.count, took))
        elif now - work.told_at > _TELL_EVERY:
            work.told_at = now
            log.info(
                "the deferred store of %s[%d] catches up: %s of %s records read; no call begins before that",
                *shelf.place,
                f"{position - work.first:,}",
                f"{work.state.high - work.first:,}",
                extra={"event": "store.progress", "position": position, "end": work.state.high},
            )
            events.emit(
                events.StoreProgress(*shelf.place, position - work.first, work.state.high - work.first)
            )

    # --- what is due -------------------------------------------------------------------------------

    def _look(self) -> None:
        now_ms = self._now_ms()
        self._ends.clear()
        soonest: int | None = None
        for work in list(self._rack.works.values()):
            if not work.shelf.caught_up:
                continue
            try:
                self._rack.guarded(work, self._tell_due, work, now_ms)
            except BrokerError as error:
                log.debug("the end of a queue cannot be read: %s", error)
            due = work.next_due
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        self.next_due = None if soonest is None else soonest / 1000

    def _tell_due(self, work: Work, now_ms: int) -> None:
        shelf = work.shelf
        if time.monotonic() - work.asked_at > _ASK_EVERY:
            work.asked_at = time.monotonic()
            shelf.doubt_times()
        work.next_due = shelf.next_due()
        if work.next_due is not None and work.next_due <= now_ms:
            self._tell(work, shelf.look(now_ms, self._end_of(work)))
            self._passed("after-due")
            work.next_due = shelf.next_due()

    def _end_of(self, work: Work) -> Callable[[], int]:
        def end() -> int:
            place = work.shelf.place
            if place not in self._ends:
                wanted = [p for p, w in self._rack.works.items() if w.shelf.caught_up]
                self._ends.update({p: high for p, (_, high) in self._admin.ends(wanted, PATIENCE).items()})
            return self._ends[place]

        return end

    # --- writing -----------------------------------------------------------------------------------

    def _take_acks(self) -> None:
        ours: dict[int, tuple[Work, list[Change]]] = {}
        others: dict[int, tuple[Work, list[Change]]] = {}
        told: list[Event] = []
        for work, change, entry, delivery in self._scribe.collect():
            error = delivery.error
            if error is None and delivery.offset < 0:
                # The first acknowledgement was lost. Without its place it is no better than none: what is not
                # known to be in the index must not be finished in the queue.
                error = OutcomeUnknown("Kafka has it, but does not say where")
            if error is not None:
                self._refused(work, change, entry, error, told)
                continue
            if delivery.stamp_ms > 0 and not self._embedded:
                self.clock_offset = delivery.stamp_ms / 1000 - self._now()
            if self._rack.works.get(work.shelf.place) is not work:
                continue
            known = replace(change, offset=delivery.offset)
            group = others if entry is None else ours
            group.setdefault(id(work), (work, []))[1].append(known)
            if entry is not None:
                self._passed("after-erase" if entry.ended else "after-defer")
                told.append(Erased(entry) if entry.ended else Deferred(entry))
        for wished, groups in ((False, ours), (True, others)):
            for work, changes in groups.values():
                self._rack.owe(work, self._acknowledge, work, changes, wished)
        self._events.extend((None, event) for event in told)

    def _acknowledge(self, work: Work, changes: Sequence[Change], wished: bool) -> None:
        if not work.shelf.caught_up:
            # An end that is acknowledged before what it ends is read anew must be read as well.
            last = max(change.offset for change in changes)
            work.state = dataclasses.replace(work.state, high=max(work.state.high, last + 1))
        self._tell(work, work.shelf.acknowledged(changes, wished=wished))

    def _refused(
        self, work: Work, change: Change, entry: Entry | None, error: EnqueueError, told: list[Event]
    ) -> None:
        log.error(
            "the deferred store of %s[%d] could not be written and will be tried again: %s",
            *work.shelf.place,
            error,
            extra={"event": "store.refused"},
        )
        work.shelf.refused(change, wished=entry is None)
        if entry is None:
            work.write_at = time.monotonic() + PAUSE
        else:
            told.append(NotErased(entry) if entry.ended else NotDeferred(entry))

    def _note_needed(self) -> None:
        """Tell the embedded broker, which cannot compact, what it may drop."""
        now = time.monotonic()
        if now < self._note_at:
            return
        self._note_at = now + _NOTE_EVERY
        fresh: list[tuple[Place, int]] = []
        for work in self._rack.works.values():
            if work.shelf.caught_up:
                self._rack.guarded(work, self._find_needed, work, fresh)
        if fresh:
            self._tail.note(fresh)

    def _find_needed(self, work: Work, fresh: list[tuple[Place, int]]) -> None:
        """Add from where on a log is needed, if that has changed."""
        place, store = work.shelf.place, work.shelf.store
        lowest = store.lowest()
        needed = store.position if lowest is None else lowest
        if self._noted.get(place) != needed:
            self._noted[place] = needed
            fresh.append((work.log, needed))
        if work.room is not None:
            work.room.forget(needed)
            if work.room.crowded:
                work.shelf.lift(work.room.oldest())
                self._note_at = time.monotonic() + _NOTE_SOON
