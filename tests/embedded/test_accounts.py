"""The account of what is unconsumed: whatever senders do, the mock cluster drops nothing that is."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest

from kjobs.kafka.embedded.accounts import LARGEST, OVERHEAD, ROOM, Accounts, Report

#: What a mock cluster keeps of a partition; librdkafka's own number.
KEPT = 5 * 1024 * 1024

TOPIC = "t"
GROUPS = frozenset({"slow", "fast"})


@dataclass
class Log:
    """A partition as the mock cluster keeps it: drops the oldest batches of what is above its limit."""

    batches: deque[tuple[int, int]] = field(default_factory=deque)  # last offset, bytes
    end: int = 0
    low: int = 0
    bytes: int = 0

    def append(self, sizes: Sequence[int]) -> int:
        """Append a batch and return the offset of its last record."""
        self.end += len(sizes)
        self.batches.append((self.end - 1, sum(sizes)))
        self.bytes += sum(sizes)
        while self.bytes > KEPT and len(self.batches) > 1:
            last, size = self.batches.popleft()
            self.low = last + 1
            self.bytes -= size
        return self.end - 1


@dataclass
class Sender:
    """A process: what it may send, what it has handed to its client, what it has to report."""

    balance: int = 0
    under_way: list[tuple[int, int]] = field(default_factory=list)  # partition, bytes with overhead
    settled: list[Report] = field(default_factory=list)


def together(reports: Sequence[Report]) -> list[Report]:
    """One report for each partition."""
    sums: dict[int, Report] = {}
    for partition, last, size in reports:
        before = sums.get(partition, Report(partition, -1, 0))
        sums[partition] = Report(partition, max(last, before.last), size + before.size)
    return list(sums.values())


@dataclass(frozen=True)
class Nothing:
    """A topic of one partition of which nothing is consumed, or as much as is told."""

    consumed: int = 0

    def finished(self, topic: str, groups: Collection[str]) -> Sequence[int]:
        return [self.consumed]

    def ends(self, topic: str) -> Sequence[int]:
        return [100]


class World:
    """A topic, groups that consume it, and processes that send to it, all at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.logs = [Log() for _ in range(self.random.randint(1, 4))]
        self.sizes = self.random.choice(
            [[100, 300], [300, 5_000, 70_000], [20_000], [300, LARGEST - OVERHEAD]]
        )
        self.consumed = {group: [0] * len(self.logs) for group in GROUPS}
        self.accounts = Accounts(self)
        self.senders = {number: Sender() for number in range(self.random.randint(1, 6))}
        self.next_sender = len(self.senders)
        self.refused = 0
        self.broken = False

    # what accounts may ask
    def finished(self, topic: str, groups: Collection[str]) -> Sequence[int]:
        assert topic == TOPIC
        if self.broken:
            return ()
        return [min(self.consumed[group][number] for group in groups) for number in range(len(self.logs))]

    def ends(self, topic: str) -> Sequence[int]:
        assert topic == TOPIC
        return () if self.broken else [log.end for log in self.logs]

    # what happens
    def send(self, number: int) -> None:
        """The sender hands some records to its client, as many as are admitted."""
        sender = self.senders[number]
        size = self.random.choice(self.sizes) + OVERHEAD
        partition = 0 if self.random.random() < 0.7 else self.random.randrange(len(self.logs))
        for _ in range(self.random.randint(1, 1 + 100_000 // size)):
            if sender.balance < size:
                self.report(number)
                granted = self.accounts.claim(number, TOPIC, GROUPS, size - sender.balance, 65_536)
                sender.balance += granted
                if not granted:
                    self.refused += 1
                    return
            sender.balance -= size
            sender.under_way.append((partition, size))

    def arrive(self, number: int) -> None:
        """One batch of the sender's records, for one partition, reaches the log."""
        sender = self.senders[number]
        if not sender.under_way:
            return
        partition = sender.under_way[0][0]
        batch: list[int] = []
        rest: list[tuple[int, int]] = []
        for place, size in sender.under_way:
            # The client fills a batch up to its batch.size; a larger record is alone.
            if place == partition and (not batch or sum(batch) + size <= LARGEST):
                batch.append(size)
            else:
                rest.append((place, size))
        sender.under_way = rest
        last = self.logs[partition].append(batch)
        for offset, size in enumerate(batch, last - len(batch) + 1):
            sender.settled.append(Report(partition, offset, size))

    def report(self, number: int) -> None:
        """The sender has heard of some of its records and reports them."""
        sender = self.senders[number]
        heard = self.random.randint(0, len(sender.settled))
        self.accounts.report(number, TOPIC, together(sender.settled[:heard]), 0)
        sender.settled = sender.settled[heard:]

    def fail(self, number: int) -> None:
        """The sender's client gives up on what is under way."""
        sender = self.senders[number]
        sender.balance += sum(size for _, size in sender.under_way)
        sender.under_way = []

    def leave(self, number: int) -> None:
        """A process ends well: everything has arrived, the rest of its claim is given back."""
        while self.senders[number].under_way:
            self.arrive(number)
        sender = self.senders.pop(number)
        self.accounts.report(number, TOPIC, together(sender.settled), sender.balance)
        self.accounts.gone(number)
        self.enter()

    def die(self, number: int) -> None:
        """A process is killed: what is under way arrives, and nobody reports it."""
        while self.senders[number].under_way:
            self.arrive(number)
        del self.senders[number]
        self.accounts.gone(number)
        self.enter()

    def enter(self) -> None:
        self.senders[self.next_sender] = Sender()
        self.next_sender += 1

    def consume(self) -> None:
        group = self.random.choice(sorted(GROUPS))
        number = self.random.randrange(len(self.logs))
        position = self.consumed[group][number]
        self.consumed[group][number] = self.random.randint(position, self.logs[number].end)

    def step(self) -> None:
        number = self.random.choice(sorted(self.senders))
        self.broken = self.random.random() < 0.05
        deeds = [self.send, self.arrive, self.report, self.fail, self.leave, self.die]
        weights = [60, 30, 3, 0.3, 0.3, 0.3]
        self.random.choices(deeds, weights)[0](number)
        if self.random.random() < 0.02:
            self.consume()
        for log, *finished in zip(self.logs, *self.consumed.values(), strict=True):
            assert log.low <= min(finished), "a record was dropped that a group had yet to consume"

    def finish(self) -> None:
        """Everything that was sent arrives and is consumed."""
        self.broken = False
        for number in list(self.senders):
            self.leave(number)
        for offsets in self.consumed.values():
            offsets[:] = [log.end for log in self.logs]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_unconsumed_is_dropped_and_room_comes_back(seed: int) -> None:
    world = World(seed)
    for _ in range(1000):
        world.step()
    world.finish()
    assert world.accounts.claim("last", TOPIC, GROUPS, ROOM, ROOM) == ROOM


def test_a_batch_of_which_only_the_last_record_is_unconsumed_is_kept() -> None:
    log = Log()
    log.append([100_000] * 10)
    accounts = Accounts(Nothing(consumed=9))
    accounts.claim("a", TOPIC, GROUPS, 1_000_000, 0)
    accounts.report("a", TOPIC, [Report(0, 8, 900_000), Report(0, 9, 100_000)], 0)
    while accounts.claim("a", TOPIC, GROUPS, 20_000, 0):
        accounts.report("a", TOPIC, [Report(0, log.append([20_000]), 20_000)], 0)
    assert log.bytes > 5_000_000
    assert log.low == 0


def test_the_random_worlds_do_reach_the_limit() -> None:
    worlds = [World(seed) for seed in range(3)]
    for world in worlds:
        for _ in range(1000):
            world.step()
    assert all(world.refused > 10 for world in worlds)
    assert any(log.low > 0 for world in worlds for log in world.logs)


def test_a_claim_is_granted_its_wish_while_there_is_plenty_of_room() -> None:
    assert Accounts(Nothing()).claim("a", TOPIC, GROUPS, 100, 65_536) == 65_536


def test_a_claim_near_the_limit_is_granted_a_part_of_what_is_left() -> None:
    accounts = Accounts(Nothing())
    accounts.claim("a", TOPIC, GROUPS, ROOM - 80_000, 0)
    assert accounts.claim("b", TOPIC, GROUPS, 100, 65_536) == 10_000


def test_full_is_full_until_something_is_given_back() -> None:
    accounts = Accounts(Nothing())
    assert accounts.claim("a", TOPIC, GROUPS, ROOM, 0) == ROOM
    assert accounts.claim("b", TOPIC, GROUPS, 1, 0) == 0
    accounts.report("a", TOPIC, [], 1)
    assert accounts.claim("b", TOPIC, GROUPS, 1, 0) == 1


def test_topics_are_counted_apart() -> None:
    accounts = Accounts(Nothing())
    assert accounts.claim("a", TOPIC, GROUPS, ROOM, 0) == ROOM
    assert accounts.claim("a", "another", GROUPS, ROOM, 0) == ROOM


def test_a_deleted_topic_is_empty_again() -> None:
    accounts = Accounts(Nothing())
    accounts.claim("a", TOPIC, GROUPS, ROOM, 0)
    accounts.report("a", TOPIC, [Report(0, 5, ROOM)], 0)
    accounts.forget(TOPIC)
    assert accounts.claim("a", TOPIC, GROUPS, ROOM, 0) == ROOM


def test_deleted_records_make_room() -> None:
    accounts = Accounts(Nothing())
    accounts.claim("a", TOPIC, GROUPS, ROOM, 0)
    accounts.report("a", TOPIC, [Report(1, 5, ROOM // 2), Report(1, 9, ROOM // 2)], 0)
    accounts.emptied(TOPIC, 1, before=6)
    assert accounts.claim("a", TOPIC, GROUPS, ROOM // 2, 0) == ROOM // 2
    assert accounts.claim("a", TOPIC, GROUPS, 1, 0) == 0


def test_what_a_killed_sender_claimed_may_be_anywhere_until_that_is_consumed() -> None:
    accounts = Accounts(Nothing())
    accounts.claim("killed", TOPIC, GROUPS, ROOM, 0)
    accounts.gone("killed")
    assert accounts.claim("b", TOPIC, GROUPS, 1, 0) == 0
    accounts.emptied(TOPIC, 0, before=99)
    assert accounts.claim("b", TOPIC, GROUPS, 1, 0) == 0
    accounts.emptied(TOPIC, 0, before=100)
    assert accounts.claim("b", TOPIC, GROUPS, 1, 0) == 1


def test_what_must_leave_some_room_is_refused_before_what_need_not() -> None:
    accounts = Accounts(Nothing())
    assert accounts.claim("a", TOPIC, GROUPS, ROOM - 999, 0, spare=1000) == 0
    assert accounts.claim("a", TOPIC, GROUPS, ROOM - 1000, 0, spare=1000) == ROOM - 1000
    assert accounts.claim("a", TOPIC, GROUPS, 1, 0, spare=1000) == 0
    assert accounts.claim("b", TOPIC, GROUPS, 501, 0, spare=500) == 0
    assert accounts.claim("b", TOPIC, GROUPS, 500, 0, spare=500) == 500
    assert accounts.claim("b", TOPIC, GROUPS, 500, 0) == 500


def test_what_is_spared_is_not_granted_for_a_wish() -> None:
    accounts = Accounts(Nothing())
    assert accounts.claim("a", TOPIC, GROUPS, ROOM - 80_000, 0) == ROOM - 80_000
    assert accounts.claim("b", TOPIC, GROUPS, 100, 65_536, spared=80_000) == 100
    assert accounts.claim("b", TOPIC, GROUPS, 100, 65_536, spared=900_000) == 100
    assert accounts.claim("b", TOPIC, GROUPS, 100, 65_536) == (80_000 - 200) // 8
