"""Back-pressure: what is held is bounded, and a partition that is stuck starves no other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kjobs.core.buffer import Bounds, Buffer
from kjobs.core.partition import Partition
from tests.core.record import FakeRecord


def partitions(count: int) -> list[Partition]:
    return [Partition(("q", number), 0, None, "") for number in range(count)]


def fill(partition: Partition, count: int, size: int = 1) -> None:
    first = partition.next_offset
    partition.feed([FakeRecord(first + n, text=b"x" * size) for n in range(count)])


def drain(partition: Partition, count: int) -> None:
    for entry in [entry for entry in partition.order if not entry.done][:count]:
        partition.finish(entry)


def test_the_room_is_what_is_left() -> None:
    buffer, (one, two) = Buffer(Bounds(records=100)), partitions(2)
    assert buffer.room([one, two]) == 100
    fill(one, 30)
    assert buffer.room([one, two]) == 70
    fill(two, 90)
    assert buffer.room([one, two]) == 0


def test_bytes_fill_the_buffer_as_records_do() -> None:
    buffer, mine = Buffer(Bounds(records=100, size=1000)), partitions(1)
    fill(mine[0], 9, 111)
    assert buffer.room(mine) == 91
    fill(mine[0], 1, 1)
    assert buffer.room(mine) == 0
    buffer.pause(mine, 0.0)
    assert buffer.pause(mine, 1.0) == mine
    drain(mine[0], 5)
    assert buffer.resume(mine, 2.0) == mine


def test_a_stuck_partition_is_paused_and_the_others_go_on() -> None:
    buffer, all_of_them = Buffer(Bounds(records=100)), partitions(4)
    stuck, *others = all_of_them
    fill(stuck, 100)
    buffer.pause(all_of_them, 0.0)
    assert buffer.pause(all_of_them, 0.2) == [stuck]
    assert buffer.room(all_of_them) == 75
    for now in range(1, 50):
        for other in others:
            fill(other, 20)
        assert not buffer.pause(all_of_them, float(now))
        assert not buffer.resume(all_of_them, float(now))
        for other in others:
            drain(other, 20)
    drain(stuck, 87)
    assert buffer.resume(all_of_them, 60.0) == []
    drain(stuck, 1)
    assert buffer.resume(all_of_them, 60.0) == [stuck]


def test_a_pause_lasts_a_while_so_that_prefetched_records_are_not_thrown_away_for_nothing() -> None:
    buffer, mine = Buffer(Bounds(records=10, patience=0.2)), partitions(1)
    fill(mine[0], 10)
    buffer.pause(mine, 0.0)
    buffer.pause(mine, 0.2)
    drain(mine[0], 10)
    assert buffer.resume(mine, 0.39) == ()
    assert buffer.resume(mine, 0.4) == mine


def test_a_partition_whose_commits_are_nearly_full_is_paused_until_they_are_not() -> None:
    buffer, mine = Buffer(Bounds(records=10_000)), partitions(1)
    (crowded,) = mine
    fill(crowded, 5000)
    for entry in [entry for entry in crowded.order if (entry.offset * entry.offset + 1) % 7 < 4]:
        crowded.finish(entry)
    crowded.snapshot()
    crowded.fullness = 0.76
    assert buffer.pause(mine, 0.0) == mine
    crowded.fullness = 0.4
    assert buffer.resume(mine, 5.0) == []
    crowded.fullness = 0.37
    drain(crowded, 4000)
    assert buffer.resume(mine, 5.0) == mine


def test_full_commits_of_a_partition_with_nothing_left_are_no_reason() -> None:
    buffer, mine = Buffer(Bounds()), partitions(1)
    mine[0].fullness = 1.0
    assert buffer.pause(mine, 0.0) == []
    fill(mine[0], 1)
    assert buffer.pause(mine, 0.0) == mine
    assert buffer.resume(mine, 5.0) == []
    drain(mine[0], 1)
    mine[0].fullness = 1.0
    assert buffer.resume(mine, 5.0) == mine


def test_a_partition_without_traffic_is_no_room_for_the_others() -> None:
    buffer, all_of_them = Buffer(Bounds(records=99)), partitions(3)
    stuck, slow, _idle = all_of_them
    fill(stuck, 99)
    buffer.pause(all_of_them, 0.0)
    assert buffer.pause(all_of_them, 0.2) == [stuck]
    for turn in range(100):
        fill(slow, buffer.room(all_of_them))
        buffer.pause(all_of_them, 1.0 + turn / 100)
        if slow.paused:
            break
    assert stuck.count + slow.count <= 2 * 99
    assert slow.paused


def test_partitions_that_get_stuck_one_after_the_other_do_not_add_up() -> None:
    buffer, all_of_them = Buffer(Bounds(records=10_000, size=1000)), partitions(10)
    now = 0.0
    for partition in all_of_them:
        while not partition.paused and buffer.room(all_of_them):
            fill(partition, 1, 100)
        for _ in range(2):
            buffer.pause(all_of_them, now := now + 0.2)
    assert sum(partition.size for partition in all_of_them) <= 2 * 1000


steps = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 60), st.integers(0, 60), st.floats(0, 1)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(5, 200), steps)
def test_never_are_more_than_twice_the_bounds_held(
    count: int, records: int, steps: list[tuple[int, int, int, float]]
) -> None:
    buffer, mine = Buffer(Bounds(records=records)), partitions(count)
    now = 0.0
    for which, fetched, finished, pause in steps:
        now += pause
        target = mine[which % count]
        if not target.paused:
            fill(target, min(fetched, buffer.room(mine)))
        drain(mine[finished % count], finished)
        buffer.pause(mine, now)
        buffer.resume(mine, now)
        assert sum(partition.count for partition in mine) <= 2 * records


@given(st.integers(1, 5), st.integers(1, 50), st.lists(st.integers(0, 4), max_size=30))
def test_nothing_stays_paused_that_was_drained(count: int, records: int, filled: list[int]) -> None:
    buffer, mine = Buffer(Bounds(records=records)), partitions(count)
    now = 0.0
    for which in filled:
        fill(mine[which % count], min(20, buffer.room(mine)))
        buffer.pause(mine, now := now + 0.2)
    for partition in mine:
        drain(partition, partition.count)
    buffer.resume(mine, now + 1)
    assert not any(partition.paused for partition in mine)
    assert buffer.room(mine) == records
