"""A keeper with its thread, on a real Kafka; the test is its owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kjobs.config import Settings, load
from kjobs.core.commands import CloseStore, Defer, Erase, FetchLane, OpenStore
from kjobs.core.deferred import Change, Row
from kjobs.core.events import CaughtUp, Deferred, Due, Erased, Event, LaneFetched, Place
from kjobs.core.partition import Entry, Partition
from kjobs.core.topics import Names
from kjobs.deferred import wire
from kjobs.deferred.files import Files
from kjobs.deferred.keeper import Keeper
from kjobs.deferred.opener import Opener
from kjobs.deferred.sqlite import SqliteStore
from kjobs.kafka.admin import Admin
from kjobs.kafka.producer import Producer
from kjobs.kafka.tail import Tail
from tests.core.record import FakeRecord
from tests.deferred.calls import NOW
from tests.kafka.broker import Broker
from tests.patience import until

E = TypeVar("E", bound=Event)


class Owner:
    """The owner of a keeper.

    Args:
        bootstrap: the broker.
        prefix: of the topics.
        folder: for indexes.
        partitions: how many there are.
    """

    def __init__(self, bootstrap: str, prefix: str, folder: Path, partitions: int = 1) -> None:
        names = Names(prefix)
        self.queue, self.log = names.queue("q"), names.delayed("q")
        self.broker = Broker(bootstrap)
        self.settings: Settings = load({"state_dir": str(folder / "state")}, environ={}, directory=folder)
        self.opener: Opener = Files(self.settings)
        self.opener.check()
        self.admin = Admin(bootstrap, {})
        self.now_ms = NOW
        #: Everything that was told so far.
        self.told: list[Event] = []
        self.partitions: dict[Place, Partition] = {}
        self._bootstrap = bootstrap
        self._config = {topic.name: topic.config for topic in names.topics("q", partitions, 1_000_000)}
        self._count = partitions
        self._epochs = 0
        self.create()
        self.producer = Producer(bootstrap, {})
        self.keeper = self.started()

    def create(self) -> None:
        """Make the topics."""
        for topic in (self.queue, self.log):
            self.broker.create({topic: self._count}, self._config[topic])

    def create_log(self) -> None:
        """Make the log's topic."""
        self.broker.create({self.log: self._count}, self._config[self.log])

    def started(self) -> Keeper:
        """A keeper, as a worker that starts makes it."""
        self.tail = Tail(self._bootstrap, {}, group="g", embedded=False)
        keeper = Keeper(
            producer=self.producer,
            tail=self.tail,
            admin=self.admin,
            opener=self.opener,
            logs={self.queue: self.log},
            now=lambda: self.now_ms / 1000,
            told=lambda: None,
            cluster_id="cluster",
        )
        keeper.start()
        return keeper

    def restart(self) -> None:
        """The worker ends in order, and another one starts."""
        self.keeper.stop(30.0)
        self.told.clear()
        self.keeper = self.started()

    def close(self) -> None:
        """End."""
        self.keeper.stop(30.0)
        self.producer.close(5.0)
        assert self.keeper.failure is None, self.keeper.failure

    # --- orders ----------------------------------------------------------------------------------

    def order(self, number: int = 0, read_from: int = 0) -> OpenStore:
        """Order a partition to be opened; the first thing that is done with it."""
        place = (self.queue, number)
        self._epochs += 1
        self.partitions[place] = Partition(place, 0, None, "")
        command = OpenStore(place, read_from, self._epochs, self.broker.topic_id(self.queue))
        self.keeper.perform(command)
        return command

    def open(self, number: int = 0) -> CaughtUp:
        """Have a partition opened, and wait until its log is read."""
        seen = len(self.all(CaughtUp))
        self.order(number)
        until(lambda: len(self.all(CaughtUp)) > seen, "its log is read", told=lambda: repr(self.told))
        return self.all(CaughtUp)[-1]

    def leave(self, number: int = 0) -> None:
        """Have a partition closed, and wait until its file is."""
        place = (self.queue, number)
        self.partitions.pop(place).closed = True
        self.keeper.perform(CloseStore([place]))
        until(lambda: place not in self.keeper._rack.works, "it is closed")

    def defer(self, row: Row, given: Row | None = None, number: int = 0) -> Entry:
        """Order a call to be put into the store; one that came from there, or from the queue."""
        partition = self.partitions[self.queue, number]
        record = FakeRecord(0, row.value, row.key, noted=list(row.headers or ()))
        entry = Entry(partition, 0, row.key, record, 0, row=given, deferral=row)
        self.keeper.perform(Defer(entry))
        return entry

    def erase(self, row: Row, number: int = 0) -> Entry:
        """Order a call to be taken out of the store."""
        partition = self.partitions[self.queue, number]
        entry = Entry(partition, 0, row.key, FakeRecord(), 0, row=row, ended=True)
        self.keeper.perform(Erase(entry))
        return entry

    def erased(self, row: Row) -> None:
        """Have a call taken out, and wait until that is so."""
        entry = self.erase(row)
        self.until(lambda: any(event.entry is entry for event in self.all(Erased)), "it is erased")

    def deferred(self, row: Row, given: Row | None = None) -> None:
        """Have a call put in, and wait until that is so."""
        entry = self.defer(row, given)
        self.until(lambda: any(event.entry is entry for event in self.all(Deferred)), "it is deferred")

    def lane(self, key: bytes = b"k", read: int = 1 << 40) -> LaneFetched:
        """Fetch a lane."""
        seen = len(self.all(LaneFetched))
        self.keeper.perform(FetchLane((self.queue, 0), key, read))
        self.until(lambda: len(self.all(LaneFetched)) > seen, "the lane is fetched")
        return self.all(LaneFetched)[-1]

    # --- what comes of it ------------------------------------------------------------------------

    def all(self, kind: type[E]) -> list[E]:
        """Everything of a kind that was told so far."""
        self.told += self.keeper.collect()
        return [event for event in self.told if isinstance(event, kind)]

    def given(self) -> list[Row]:
        """All calls that were given out by their time."""
        return [row for event in self.all(Due) for row in event.rows]

    def until_given(self, count: int) -> list[Row]:
        """Wait until so many calls were given out by their time."""
        return self.until(lambda: found if len(found := self.given()) >= count else None, f"{count} are due")

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Wait until something is so."""
        return until(look, what, told=lambda: f"{self.told}\n{self.records()}")

    def until_read(self, number: int = 0) -> None:
        """Wait until the keeper has taken in everything that is in a log."""
        end = self.broker.ends([(self.log, number)])[self.log, number]
        place = (self.queue, number)
        works = self.keeper._rack.works
        self.until(lambda: place in works and works[place].shelf.store.position >= end, "everything is read")

    @property
    def store(self) -> SqliteStore:
        """The index of the first partition."""
        store = self.keeper._rack.works[self.queue, 0].shelf.store
        assert isinstance(store, SqliteStore)
        return store

    # --- the log ---------------------------------------------------------------------------------

    def write(self, *changes: Change, number: int = 0) -> list[int]:
        """Somebody else writes to a log; gives the offsets."""
        offsets: list[int] = []
        for change in changes:
            record = wire.written(change)
            offsets.append(self.broker.write((self.log, number), record.value, record.key, record.headers))
        return offsets

    def records(self) -> Sequence[Change]:
        """What is in the logs."""
        return [
            wire.change(found.key, found.value, found.headers, found.offset)
            for found in self.broker.read(self.log)
        ]
