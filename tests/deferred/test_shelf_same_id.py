"""A call is put in again, cancelled or moved while its earlier version is in hand: every order of things.

An enqueuer writes, the owner writes, the owner's write is acknowledged, and both records are read: in every
order that can be, with the scheduler looking after each step or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest
from msgspec.structs import replace

from kjobs.core.deferred import End, Row, Verdict
from kjobs.core.events import CancelAsked
from tests.deferred.bench import Bench, cancel, compacted, live, move, without_offset
from tests.deferred.calls import free

#: The steps: the enqueuer and the owner write, the owner's write is acknowledged, a record is read.
CLIENT, OWNER, ACK, READ = "client", "owner", "ack", "read"


def orders() -> Iterator[tuple[str, ...]]:
    """Every order of the steps that can be."""

    def longer(done: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(done) == 5:
            yield done
            return
        written = done.count(CLIENT) + done.count(OWNER)
        if CLIENT not in done:
            yield from longer((*done, CLIENT))
        if OWNER not in done:
            yield from longer((*done, OWNER))
        if OWNER in done and ACK not in done:
            yield from longer((*done, ACK))
        if done.count(READ) < written:
            yield from longer((*done, READ))

    yield from longer(())


ORDERS = sorted(set(orders()))


class Story:
    """One order of things.

    Args:
        order: of the steps.
        client: what the enqueuer writes.
        retry: the attempt failed, and is to be made again; or else it has ended.
        looks: the scheduler takes what is due after each step.
    """

    def __init__(self, order: tuple[str, ...], client: Row | End, *, retry: bool, looks: bool) -> None:
        self.order = order
        self.client = client
        self.retry = retry
        self.looks = looks
        self.bench = Bench()
        self.bench.written(free("a", value=b"old"))
        (self.old,) = self.bench.due()
        self.told: list[Row] = []
        #: What would have to be so if everybody were gone now: the log, and the index, after each step.
        self.moments: list[Bench] = []

    def play(self) -> Bench:
        bench = self.bench
        for step in self.order:
            match step:
                case "client":
                    bench.append(self.client)
                case "owner":
                    self._owner()
                case "ack":
                    bench.acknowledge()
                case "read":
                    bench.read(1)
            self._answer()
            if self.looks:
                self.told += bench.due()
            self.moments += [bench.successor(warm=warm) for warm in (False, True)]
        for _ in range(4):
            bench.settle()
            self._answer()
            self.told += bench.due()
        return bench

    def _owner(self) -> None:
        """The attempt has ended: it is to be made again, unless somebody does not want that."""
        cancelled = any(isinstance(event, CancelAsked) for event in self.bench.asked)
        if self.retry and not cancelled:
            self.bench.defer(self.old, -1, failures=1)
        else:
            self.bench.order(End(id="a", of=self.old.offset))

    def _answer(self) -> None:
        """The scheduler says that the attempt has begun."""
        for event in self.bench.asked:
            if event.request and event not in self.answered:
                self.answered.append(event)
                self.bench.shelf.answer(event.request, Verdict.STARTED)

    @property
    def answered(self) -> list[object]:
        return self.__dict__.setdefault("_answered", [])


@pytest.mark.parametrize("looks", [False, True], ids=["", "looking"])
@pytest.mark.parametrize("retry", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize("due", [-5, 5], ids=["due", "later"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_call_that_is_put_in_again_while_it_runs_is_not_lost(
    order: tuple[str, ...], due: int, retry: bool, looks: bool
) -> None:
    new = free("a", due, value=b"new", headers=[("h", b"1")])
    story = Story(order, new, retry=retry, looks=looks)
    bench = story.play()
    known = bench.waiting("a")
    assert known == without_offset(new)
    assert [row.value for row in story.told].count(b"new") == (1 if due < 0 else 0)
    bench.assert_the_log_says_so()
    # And whoever had taken over on the way would have found it, and made the log say so.
    for step, successor in enumerate(story.moments):
        if CLIENT in order[: step // 2 + 1]:
            successor.settle()
            assert successor.waiting("a") == without_offset(new), (
                f"lost by who takes over after step {step / 2}"
            )
            successor.assert_the_log_says_so()


@pytest.mark.parametrize("looks", [False, True], ids=["", "looking"])
@pytest.mark.parametrize("retry", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_new_call_ends_with_its_own_end(order: tuple[str, ...], retry: bool, looks: bool) -> None:
    story = Story(order, free("a", -5, value=b"new"), retry=retry, looks=looks)
    bench = story.play()
    (new,) = [row for row in story.told if row.value == b"new"]
    bench.finish(new)
    assert bench.waiting("a") is None
    bench.assert_the_log_says_so()
    for warm in (False, True):
        successor = bench.successor(warm=warm)
        successor.settle()
        assert not successor.due(), "it comes back for the next owner"


@pytest.mark.parametrize("request_id", ["", "r"], ids=["", "asked"])
@pytest.mark.parametrize("looks", [False, True], ids=["", "looking"])
@pytest.mark.parametrize("retry", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_call_that_is_cancelled_while_it_runs_is_not_tried_again(
    order: tuple[str, ...], retry: bool, looks: bool, request_id: str
) -> None:
    story = Story(order, cancel("a", request_id), retry=retry, looks=False)
    bench = story.play()
    assert bench.waiting("a") is None
    assert not story.told
    bench.assert_the_log_says_so()
    if request_id:
        assert bench.verdict("r") in (Verdict.STARTED, Verdict.GONE, Verdict.CANCELLED)
    for step, successor in enumerate(story.moments):
        if CLIENT in order[: step // 2 + 1]:
            successor.settle()
            assert successor.waiting("a") is None, f"it comes back for who takes over after step {step / 2}"
            successor.assert_the_log_says_so()


@pytest.mark.parametrize("looks", [False, True], ids=["", "looking"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_call_that_is_moved_while_it_ends_does_not_come_back(order: tuple[str, ...], looks: bool) -> None:
    story = Story(order, move("a", 9, "r"), retry=False, looks=looks)  # type: ignore[arg-type]
    bench = story.play()
    assert bench.waiting("a") is None
    assert bench.verdict("r") in (Verdict.STARTED, Verdict.GONE)
    bench.assert_the_log_says_so()


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_of_two_calls_put_in_again_the_last_one_counts(order: tuple[str, ...]) -> None:
    story = Story(order, free("a", 5, value=b"new"), retry=False, looks=True)
    bench = story.play()
    bench.append(free("a", 7, value=b"newest"))
    bench.settle()
    assert bench.waiting("a") == without_offset(free("a", 7, value=b"newest"))
    bench.assert_the_log_says_so()


def test_the_orders_are_all_there() -> None:
    def can_be(order: tuple[str, ...]) -> bool:
        written = [sum(step in (CLIENT, OWNER) for step in order[:n]) for n in range(5)]
        read = [order[:n].count(READ) for n in range(5)]
        reads = all(read[n] < written[n] for n in range(5) if order[n] == READ)
        return reads and order.index(OWNER) < order.index(ACK)

    steps = (CLIENT, OWNER, ACK, READ, READ)
    assert sorted(order for order in set(permutations(steps)) if can_be(order)) == ORDERS


def test_a_reader_by_the_rule_is_not_fooled() -> None:
    """The reference that the others are measured by."""
    old, new = (replace(free("a", due), offset=offset) for due, offset in ((0, 0), (5, 1)))
    end = End(id="a", of=0, owner=(1, "w"), offset=2)
    assert live([old, new, end]) == {"a": new}
    assert live(compacted([old, new, end])) == {}
    assert live([old, end]) == {}
