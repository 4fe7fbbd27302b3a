"""The slots: every call once, no call waits for a neighbour, chains, what is taken back."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from kjobs.core.outcome import OK, Discarded, Outcome
from kjobs.core.partition import Entry
from kjobs.worker import executor as module
from kjobs.worker.pace import Pace
from tests.worker.owner import Gate, chained, done, entries, owned, partition


def offsets(found: list[Entry]) -> list[int]:
    return [entry.offset for entry in found]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot's turn ends by the clock; here it lasts until a test says otherwise."""
    monkeypatch.setattr(module, "_TURN", 1000.0)


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_every_entry_runs_once_and_comes_back_with_its_outcome(slots: int) -> None:
    ran: list[int] = []

    def run(entry: Entry) -> Outcome:
        ran.append(entry.offset)
        return OK if entry.offset % 2 else Discarded(str(entry.offset))

    with owned(run, slots=slots) as owner:
        for batch in (entries(1), entries(100), entries(3)):
            del ran[:], owner.finished[:]
            owner.executor.start(batch)
            owner.gather(len(batch))
            assert sorted(ran) == sorted(offsets(owner.finished)) == offsets(batch)
            assert all(
                e.outcome is OK if e.offset % 2 else e.outcome == Discarded(str(e.offset)) for e in batch
            )
        assert owner.returned == []


def test_one_slot_runs_calls_in_the_order_they_were_handed_out() -> None:
    with owned(done, slots=1) as owner:
        batch = entries(50)
        owner.executor.start(batch[:20])
        owner.executor.start(batch[20:])
        assert offsets(owner.gather(50)) == list(range(50))


def test_what_goes_first_goes_before_what_waits_and_in_its_own_order() -> None:
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        if entry.offset == 0:
            gate.pass_through(entry)
        return OK

    with owned(run, slots=1) as owner:
        held, *others = entries(9)
        owner.executor.start([held])
        owner.until(lambda: gate.inside)
        owner.executor.start(others[:3])
        owner.executor.start(others[3:5], first=True)
        owner.executor.start(others[5:6])
        owner.executor.start(others[6:8], first=True)
        gate.open()
        assert offsets(owner.gather(9)) == [0, 7, 8, 4, 5, 1, 2, 3, 6]


def test_what_goes_first_is_taken_back_like_all_others() -> None:
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        gate.pass_through(entry)
        return OK

    with owned(run, slots=1) as owner:
        batch = entries(4)
        owner.executor.start(batch[:1])
        owner.until(lambda: gate.inside)
        owner.executor.start(batch[1:2])
        owner.executor.start(batch[2:], first=True)
        assert offsets(owner.executor.recall(None)) == [2, 3, 1]
        gate.open()
        owner.gather(1)


def test_a_slow_call_delays_no_other_while_a_slot_is_free() -> None:
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        if entry.offset < 3:
            gate.pass_through(entry)
        return OK

    with owned(run, slots=4) as owner:
        batch = entries(200)
        owner.executor.start(batch)
        assert sorted(offsets(owner.gather(197))) == list(range(3, 200))
        assert sorted(gate.inside) == [0, 1, 2]
        later = entries(50, batch[0].partition)
        owner.executor.start(later)
        owner.gather(247)
        gate.open()
        assert sorted(offsets(owner.gather(250))) == list(range(250))


@pytest.mark.parametrize("awake", [1, 2])
def test_slots_that_are_stuck_in_long_calls_do_not_count_as_awake(
    awake: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few slots may be awake: as long as there are others, a slow call delays none."""
    monkeypatch.setattr(Pace, "reading", lambda *_: None)
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        if entry.offset < 5:
            gate.pass_through(entry)
        return OK

    with owned(run, slots=6) as owner:
        owner.executor._pace.allowed = awake
        owner.executor.start(entries(100))
        assert sorted(offsets(owner.gather(95))) == list(range(5, 100))
        assert sorted(gate.inside) == [0, 1, 2, 3, 4]
        gate.open()
        owner.gather(100)


def test_calls_that_wait_are_taken_up_when_a_slot_becomes_free() -> None:
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        if entry.offset < 2:
            gate.pass_through(entry)
        return OK

    with owned(run, slots=2) as owner:
        owner.executor.start(entries(20))
        owner.until(lambda: len(gate.inside) == 2)
        for _ in range(5):
            owner.look()
        assert (owner.finished, owner.executor.waiting, owner.executor.starving) == ([], 18, False)
        gate.open()
        owner.gather(20)
        owner.until(lambda: owner.executor.starving)


def test_no_more_threads_than_slots() -> None:
    gate, names = Gate(), set[str]()

    def run(entry: Entry) -> Outcome:
        names.add(threading.current_thread().name)
        gate.pass_through(entry)
        return OK

    with owned(run, slots=3) as owner:
        owner.executor.start(entries(50))
        owner.until(lambda: len(gate.inside) == 3)
        for _ in range(20):
            owner.look()
        assert owner.executor.awake == len(gate.inside) == 3
        gate.open()
        owner.gather(50)
    assert names == {"kjobs-slot-0", "kjobs-slot-1", "kjobs-slot-2"}


# --- chains -------------------------------------------------------------------------------------------


def test_a_chain_is_run_by_one_slot_one_after_the_other() -> None:
    ran: list[tuple[int, int]] = []

    def run(entry: Entry) -> Outcome:
        ran.append((entry.offset, threading.get_ident()))
        return OK

    with owned(run, slots=4) as owner:
        batch = entries("aaaa")
        owner.executor.start([chained(batch)])
        assert offsets(owner.gather(4)) == [0, 1, 2, 3]
    assert [offset for offset, _ in ran] == [0, 1, 2, 3]
    assert len({thread for _, thread in ran}) == 1
    assert [entry.more for entry in batch] == [True, True, True, False]


def test_a_chain_ends_with_the_call_that_did_not_succeed() -> None:
    with owned(lambda entry: OK if entry.offset != 1 else Discarded("no")) as owner:
        batch = entries("aaaa")
        owner.executor.start([chained(batch)])
        owner.gather(2)
        for _ in range(5):
            owner.look()
        assert offsets(owner.finished) == [0, 1]
        assert not batch[1].more, "so its owner knows that the third was not begun"


@pytest.mark.parametrize("end", ["the partition goes", "the lease ends", "the turn is over"])
def test_a_slot_stops_in_the_middle_of_a_chain(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(entry: Entry) -> Outcome:
        if entry.offset == 1:
            if end == "the partition goes":
                entry.partition.open = False
            elif end == "the lease ends":
                owner.executor.lease(0.0)
            else:
                monkeypatch.setattr(module, "_TURN", -1.0)
        return OK

    with owned(run) as owner:
        batch = entries("aaaa")
        owner.executor.start([chained(batch)])
        owner.gather(2)
        for _ in range(5):
            owner.look()
        assert offsets(owner.finished) == [0, 1]
        assert [entry.more for entry in batch[:2]] == [True, False]
        assert owner.returned == [], "what was not begun was not handed out"


# --- what is taken back -------------------------------------------------------------------------------


def test_what_no_slot_has_begun_can_be_taken_back() -> None:
    gate = Gate()

    def run(entry: Entry) -> Outcome:
        gate.pass_through(entry)
        return OK

    with owned(run, slots=1) as owner:
        batch = entries(10)
        owner.executor.start(batch)
        owner.until(lambda: gate.inside)
        assert owner.executor.recall(None) == batch[1:]
        assert owner.executor.recall(None) == []
        gate.open()
        owner.gather(1)
        owner.executor.start(batch[5:7])
        assert offsets(owner.gather(3)) == [0, 5, 6]


def test_only_the_partitions_that_go_are_taken_back() -> None:
    gate, here, there = Gate(), partition(0), partition(1)
    blocker = entries(1, partition(2))

    def run(entry: Entry) -> Outcome:
        if entry is blocker[0]:
            gate.pass_through(entry)
        return OK

    with owned(run, slots=1) as owner:
        owner.executor.start(blocker)
        owner.until(lambda: gate.inside)
        mine, others = entries(3, here), entries(3, there)
        owner.executor.start([entry for pair in zip(mine, others, strict=True) for entry in pair])
        assert owner.executor.recall([here.place]) == mine
        gate.open()
        assert [entry.partition.place for entry in owner.gather(4)[1:]] == [there.place] * 3


def test_nothing_begins_after_the_end_of_the_lease() -> None:
    ran: list[int] = []

    def run(entry: Entry) -> Outcome:
        ran.append(entry.offset)
        return OK

    with owned(run) as owner:
        owner.executor.lease(0.0)
        batch = entries(50)
        owner.executor.start(batch)
        owner.until(lambda: len(owner.returned) == 50)
        assert ran == []
        assert Counter(offsets(owner.returned)) == Counter(range(50))


def test_nothing_of_a_partition_that_goes_begins() -> None:
    here, there = partition(0), partition(1)
    here.open = False
    with owned(done) as owner:
        mine, others = entries(20, here), entries(20, there)
        owner.executor.start([*mine, *others])
        owner.until(lambda: len(owner.returned) + len(owner.finished) == 40)
        assert sorted(offsets(owner.returned)) == offsets(mine)
        assert {entry.partition.place for entry in owner.returned} == {here.place}
        assert {entry.partition.place for entry in owner.finished} == {there.place}


# --- the owner sleeps ---------------------------------------------------------------------------------


def test_a_waiting_owner_is_woken_when_the_slots_run_out_of_calls() -> None:
    with owned(done, slots=1) as owner:
        for turn in range(20):
            owner.executor.start(entries(1))
            while len(owner.finished) <= turn:
                owner.executor.wait(30.0)  # a wake-up that is lost would fail the test by its own time limit
                owner.finished += owner.executor.collect()


def test_a_waiting_owner_can_be_woken_by_anybody() -> None:
    with owned(done) as owner:
        woken = threading.Event()

        def sleep() -> None:
            owner.executor.wait(60.0)
            woken.set()

        thread = threading.Thread(target=sleep, daemon=True)
        thread.start()
        deadline = 3000
        while not woken.is_set() and deadline:
            owner.executor.tell()
            woken.wait(0.01)
            deadline -= 1
        assert woken.is_set()
        thread.join()


def test_a_stopped_executor_ends_its_slots() -> None:
    with owned(done, slots=4) as owner:
        owner.executor.start(entries(100))
        owner.gather(100)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("kjobs-slot")]
    assert threads
    assert not any(thread.is_alive() for thread in threads)
