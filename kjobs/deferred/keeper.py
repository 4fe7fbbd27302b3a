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
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from .. import events
from ..core.commands import Answer, CloseStore, Defer, Erase, FetchLane, OpenStore, Release
from ..core.deferred import Change, End, Move, Row
from ..core.events import Deferred, Erased, Event, NotDeferred, NotErased, Place
from ..core.partition import Entry
from ..core.ports import StoreAway
from ..errors import BrokerError, EnqueueError
from ..kafka.admin import Admin, topic_id
from ..kafka.message import headers_of
from ..kafka.producer import Delivery, Producer, Stamped
from ..kafka.tail import Tail
from . import wire
from .opener import LogState, Opener
from .shelf import Shelf

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
#: Seconds before something that failed is tried again.
_PAUSE = 1.0
#: Seconds between two log lines about a store that catches up.
_TELL_EVERY = 5.0
#: Seconds between two log lines about the same trouble.
_QUIET = 10.0
#: Seconds after which an index is asked again when its next call is due, so that one that has vanished is
#: noticed before that.
_ASK_EVERY = 1.0
#: Seconds between two notes to the embedded broker of what is still needed.
_NOTE_EVERY = 0.5

Command = OpenStore | CloseStore | Defer | Erase | FetchLane | Release | Answer


class _Work:
    """One partition's shelf, and what is known of catching up."""

    def __init__(self, shelf: Shelf, state: LogState, begun: float) -> None:
        self.shelf = shelf
        self.state = state
        self.begun = begun
        self.told_at = begun
        self.first = shelf.store.position
        self.write_at = 0.0
        self.asked_at = begun
        self.next_due: int | None = None
        #: What is wrong with the index, if something is, and when to try next.
        self.trouble: Exception | None = None
        self.try_at = 0.0
        #: What is to be done with it when it is there again.
        self.owed: list[tuple[Callable[..., object], tuple[Any, ...]]] = []


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
        self._producer = producer
        self._tail = tail
        self._admin = admin
        self._opener = opener
        self._logs = logs
        self._now = now
        self._told = told
        self._cluster_id = cluster_id
        self._embedded = embedded
        self._passed = passed
        self._orders: deque[Command] = deque()
        self._acks: deque[tuple[_Work, Change, Entry | None, Stamped]] = deque()
        self._events: deque[Event] = deque()
        self._works: dict[Place, _Work] = {}
        self._to_open: list[OpenStore] = []
        self._open_at = 0.0
        self._said_at = float("-inf")
        self._ends: dict[Place, int] = {}
        self._noted: dict[Place, int] = {}
        self._note_at = 0.0
        self._brisk_until = 0.0
        self._wake = threading.Event()
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
        self._orders.append(command)
        self._wake.set()

    def collect(self) -> list[Event]:
        """What happened since the last time."""
        told = self._events
        return [told.popleft() for _ in range(len(told))]

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
            for work in self._works.values():
                with suppress(Exception):
                    work.shelf.store.close()
            self._tail.close()

    def _patience(self) -> float:
        if self._orders or self._acks:
            return 0.0
        if not self._works:
            return _IDLE if not self._to_open else max(0.0, min(_IDLE, self._open_at - time.monotonic()))
        tick = _TICK if time.monotonic() < self._brisk_until else _LAZY_TICK
        if self.next_due is None:
            return tick
        return min(tick, max(0.0, self.next_due - self._now()))

    def _step(self) -> None:
        """Do once what there is to do."""
        self._take_orders()
        self._open()
        self._bring_back()
        self._take_acks()
        self._read()
        self._look()
        for work in self._works.values():
            if work.shelf.wishes:
                self._write_wishes(work)
        if self._embedded:
            self._note_needed()
        self.settled = not (
            self._orders
            or self._acks
            or self._events
            or self._to_open
            or any(work.trouble for work in self._works.values())
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
                    self._to_open.append(command)
                    self._open_at = 0.0
                case CloseStore(places=places):
                    for place in places:
                        self._close(place)
                case Defer(entry=entry) | Erase(entry=entry):
                    self._write_entry(entry)
                case FetchLane(place=place, key=key, read=read):
                    if (work := self._works.get(place)) is not None:
                        self._guarded(work, self._fetch_lane, work, key, read)
                case Release(place=place, offsets=offsets):
                    if (work := self._works.get(place)) is not None:
                        self._owe(work, work.shelf.release, offsets)
                case Answer(place=place, request=request, verdict=verdict):
                    if (work := self._works.get(place)) is not None:
                        self._owe(work, work.shelf.answer, request, verdict)

    def _fetch_lane(self, work: _Work, key: bytes, read: int) -> None:
        # While the index is made anew nobody knows; the scheduler asks again afterwards.
        if work.shelf.caught_up:
            self._events.append(work.shelf.lane(key, read, self._now_ms()))

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    # --- partitions come and go --------------------------------------------------------------------

    def _open(self) -> None:
        if not self._to_open or time.monotonic() < self._open_at:
            return
        orders = self._to_open
        logs = {order.place: (self._logs[order.place[0]], order.place[1]) for order in orders}
        try:
            ends = self._admin.ends(list(logs.values()))
            ids = self._admin.topic_ids(sorted({topic for topic, _ in logs.values()}))
            names = {topic: topic_id(answer) for topic, answer in ids.items()}
        except BrokerError as error:
            self._complain("the deferred store cannot be opened yet: %s", error)
            self._open_at = time.monotonic() + _PAUSE
            return
        self._to_open = []
        for at, order in enumerate(orders):
            low, high = ends[logs[order.place]]
            state = LogState(
                place=order.place,
                cluster_id=self._cluster_id,
                log_id=names.get(logs[order.place][0], ""),
                queue_id=order.topic_id,
                low=low,
                high=high,
                epoch=order.epoch,
                now_ms=self._now_ms(),
            )
            try:
                self._begin(order, state)
            except Exception as error:
                self._complain(
                    "the deferred store of %s[%d] cannot be opened, and no call of it begins: %s",
                    *order.place,
                    error,
                )
                self._close(order.place)
                self._to_open.append(order)
                self._open_at = time.monotonic() + _PAUSE
                if isinstance(error, StoreAway):
                    # The others are at the same place, and each would wait in vain as long.
                    self._to_open += orders[at + 1 :]
                    return

    def _begin(self, order: OpenStore, state: LogState) -> None:
        self._close(order.place)
        store = self._opener.open(state)
        shelf = Shelf(
            order.place,
            store,
            epoch=order.epoch,
            name=uuid4().hex[:8],
            topic_id=order.topic_id,
            read_from=order.read_from,
        )
        work = self._works[order.place] = _Work(shelf, state, time.monotonic())
        self._passed("in-catch-up")
        self._tail.follow(self._log_of(order.place), max(store.position, state.low))
        self._advance(work, max(store.position, state.low))

    def _close(self, place: Place) -> None:
        self._to_open = [order for order in self._to_open if order.place != place]
        work = self._works.pop(place, None)
        self._noted.pop(place, None)
        if work is not None:
            self._tail.leave(self._log_of(place))
            with suppress(Exception):
                work.shelf.store.close()

    def _lose(self, work: _Work, error: Exception) -> None:
        """An index failed, or is away. What is in the scheduler's hands stays there."""
        place = work.shelf.place
        if isinstance(error, StoreAway):
            self._complain(
                "the deferred store of %s[%d] waits: %s. Calls that are not delayed go on", *place, error
            )
        else:
            log.error(
                "the index of the deferred store of %s[%d] failed and is made anew from Kafka, which has "
                "everything: %s",
                *place,
                error,
                extra={"event": "store.renewed", "error": type(error).__name__},
            )
        work.trouble = error
        work.try_at = time.monotonic() + _PAUSE if isinstance(error, StoreAway) else 0.0
        work.next_due = None
        work.shelf.caught_up = False
        self._tail.leave(self._log_of(place))
        with suppress(Exception):
            work.shelf.store.close()

    def _bring_back(self) -> None:
        """Try to have an index again that failed or is away; one at a time, as each may take long."""
        for work in list(self._works.values()):
            if work.trouble is not None and time.monotonic() >= work.try_at:
                try:
                    self._restore(work)
                except Exception as error:
                    self._complain(
                        "the deferred store of %s[%d] still waits, and no delayed call of it begins: %s",
                        *work.shelf.place,
                        error,
                    )
                    work.try_at = time.monotonic() + _PAUSE
                return

    def _restore(self, work: _Work) -> None:
        """Have an index again: what there was, if it was only away, or an empty one; and read the log."""
        shelf = work.shelf
        where = self._log_of(shelf.place)
        low, high = self._admin.ends([where])[where]
        # As new as what is in the scheduler's hands: that is not to be given out twice.
        work.state = dataclasses.replace(work.state, low=low, high=high, now_ms=self._now_ms())
        known = shelf.store.position
        away = isinstance(work.trouble, StoreAway)
        store = self._opener.open(work.state) if away else self._opener.renew(work.state)
        # It may know more than what was heard of it, and that is to be told, or less.
        first = max(low, min(known, store.position))
        if away:
            log.info(
                "the deferred store of %s[%d] is there again; its log is read from %d on",
                *shelf.place,
                first,
                extra={"event": "store.back"},
            )
        shelf.begin_anew(store)
        work.trouble = None
        work.begun = work.told_at = time.monotonic()
        work.first = first
        self._tail.follow(where, first)
        owed, work.owed = work.owed, []
        for action, args in owed:
            self._owe(work, action, *args)
        self._guarded(work, self._advance, work, first)

    def _complain(self, text: str, *args: object) -> None:
        """Say that something has to wait; not every second."""
        now = time.monotonic()
        level = logging.DEBUG
        if now - self._said_at >= _QUIET:
            self._said_at = now
            level = logging.ERROR
        log.log(level, text, *args, extra={"event": "store.waiting"})

    def _guarded(self, work: _Work, action: Callable[..., object], *args: Any) -> bool:
        """Do something with an index, if it is there; whether it was.

        Raises:
            BrokerError: that is not the index's fault.
        """
        if work.trouble is not None:
            return False
        try:
            action(*args)
        except BrokerError:
            raise
        except Exception as error:
            self._lose(work, error)
            return not isinstance(error, StoreAway)
        return True

    def _owe(self, work: _Work, action: Callable[..., object], *args: Any) -> None:
        """Do something with an index now, or when it is there again."""
        if not self._guarded(work, action, *args):
            work.owed.append((action, args))

    def _log_of(self, place: Place) -> Place:
        return self._logs[place[0]], place[1]

    # --- the log -----------------------------------------------------------------------------------

    def _read(self) -> None:
        records, positions, lost = self._tail.read(_HANDFUL)
        if records:
            self._brisk_until = time.monotonic() + _A_WHILE
        for place, work in list(self._works.items()):
            where = self._log_of(place)
            if where in lost:
                self._lose(work, RuntimeError("its log no longer has what was to be read next"))
            elif where in positions:
                changes = [
                    wire.change(r.key(), r.value(), headers_of(r), r.offset()) for r in records.get(where, ())
                ]
                self._guarded(work, self._take_in, work, changes, positions[where])

    def _take_in(self, work: _Work, changes: Sequence[Change], position: int) -> None:
        shelf = work.shelf
        if changes or position != shelf.store.position:
            self._events.extend(shelf.read(changes, position))
        self._advance(work, position)

    def _advance(self, work: _Work, position: int) -> None:
        """See whether everything is read that was in the log when the partition was taken over."""
        shelf = work.shelf
        if shelf.caught_up:
            return
        now = time.monotonic()
        if position >= work.state.high:
            self._events.extend(shelf.catch_up())
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
        for work in list(self._works.values()):
            if not work.shelf.caught_up:
                continue
            try:
                self._guarded(work, self._tell_due, work, now_ms)
            except BrokerError as error:
                log.debug("the end of a queue cannot be read: %s", error)
            due = work.next_due
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        self.next_due = None if soonest is None else soonest / 1000

    def _tell_due(self, work: _Work, now_ms: int) -> None:
        shelf = work.shelf
        if time.monotonic() - work.asked_at > _ASK_EVERY:
            work.asked_at = time.monotonic()
            shelf.doubt_times()
        work.next_due = shelf.next_due()
        if work.next_due is not None and work.next_due <= now_ms:
            self._events.extend(shelf.look(now_ms, self._end_of(work)))
            self._passed("after-due")
            work.next_due = shelf.next_due()

    def _end_of(self, work: _Work) -> Callable[[], int]:
        def end() -> int:
            place = work.shelf.place
            if place not in self._ends:
                wanted = [p for p, w in self._works.items() if w.shelf.caught_up]
                self._ends.update({p: high for p, (_, high) in self._admin.ends(wanted).items()})
            return self._ends[place]

        return end

    # --- writing -----------------------------------------------------------------------------------

    def _write_entry(self, entry: Entry) -> None:
        """Write what the scheduler ordered of an entry."""
        work = self._works.get(entry.partition.place)
        if entry.partition.closed or work is None:
            return
        change: Row | End
        if entry.ended:
            assert entry.row is not None
            self._passed("before-erase")
            change = End(id=entry.row.id, of=entry.row.offset)
        else:
            row = entry.deferral
            assert row is not None
            self._passed("before-defer")
            if entry.row is None:
                row = replace(row, headers=headers_of(entry.record) or None)
            change = row
        self._write(work, work.shelf.signed(change), entry)

    def _write_wishes(self, work: _Work) -> None:
        if time.monotonic() < work.write_at:
            return
        wishes, work.shelf.wishes = work.shelf.wishes, []
        for wish in wishes:
            self._write(work, wish, None)

    def _write(self, work: _Work, change: Change, entry: Entry | None) -> None:
        record = wire.written(change)
        topic, number = self._log_of(work.shelf.place)

        def done(delivery: Delivery) -> None:
            self._acks.append((work, change, entry, delivery))  # type: ignore[arg-type]
            self._wake.set()

        delivery = Stamped(topic, "", done)
        try:
            self._producer.put(delivery, record.value, record.key, record.headers, partition=number)
        except (BufferError, EnqueueError) as error:
            delivery.error = error if isinstance(error, EnqueueError) else EnqueueError(str(error))
            done(delivery)

    def _take_acks(self) -> None:
        ours: dict[int, tuple[_Work, list[Change]]] = {}
        others: dict[int, tuple[_Work, list[Change]]] = {}
        told: list[Event] = []
        for _ in range(len(self._acks)):
            work, change, entry, delivery = self._acks.popleft()
            if delivery.error is not None:
                self._refused(work, change, entry, delivery.error, told)
                continue
            if delivery.stamp_ms > 0 and not self._embedded:
                self.clock_offset = delivery.stamp_ms / 1000 - self._now()
            if self._works.get(work.shelf.place) is not work:
                continue
            known = replace(change, offset=delivery.offset)
            group = others if entry is None else ours
            group.setdefault(id(work), (work, []))[1].append(known)
            if entry is not None:
                self._passed("after-erase" if entry.ended else "after-defer")
                told.append(Erased(entry) if entry.ended else Deferred(entry))
        for wished, groups in ((False, ours), (True, others)):
            for work, changes in groups.values():
                self._owe(work, self._acknowledge, work, changes, wished)
        self._events.extend(told)

    def _acknowledge(self, work: _Work, changes: Sequence[Change], wished: bool) -> None:
        self._events.extend(work.shelf.acknowledged(changes, wished=wished))

    def _refused(
        self, work: _Work, change: Change, entry: Entry | None, error: EnqueueError, told: list[Event]
    ) -> None:
        log.error(
            "the deferred store of %s[%d] could not be written and will be tried again: %s",
            *work.shelf.place,
            error,
            extra={"event": "store.refused"},
        )
        if entry is None:
            if not isinstance(change, Move):
                work.shelf.wishes.append(change)
            work.write_at = time.monotonic() + _PAUSE
        else:
            told.append(NotErased(entry) if entry.ended else NotDeferred(entry))

    def _note_needed(self) -> None:
        """Tell the embedded broker, which cannot compact, what it may drop."""
        now = time.monotonic()
        if now < self._note_at:
            return
        self._note_at = now + _NOTE_EVERY
        fresh: list[tuple[Place, int]] = []
        for work in self._works.values():
            if work.shelf.caught_up:
                self._guarded(work, self._find_needed, work, fresh)
        if fresh:
            self._tail.note(fresh)

    def _find_needed(self, work: _Work, fresh: list[tuple[Place, int]]) -> None:
        """Add from where on a log is needed, if that has changed."""
        place, store = work.shelf.place, work.shelf.store
        lowest = store.lowest()
        needed = store.position if lowest is None else lowest
        if self._noted.get(place) != needed:
            self._noted[place] = needed
            fresh.append((self._log_of(place), needed))
