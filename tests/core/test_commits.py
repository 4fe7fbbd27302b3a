"""The commit under way: what its answer proves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.commits import Commits, Rhythm
from kjobs.core.partition import Partition

ONE, TWO = ("q", 0), ("q", 1)


def partition(place: tuple[str, int] = ONE) -> Partition:
    return Partition(place, 0, None, "")


def test_an_answer_lets_calls_begin_until_the_lease_after_the_sending() -> None:
    commits, mine = Commits(Rhythm(lease=8.0)), partition()
    assert [place for place, _, _ in commits.due([mine], 100.0)] == [ONE]
    answered = commits.answered(ONE)
    assert answered is not None
    assert answered.partition is mine
    assert commits.leased(answered) == 108.0


def test_an_answer_is_taken_once_and_for_what_was_asked() -> None:
    commits = Commits(Rhythm())
    commits.due([partition()], 100.0)
    assert commits.answered(TWO) is None
    assert commits.answered(ONE) is not None
    assert commits.answered(ONE) is None


def test_what_is_answered_about_a_partition_that_went_proves_nothing() -> None:
    commits = Commits(Rhythm())
    commits.due([partition()], 100.0)
    commits.forget(ONE)
    assert commits.answered(ONE) is None


def test_a_partition_that_went_does_not_hold_up_the_others() -> None:
    commits, other = Commits(Rhythm()), partition(TWO)
    commits.due([partition(), other], 100.0)
    commits.forget(ONE)
    assert commits.due([other], 101.0) == []
    assert commits.answered(TWO) is not None
    assert commits.due([other], 101.0)


def test_nothing_is_committed_where_there_is_nothing() -> None:
    assert Commits(Rhythm()).due([], 100.0) == []


def test_urgency_ends_with_the_commit() -> None:
    commits, mine = Commits(Rhythm()), partition()
    commits.due([mine], 100.0)
    commits.answered(ONE)
    mine.dirty = commits.urgent = True
    assert commits.due([mine], 100.04) == []
    assert commits.due([mine], 100.06)
    commits.answered(ONE)
    mine.dirty = True
    assert commits.due([mine], 100.2) == []
    assert commits.due([mine], 100.4)


@given(st.lists(st.tuples(st.floats(0.01, 7), st.booleans()), max_size=40))
def test_no_answer_is_worth_more_than_the_oldest_commit_it_may_be_about(
    steps: list[tuple[float, bool]],
) -> None:
    rhythm = Rhythm()
    commits, mine = Commits(rhythm), partition()
    now, unanswered = 100.0, list[float]()
    for pause, answer in steps:
        now += pause
        if answer and unanswered:
            found = commits.answered(ONE)
            if found is not None:
                assert commits.leased(found) == min(unanswered) + rhythm.lease
                unanswered.clear()
        if commits.due([mine], now):
            unanswered.append(now)
