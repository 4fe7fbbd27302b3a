"""The partitions that a keeper has: how their indexes are opened, lost, and had again."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from ..core.commands import OpenStore
from ..core.events import Place
from ..core.ports import StoreAway
from ..errors import BrokerError
from ..kafka.admin import Admin, topic_id
from ..kafka.producer import Producer
from ..kafka.tail import Tail
from .opener import LogState, Opener
from .room import Room
from .shelf import Shelf
from .work import Work

log = logging.getLogger("kjobs.worker")

#: Seconds before something that failed is tried again.
PAUSE = 1.0
#: Seconds for which the ends of logs are asked for at a time; the thread has other things to do, too.
PATIENCE = 3.0
#: Seconds between two lines that say that something has to wait.
_QUIET = 10.0
#: Seconds for which the embedded broker is asked for a topic.
_ASK = 5.0


class Rack:
    """The shelves of a worker's partitions.

    Args:
        admin: for ends and ids.
        opener: gives indexes.
        tail: reads the logs.
        producer: keeps the embedded broker from running full, if it is one.
        logs: the log's topic by the queue's.
        now_ms: the worker's clock (ms since the epoch).
        cluster_id: Kafka's id of the cluster.
        embedded: the broker is the embedded one.
        passed: told when a place where a test may kill the worker is passed.
        begun: called with a partition whose log is read from here on, and from where.
    """

    def __init__(
        self,
        *,
        admin: Admin,
        opener: Opener,
        tail: Tail,
        producer: Producer,
        logs: Mapping[str, str],
        now_ms: Callable[[], int],
        cluster_id: str,
        embedded: bool,
        passed: Callable[[str], None],
        begun: Callable[[Work, int], None],
    ) -> None:
        self.works: dict[Place, Work] = {}
        self._admin = admin
        self._opener = opener
        self._tail = tail
        self._producer = producer
        self._logs = logs
        self._now_ms = now_ms
        self._cluster_id = cluster_id
        self._embedded = embedded
        self._passed = passed
        self._begun = begun
        self._to_open: list[OpenStore] = []
        self._open_at = 0.0
        self._said: dict[tuple[Place | None, str], float] = {}

    @property
    def waiting(self) -> bool:
        """Whether a partition's index is still to be opened, or to be had again."""
        return bool(self._to_open) or any(work.trouble for work in self.works.values())

    @property
    def next_try(self) -> float:
        """Seconds until an index is to be opened; for ever if none is."""
        return self._open_at - time.monotonic() if self._to_open else float("inf")

    def order(self, command: OpenStore) -> None:
        """A partition is to be opened."""
        self._to_open.append(command)
        self._open_at = 0.0

    def open(self) -> None:
        """Open what is to be opened."""
        if not self._to_open or time.monotonic() < self._open_at:
            return
        orders = self._to_open
        logs = {order.place: (self._logs[order.place[0]], order.place[1]) for order in orders}
        try:
            ends = self._admin.ends(list(logs.values()), PATIENCE)
            ids = self._admin.topic_ids(sorted({topic for topic, _ in logs.values()}))
            names = {topic: topic_id(answer) for topic, answer in ids.items()}
        except BrokerError as error:
            self._complain(None, "the deferred store cannot be opened yet: %s", error)
            self._open_at = time.monotonic() + PAUSE
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
                    order.place,
                    "the deferred store of %s[%d] cannot be opened, and no call of it begins: %s",
                    *order.place,
                    error,
                )
                self.close(order.place)
                self._to_open.append(order)
                self._open_at = time.monotonic() + PAUSE
                if isinstance(error, StoreAway):
                    # The others are at the same place, and each would wait in vain as long.
                    self._to_open += orders[at + 1 :]
                    return

    def _begin(self, order: OpenStore, state: LogState) -> None:
        self.close(order.place)
        if self._embedded:
            # Its log is small, and is to be known from its beginning. Asking for it is what has the producer
            # keep the broker from running full.
            self._producer.check_topic(self._log_of(order.place)[0], "of the deferred store", _ASK)
            store = self._opener.renew(state)
        else:
            store = self._opener.open(state)
        shelf = Shelf(
            order.place,
            store,
            epoch=order.epoch,
            name=uuid4().hex[:8],
            topic_id=order.topic_id,
            read_from=order.read_from,
        )
        where = self._log_of(order.place)
        work = self.works[order.place] = Work(shelf, order, where, state, time.monotonic())
        work.room = Room() if self._embedded else None
        self._passed("in-catch-up")
        first = max(store.position, state.low)
        self._tail.follow(where, first)
        self._begun(work, first)

    def close(self, place: Place) -> None:
        """Let go of a partition."""
        self._to_open = [order for order in self._to_open if order.place != place]
        work = self.works.pop(place, None)
        if work is not None:
            self._tail.leave(work.log)
            with suppress(Exception):
                work.shelf.store.close()

    def lose(self, work: Work, error: Exception) -> None:
        """An index failed, or is away. What is in the scheduler's hands stays there."""
        place = work.shelf.place
        if isinstance(error, StoreAway):
            self._complain(
                place,
                "the deferred store of %s[%d] waits: %s. Calls that are not delayed go on",
                *place,
                error,
            )
        else:
            self._complain(
                place,
                "the index of the deferred store of %s[%d] failed and is made anew from Kafka, which has "
                "everything: %s",
                *place,
                error,
                event="store.renewed",
            )
        now = time.monotonic()
        # One that fails again as soon as it is there will do so the next time: its disk may be full.
        waits = isinstance(error, StoreAway) or now - work.begun < PAUSE
        work.trouble = error
        work.try_at = now + PAUSE if waits else 0.0
        work.next_due = None
        work.shelf.caught_up = False
        self._tail.leave(work.log)
        with suppress(Exception):
            work.shelf.store.close()

    def bring_back(self) -> None:
        """Try to have an index again that failed or is away; one at a time, as each may take long."""
        for work in list(self.works.values()):
            if work.trouble is not None and time.monotonic() >= work.try_at:
                try:
                    self._restore(work)
                except Exception as error:
                    self._complain(
                        work.shelf.place,
                        "the deferred store of %s[%d] still waits, and no delayed call of it begins: %s",
                        *work.shelf.place,
                        error,
                    )
                    # Not the others at once: each may wait as long in vain, and nothing is written meanwhile.
                    # But before this one, whose trouble may be its own.
                    now = time.monotonic()
                    for other in self.works.values():
                        other.try_at = max(other.try_at, now + PAUSE)
                    work.try_at = now + 2 * PAUSE
                return

    def _restore(self, work: Work) -> None:
        """Have an index again: what there was, if it was only away, or an empty one; and read the log."""
        shelf = work.shelf
        where = work.log
        low, high = self._admin.ends([where], PATIENCE)[where]
        # As new as what is in the scheduler's hands: that is not to be given out twice.
        work.state = dataclasses.replace(work.state, low=low, high=high, now_ms=self._now_ms())
        known = shelf.store.position
        away = isinstance(work.trouble, StoreAway)
        store = self._opener.open(work.state) if away else self._opener.renew(work.state)
        work.room = Room() if self._embedded else None
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
            self.owe(work, action, *args)
        self.guarded(work, self._begun, work, first)

    def _complain(self, place: Place | None, text: str, *args: object, event: str = "store.waiting") -> None:
        """Say that something has to wait, of a partition or of all; not every second."""
        now = time.monotonic()
        level = logging.DEBUG
        if now - self._said.get((place, text), float("-inf")) >= _QUIET:
            self._said[place, text] = now
            level = logging.ERROR
        log.log(level, text, *args, extra={"event": event})

    def guarded(self, work: Work, action: Callable[..., object], *args: Any) -> bool:
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
            self.lose(work, error)
            return not isinstance(error, StoreAway)
        return True

    def owe(self, work: Work, action: Callable[..., object], *args: Any) -> None:
        """Do something with an index now, or when it is there again."""
        if not self.guarded(work, action, *args):
            work.owed.append((action, args))

    def _log_of(self, place: Place) -> Place:
        return self._logs[place[0]], place[1]
