"""The metadata of a commit: what is written is read again, and nothing else is taken for it."""

from __future__ import annotations

import itertools
import random
import string
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kjobs.core.checkpoint import LIMIT, Accused, Checkpoint, Suspected, Trial, decode, encode, runs

#: Kafka's own limit; a longer string fails the commit.
BROKERS_LIMIT = 4095

watermarks = st.integers(0, 2**62)
topic_ids = st.sampled_from(["", "aB3-_xyz0123456789AbCd"])


@st.composite
def checkpoints(draw: st.DrawFn, watermark: int, most: int = 6) -> Checkpoint:
    """A checkpoint as a partition could write it."""
    at = watermark
    unfinished: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(0, most))):
        # Two runs are never adjacent; the first begins at the watermark or above it.
        first = at + draw(st.integers(0 if not unfinished else 1, 50))
        length = draw(st.integers(1, 300))
        unfinished.append((first, length))
        at = first + length
    high = at + draw(st.integers(0, 1000))
    offsets = sorted(draw(st.sets(st.integers(watermark, high + 10), max_size=most)))
    trials = [
        Trial(
            offset,
            draw(st.integers(0, 99)),
            draw(st.integers(0, 2**43)),
            draw(st.sampled_from([0, 0, 0, 1, 2])),
        )
        for offset in offsets
    ]
    return Checkpoint(
        high=high,
        unfinished=tuple(unfinished),
        trials=tuple(trials),
        epoch=draw(st.integers(0, 10**6)),
        topic_id=draw(topic_ids),
        clean=draw(st.booleans()),
        suspected=draw(st.none() | suspected(watermark)),
    )


def suspected(watermark: int) -> st.SearchStrategy[Suspected]:
    accused = st.builds(
        lambda stored, offset, crashes, runs: Accused(stored, offset + watermark, crashes, runs),
        st.booleans(),
        st.integers(0, 10_000),
        st.integers(0, 9),
        st.booleans(),
    )
    return st.builds(
        lambda crashes, reach, accused: Suspected(crashes, watermark + reach, tuple(accused)),
        st.integers(1, 99),
        st.integers(0, 20_000),
        st.lists(accused, max_size=6),
    )


placed = watermarks.flatmap(lambda mark: st.tuples(st.just(mark), checkpoints(mark)))


@given(placed)
def test_a_checkpoint_is_read_as_it_was_written(placed: tuple[int, Checkpoint]) -> None:
    watermark, checkpoint = placed
    text = encode(watermark, checkpoint, limit=60_000)
    assert decode(watermark, text) == checkpoint


@given(placed)
def test_metadata_is_plain_text(placed: tuple[int, Checkpoint]) -> None:
    text = encode(*placed)
    assert set(text) <= set(string.printable) - set(string.whitespace)


#: As kjobs 0.1.0 wrote it. Workers of newer versions take partitions over from older ones.
GOLDEN = "k100402b0f59e7009veVL~%4UwC<XFflSSG&MFiI5|OLLu9N10{{XD0lfh-0?pOK%Ahm>0|3kc0izN"


def test_what_released_versions_wrote_is_read_for_ever() -> None:
    assert decode(1000, GOLDEN) == Checkpoint(
        high=1300,
        unfinished=((1000, 2), (1010, 1), (1200, 50)),
        trials=(Trial(1001, 3, 1_795_452_627_661), Trial(1205, 1, 1_795_452_630_000)),
        epoch=17,
        topic_id="aB3-_xyz0123456789AbCd",
        clean=True,
    )


# --- what is not ours ---------------------------------------------------------------------------------


@given(placed, st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_foreign_bytes_behind_it_are_no_matter(placed: tuple[int, Checkpoint], garbage: str) -> None:
    watermark, checkpoint = placed
    assert decode(watermark, encode(watermark, checkpoint, 60_000) + garbage) == checkpoint
    assert decode(watermark, encode(watermark, checkpoint, 60_000) + "\0" + garbage) == checkpoint


@given(placed, st.data())
def test_what_was_cut_is_no_checkpoint(placed: tuple[int, Checkpoint], data: st.DataObject) -> None:
    text = encode(*placed)
    assert decode(placed[0], text[: data.draw(st.integers(0, len(text) - 1))]) is None


@given(placed, watermarks)
def test_it_counts_for_its_own_watermark_only(placed: tuple[int, Checkpoint], other: int) -> None:
    assume(other % 2**32 != placed[0] % 2**32)
    assert decode(other, encode(*placed)) is None


@given(placed, st.data())
def test_a_changed_character_is_noticed(placed: tuple[int, Checkpoint], data: st.DataObject) -> None:
    watermark, checkpoint = placed
    text = encode(watermark, checkpoint)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "+-_ \0é"))
    changed = text[:at] + other + text[at + 1 :]
    assume(changed != text and (at >= 14 or text[at].lower() != other.lower()))
    # A number may be written in two ways ("0f" and "+f"): then it still is the same checkpoint.
    assert decode(watermark, changed) in (None, decode(watermark, text))


@given(
    watermarks,
    st.none() | st.text(max_size=200) | st.text("0123456789abcdefk", max_size=60).map("k1".__add__),
)
def test_foreign_text_is_no_checkpoint(watermark: int, text: str | None) -> None:
    assert decode(watermark, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "k1",
        "k1\0\0\0\0",
        "k10000",
        "k1000000000000",
        "k2" + "0" * 20,
        '{"member":"x"}',
        "k1" + "é" * 99,
    ],
)
def test_text_that_looks_like_one_is_none(text: str) -> None:
    assert decode(0, text) is None


# --- what does not fit --------------------------------------------------------------------------------


def made(seed: int, watermark: int, stretches: int, failures: int) -> tuple[int, Checkpoint]:
    """A checkpoint with much in it."""
    rng = random.Random(seed)
    at, unfinished = watermark, []
    for _ in range(stretches):
        first, length = at + rng.randint(1, 5000), rng.randint(1, 300)
        unfinished.append((first, length))
        at = first + length
    offsets = sorted(rng.sample(range(watermark, at + 1000), failures))
    trials = tuple(
        Trial(offset, rng.randint(0, 9), rng.randint(10**12, 10**12 + 10**5)) for offset in offsets
    )
    return watermark, Checkpoint(
        at + rng.randint(0, 9), tuple(unfinished), trials, seed % 7, "topic-id", seed % 2 == 0
    )


crowded = st.builds(made, st.integers(0, 2**32), watermarks, st.integers(0, 1500), st.integers(0, 500))


@given(crowded, st.integers(120, LIMIT))
def test_it_is_never_longer_than_allowed(placed: tuple[int, Checkpoint], limit: int) -> None:
    assert len(encode(*placed, limit)) <= limit
    assert len(encode(*placed)) <= LIMIT < BROKERS_LIMIT


@given(crowded, st.integers(120, 600))
def test_what_is_left_out_is_left_out_from_the_top(placed: tuple[int, Checkpoint], limit: int) -> None:
    watermark, whole = placed
    kept = decode(watermark, encode(watermark, whole, limit))
    assert kept is not None
    assert (kept.epoch, kept.topic_id, kept.clean) == (whole.epoch, whole.topic_id, whole.clean)
    assert kept.trials == whole.trials[: len(kept.trials)]
    assert kept.unfinished == whole.unfinished[: len(kept.unfinished)]
    if len(kept.unfinished) < len(whole.unfinished):
        # As if nothing had finished from the first run left out onwards: no unfinished call is skipped.
        assert kept.high <= whole.unfinished[len(kept.unfinished)][0]
    else:
        assert kept.high == whole.high
    if kept.trials != whole.trials:
        assert not kept.unfinished, "runs go before failures do"


def test_a_commit_of_ten_thousand_scattered_calls_keeps_the_lowest() -> None:
    watermark, whole = made(1, 0, 10_000, 0)
    kept = decode(watermark, encode(watermark, whole))
    assert kept is not None
    assert 800 < len(kept.unfinished) < 10_000
    assert kept.unfinished == whole.unfinished[: len(kept.unfinished)]


def test_failures_outlive_the_map() -> None:
    unfinished = tuple((n * n * 7, 1) for n in range(1, 3000))
    trials = tuple(Trial(n, n % 7, 10**12 + n * n * 31) for n in range(300))
    whole = Checkpoint(high=10**8, unfinished=unfinished, trials=trials, epoch=3)
    kept = decode(0, encode(0, whole))
    assert kept is not None
    assert kept.trials == trials
    assert 0 < len(kept.unfinished) < len(unfinished)
    only_trials = decode(0, encode(0, replace(whole, unfinished=()), 1000))
    assert only_trials is not None
    assert 0 < len(only_trials.trials) < len(trials)


# --- runs ---------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 200)))
def test_runs_are_the_offsets_and_as_few_as_can_be(offsets: set[int]) -> None:
    found = runs(sorted(offsets))
    assert {first + n for first, length in found for n in range(length)} == offsets
    assert all(sum(one) < other[0] for one, other in itertools.pairwise(found))
