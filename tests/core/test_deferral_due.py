"""Delayed calls become due: at once without an order, and behind what is in the queue with one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.commands import Start
from kjobs.core.deferred import QUEUED
from kjobs.core.events import Skipped
from tests.core.shell import HERE, THERE
from tests.core.storing import LONG, StoreShell, later, queued, row_in, stored

# --- without an order ---------------------------------------------------------------------------------


def test_a_call_without_a_key_starts_at_once_and_first() -> None:
    shell = stored()
    shell.put_in("x")
    shell.fetch("--")
    (start,) = shell.due("x", end=100)
    assert isinstance(start, Start)
    assert (start.first, start.entries) == (True, [shell.out["x"]])
    assert shell.out["x"].row is shell.kept["x"]


def test_what_is_handed_out_together_is_handed_out_in_that_order() -> None:
    shell = StoreShell()
    shell.put_in("x")
    shell.put_in("y", "b")
    shell.assign(confirm=False)
    shell.fetch("-a")
    shell.due("x", "y", end=2)
    assert shell.running == []
    shell.tell()
    shell.confirm()
    assert shell.running == ["x", "y", 0, 1]


def test_a_relaxed_call_starts_at_once_though_its_key_is_busy() -> None:
    shell = stored()
    shell.put_in("x", "a", relaxed=True)
    shell.fetch("aa")
    shell.due("x", end=100)
    assert shell.running == [0, "x"]
    shell.finish("x")
    assert shell.running == [0], "1 waits for 0 and for nothing else"
    shell.acknowledge()
    shell.finish(0)
    assert shell.running == [1]


def test_calls_of_the_store_are_no_offsets_of_the_queue() -> None:
    shell = stored()
    shell.put_in("x")
    shell.due("x")
    shell.fetch("--")
    assert shell.commit()[0] == 0
    shell.finish(0, 1)
    assert shell.commit()[0] == 2, "the watermark does not wait for x"
    assert shell.scheduler.held == 1


# --- in the order of a key ----------------------------------------------------------------------------


def test_a_keyed_call_comes_behind_what_was_in_the_queue_when_it_was_due() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("aa")
    shell.due("x", end=2)
    shell.fetch("a")
    shell.run()
    shell.acknowledge()
    shell.run()
    assert shell.order == [0, 1, "x", 2]


def test_it_takes_its_place_between_two_records_when_the_queue_is_read_that_far() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("a")
    shell.due("x", end=3)
    shell.fetch("aaaa")  # 1 and 2 were there when it was due, 3 and 4 were not
    for name in (0, 1, 2):
        assert shell.running == [name]
        shell.finish(name)
    assert shell.running == ["x"]
    shell.finish("x")
    shell.acknowledge()
    shell.run()
    assert shell.order == [0, 1, 2, "x", 3, 4]


@given(st.text("ab-", min_size=1, max_size=24), st.integers(0, 24), st.lists(st.integers(1, 5), max_size=24))
def test_wherever_the_log_ended_and_however_it_is_read_it_runs_in_that_place(
    keys: str, end: int, batches: list[int]
) -> None:
    end = min(end, len(keys))
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x", end=end)
    at = 0
    for size in [*batches, len(keys)]:
        shell.fetch(keys[at : at + size])
        at += size
    while shell.out or shell.orders:
        shell.run()
        shell.acknowledge()
    mine = [name for name in shell.order if name == "x" or keys[int(name)] == "a"]
    before = [n for n in range(end) if keys[n] == "a"]
    after = [n for n in range(end, len(keys)) if keys[n] == "a"]
    assert mine == [*before, "x", *after]
    assert shell.commit()[0] == len(keys)


def test_a_log_that_has_nothing_more_up_to_its_end_counts_as_read() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x", end=7)
    assert shell.running == []
    shell.tell(Skipped(HERE, 6))
    assert shell.running == []
    shell.tell(Skipped(HERE, 7))
    assert shell.running == ["x"]


def test_an_appointment_before_a_record_that_is_passed_over_is_kept() -> None:
    shell = StoreShell()
    shell.put_in("x", "a")
    shell.assign(sources=[1])
    shell.due("x", end=1)
    shell.fetch("aaa")
    shell.run()
    shell.acknowledge()
    shell.run()
    assert shell.order == [0, "x", 2]


def test_of_several_that_are_due_together_the_earlier_comes_first() -> None:
    shell = stored()
    for name in "xyz":
        shell.put_in(name, "a")
    shell.due("x", "y", end=2)
    shell.due("z", end=2)
    shell.fetch("aaa")
    while shell.out or shell.orders:
        shell.run()
        shell.acknowledge()
    assert shell.order == [0, 1, "x", "y", "z", 2]


def test_turns_rise_above_all_that_were_ever_given() -> None:
    shell = StoreShell()
    for name in "xy":
        shell.put_in(name, "a")
    shell.assign(last_turn=41)
    shell.due("x", "y", end=0)
    assert shell.out["x"].rank == (0, 42)
    assert shell.out["x"].next is not None
    assert shell.out["x"].next.rank == (0, 43)


def test_the_other_partition_has_ends_of_its_own() -> None:
    shell = stored()
    shell.assign(THERE, 100)
    shell.put_in("x", "a")
    shell.due("x", end=101, place=THERE)
    shell.fetch("-")
    assert shell.running == [0]
    shell.fetch("-", THERE)
    assert set(shell.running) == {0, 100, "x"}


# --- of a key that is in the store --------------------------------------------------------------------


def test_a_due_call_whose_key_is_in_the_store_is_parked_with_its_place() -> None:
    shell = stored()
    shell.put_in("x", "a", failures=0)
    shell.fetch("a")
    shell.finish(0, outcome=later())
    shell.acknowledge()
    before = shell.kept["x"]
    shell.due("x", end=1)
    (order,) = shell.orders
    row = row_in(order)
    assert (row.id, row.rank, row.of) == ("x", (1, 1), before.offset)
    assert row.due_ms <= shell.now * 1000
    assert shell.running == []
    shell.acknowledge()
    shell.fetch("a")
    shell.acknowledge()
    ranks = {name: row.rank for name, row in shell.kept.items()}
    assert sorted(ranks, key=lambda name: ranks[name] or (0, 0)) == [queued(0), "x", queued(1)]
    assert shell.scheduler.held == 0


def test_a_due_call_behind_a_head_that_goes_to_the_store_is_parked_behind_it() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("a")
    shell.due("x", end=1)
    shell.fetch("a")
    shell.finish(0, outcome=later())
    assert shell.deferring == [queued(0), "x", queued(1)]
    assert [row_in(order).rank for order in shell.orders] == [(0, QUEUED), (1, 1), (1, QUEUED)]
    shell.acknowledge()
    assert shell.scheduler.held == 0
    assert shell.commit()[0] == 2


def test_a_due_call_waits_for_its_place_though_its_key_goes_to_the_store_meanwhile() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("a")
    shell.due("x", end=3)
    shell.finish(0, outcome=later())
    shell.acknowledge()
    assert shell.orders == []
    shell.fetch("aaa")
    assert shell.deferring == [queued(1), queued(2), "x", queued(3)]


# --- when nothing may begin ---------------------------------------------------------------------------


def test_what_is_due_in_a_partition_that_is_not_confirmed_waits() -> None:
    shell = StoreShell()
    shell.put_in("x")
    shell.put_in("y", "a")
    shell.assign(confirm=False)
    shell.due("x", "y", end=0)
    assert shell.take(Start) == []
    shell.tell()
    shell.confirm()
    assert shell.running == ["x", "y"]


def test_what_is_due_after_the_lease_waits_for_a_new_one() -> None:
    shell = stored()
    shell.put_in("x")
    shell.now += LONG
    shell.due("x")
    assert shell.running == []
    shell.live(1)
    assert shell.running == ["x"]


def test_a_worker_that_has_made_its_attempts_begins_no_due_call() -> None:
    shell = stored(attempts=2)
    for name in "xyz":
        shell.put_in(name)
    shell.due("x", "y", "z")
    assert shell.running == ["x", "y"]
    shell.finish("x", "y")
    assert shell.running == []
    assert shell.scheduler.attempts_left == 0


def test_an_attempt_at_a_due_call_that_was_not_begun_is_not_counted() -> None:
    shell = stored(attempts=1)
    shell.put_in("x")
    shell.due("x")
    shell.give_back("x")
    assert shell.running == ["x"]
    shell.finish("x")
    assert shell.scheduler.attempts_left == 0


def test_a_due_call_is_behind_what_was_fetched_after_the_store_had_looked() -> None:
    """What was written to the queue meanwhile may have begun already."""
    shell = StoreShell()
    shell.assign()
    shell.put_in("d", "k")
    shell.fetch("abc")
    shell.due("d", end=1)
    (entry,) = shell.scheduler.partitions[HERE].stored.rows.values()
    assert entry.rank is not None
    assert entry.rank[0] == 3
