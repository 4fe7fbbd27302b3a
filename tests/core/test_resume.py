"""Where a partition goes on: a new group, a known one, a gap, another topic."""

from __future__ import annotations

import pytest

from kjobs.core.checkpoint import Checkpoint, encode
from kjobs.core.resume import Resumption, resume

KNOWN = Checkpoint(high=120, unfinished=((100, 3),), epoch=4, topic_id="topic-one")


def note(watermark: int, checkpoint: Checkpoint = KNOWN) -> str:
    return encode(watermark, checkpoint)


@pytest.mark.parametrize("committed", [None, -1001, -1])
@pytest.mark.parametrize("metadata", [None, "", "garbage"])
def test_a_new_group_begins_at_the_first_record(committed: int | None, metadata: str | None) -> None:
    assert resume(committed, metadata, low=5, high=90) == Resumption(5)


def test_a_known_group_goes_on_with_what_it_knows() -> None:
    assert resume(100, note(100), low=0, high=500, topic_id="topic-one") == Resumption(100, KNOWN)


def test_the_first_offset_of_all_is_an_offset_like_others() -> None:
    assert resume(0, note(0), low=0, high=500) == Resumption(0, KNOWN)
    assert resume(0, note(0), low=3, high=500) == Resumption(3, KNOWN, gap=(0, 3))


@pytest.mark.parametrize("committed", [0, 5, 500])
def test_both_ends_of_the_log_are_inside(committed: int) -> None:
    assert resume(committed, None, low=0, high=500) == Resumption(committed)


@pytest.mark.parametrize("metadata", [None, "", "another client's note", note(99), note(100)[:-1]])
def test_metadata_that_is_not_ours_only_costs_the_map(metadata: str | None) -> None:
    assert resume(100, metadata, low=0, high=500, topic_id="topic-one") == Resumption(100)


def test_what_retention_removed_is_told_exactly() -> None:
    found = resume(100, note(100), low=130, high=500, topic_id="topic-one")
    assert found == Resumption(130, KNOWN, gap=(100, 130))
    assert resume(100, note(100), low=100, high=500).gap is None


@pytest.mark.parametrize("low", [0, 3])
def test_a_topic_made_anew_inherits_nothing(low: int) -> None:
    found = resume(100, note(100), low=low, high=500, topic_id="topic-two")
    assert found == Resumption(low, replaced=True)


def test_a_topic_shorter_than_the_commit_is_another_one() -> None:
    assert resume(100, note(100), low=0, high=99, topic_id="topic-one") == Resumption(0, replaced=True)
    assert resume(100, None, low=0, high=99) == Resumption(0, replaced=True)


def test_an_unknown_id_on_either_side_proves_nothing() -> None:
    nameless = Checkpoint(high=100, epoch=4)
    assert resume(100, note(100), low=0, high=500, topic_id="") == Resumption(100, KNOWN)
    assert resume(100, note(100, nameless), low=0, high=500, topic_id="topic-two") == Resumption(
        100, nameless
    )


def test_another_topic_is_not_told_as_a_gap() -> None:
    assert resume(100, note(100), low=130, high=500, topic_id="topic-two") == Resumption(130, replaced=True)
