"""One partition: lanes, the watermark, and what a commit tells the next owner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.checkpoint import Checkpoint, Trial, decode
from kjobs.core.partition import Entry, Partition
from tests.core.record import FakeRecord

PLACE = ("kjobs.q", 3)


def partition(offset: int = 0, restored: Checkpoint | None = None, metadata: int = 4000) -> Partition:
    return Partition(PLACE, offset, restored, "topic-id", metadata)


def records(keys: str, first: int = 0) -> list[FakeRecord]:
    """A record for each letter; ``-`` has no key."""
    return [
        FakeRecord(first + n, text=b"x" * (n + 1), by=None if key == "-" else key.encode())
        for n, key in enumerate(keys)
    ]


def told(owner: Partition) -> tuple[int, Checkpoint]:
    """What the next owner gets to know."""
    offset, metadata = owner.snapshot()
    found = decode(offset, metadata)
    assert found is not None
    return offset, found


def offsets(entries: list[Entry]) -> list[int]:
    return [entry.offset for entry in entries]


# --- lanes --------------------------------------------------------------------------------------------


def test_the_head_of_a_lane_is_its_oldest_call_and_calls_without_a_key_have_none() -> None:
    owner = partition()
    assert offsets(owner.feed(records("aab-a-b"))) == [0, 2, 3, 5]
    assert offsets(owner.feed(records("ac", 7))) == [8]


def test_finishing_a_head_gives_the_next_of_its_lane() -> None:
    owner = partition()
    heads = owner.feed(records("aba-"))
    following = owner.finish(heads[0])
    assert following is not None
    assert following.offset == 2
    assert owner.finish(following) is None
    assert owner.finish(heads[2]) is None
    assert offsets(owner.feed(records("ab", 4))) == [4], "lane a is empty, and lane b is not"


def test_a_record_that_comes_again_is_not_taken_again() -> None:
    owner = partition()
    owner.feed(records("ab"))
    assert offsets(owner.feed(records("abc"))) == [2]
    assert owner.count == 3


def test_an_empty_key_is_a_key() -> None:
    owner = partition()
    heads = owner.feed([FakeRecord(0, by=b""), FakeRecord(1, by=b""), FakeRecord(2, by=None)])
    assert offsets(heads) == [0, 2]


def test_records_may_have_no_value() -> None:
    owner = partition()
    (head,) = owner.feed([FakeRecord(0, text=None)])
    assert (head.size, owner.size, owner.count) == (0, 0, 1)


# --- the watermark ------------------------------------------------------------------------------------


def test_the_watermark_is_the_lowest_unfinished_call() -> None:
    owner = partition()
    heads = owner.feed(records("abcde"))
    for finished, watermark in ((3, 0), (1, 0), (0, 2), (2, 4), (4, 5)):
        owner.finish(heads[finished])
        assert owner.watermark() == watermark


def test_offsets_that_the_log_skips_hold_nothing_up() -> None:
    owner = partition()
    heads = owner.feed([FakeRecord(2), FakeRecord(7)])
    assert owner.watermark() == 2
    owner.finish(heads[0])
    assert owner.watermark() == 7
    owner.finish(heads[1])
    assert owner.watermark() == 8
    owner.skip_to(12)
    assert owner.watermark() == 12
    owner.skip_to(5)
    assert owner.watermark() == 12, "the end of the log is never behind what was fetched"


def test_the_end_of_the_log_does_not_pass_an_unfinished_call() -> None:
    owner = partition()
    owner.feed(records("a"))
    owner.skip_to(9)
    assert owner.watermark() == 0


def test_it_knows_when_there_is_something_new_to_commit() -> None:
    owner = partition()
    assert owner.dirty, "the first commit is what confirms an assignment"
    owner.snapshot()
    (head,) = owner.feed(records("a"))
    assert not owner.dirty
    owner.retry(head, 5.0)
    assert owner.dirty
    owner.snapshot()
    owner.finish(head)
    assert owner.dirty
    owner.snapshot()
    owner.skip_to(9)
    assert owner.dirty


def test_count_and_size_are_of_what_is_unfinished() -> None:
    owner = partition()
    heads = owner.feed(records("abc"))
    assert (owner.count, owner.size) == (3, 6)
    owner.finish(heads[1])
    assert (owner.count, owner.size) == (2, 4)


# --- the next owner -----------------------------------------------------------------------------------


def test_what_finished_behind_a_stuck_call_is_let_go() -> None:
    owner = partition()
    (stuck,) = owner.feed(records("-"))
    for first in range(1, 50_001, 500):
        for entry in owner.feed(records("-" * 500, first)):
            owner.finish(entry)
        found = told(owner)
        assert found[0] == 0
        assert (found[1].unfinished, found[1].high) == (((0, 1),), first + 500)
        assert len(owner.order) < 2500
    owner.finish(stuck)
    assert told(owner)[0] == 50_001


def test_a_checkpoint_tells_what_is_unfinished_and_how_often_it_failed() -> None:
    owner = partition()
    heads = owner.feed(records("abcdef"))
    for n in (1, 2, 4):
        owner.finish(heads[n])
    heads[3].failures = 2
    owner.retry(heads[3], 1234.5)
    offset, found = told(owner)
    assert offset == 0
    assert found.unfinished == ((0, 1), (3, 1))
    assert found.high == 5
    assert found.trials == (Trial(3, 2, 1_234_500),)
    assert (found.topic_id, found.clean) == ("topic-id", False)


def test_a_call_that_succeeded_at_last_is_no_trial_any_more() -> None:
    owner = partition()
    head, _ = owner.feed(records("ab"))
    head.failures = 1
    owner.retry(head, 5.0)
    owner.finish(head)
    assert told(owner)[1].trials == ()


@pytest.mark.parametrize("times", [1, 2, 5])
def test_the_epoch_rises_with_every_owner(times: int) -> None:
    owner = partition()
    for _ in range(times):
        offset, found = told(owner)
        owner = partition(offset, found)
    assert owner.epoch == times + 1


def test_a_worker_that_forgot_nothing_says_so() -> None:
    owner = partition()
    offset, metadata = owner.snapshot(clean=True)
    found = decode(offset, metadata)
    assert found is not None
    assert found.clean


steps = st.lists(
    st.tuples(st.sampled_from(["fetch", "finish", "fail", "hand over"]), st.integers(0, 40)), max_size=60
)


@given(st.text("abc-", min_size=1, max_size=30), steps)
def test_no_hand_over_loses_repeats_or_forgets(keys: str, steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: the partition knows what a plain set of facts knows."""
    log = records(keys)
    finished: set[int] = set()
    trials: dict[int, tuple[int, float]] = {}
    owner, held = partition(), dict[int, Entry]()
    fetched = 0

    def take(until: int) -> None:
        nonlocal fetched
        start = min(fetched, until)
        owner.feed(log[start:until])
        fetched = max(fetched, until)
        held.update({entry.offset: entry for entry in owner.order if not entry.done})

    for step, number in steps:
        heads = [
            n
            for n, entry in held.items()
            if not any(other < n and entry.key is not None and held[other].key == entry.key for other in held)
        ]
        match step:
            case "fetch":
                take(min(len(log), fetched + number % 7))
            case "finish" if heads:
                chosen = heads[number % len(heads)]
                owner.finish(held.pop(chosen))
                finished.add(chosen)
                trials.pop(chosen, None)
            case "fail" if heads:
                chosen = heads[number % len(heads)]
                entry = held[chosen]
                entry.failures += 1
                owner.retry(entry, 100.0 + number)
                trials[chosen] = (entry.failures, 100.0 + number)
            case "hand over":
                offset, found = told(owner)
                assert offset <= min(held, default=fetched)
                owner, held, fetched = partition(offset, found), {}, offset
    take(len(log))
    assert set(held) == set(range(len(log))) - finished
    known = {n: (entry.failures, entry.due) for n, entry in held.items() if entry.failures}
    assert known == trials
    assert owner.watermark() == min(held, default=len(log))


def test_what_does_not_fit_into_a_commit_runs_again_and_nothing_is_skipped() -> None:
    owner = partition(metadata=120)
    heads = owner.feed(records("-" * 2000))
    finished = {n * n for n in range(1, 44)}
    for n in finished:
        owner.finish(heads[n])
    offset, metadata = owner.snapshot()
    assert len(metadata) <= 120
    assert 0.8 < owner.fullness <= 1.0
    heir = partition(offset, decode(offset, metadata))
    heir.feed(records("-" * 2000))
    again = {entry.offset for entry in heir.order}
    assert set(range(2000)) - finished <= again
    assert finished - again, "some of it was told"
    assert finished & again, "and some was not"


def test_a_partition_opens_when_it_is_confirmed_and_its_store_is_known() -> None:
    partition = Partition(("q", 0), 0, None, "")
    assert not partition.may_open
    partition.stored.caught_up = True
    assert not partition.may_open, "whoever had it may have it still"
    partition.confirmed = True
    assert partition.may_open
    partition.leaving = True
    assert not partition.may_open
