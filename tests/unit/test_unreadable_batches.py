"""Batches that the client cannot read: tried again, surveyed, stepped over, and never passed in silence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.events import Fetched, Place, Skipped
from kjobs.errors import BrokerError
from kjobs.kafka import consumer as consumer_module
from kjobs.kafka import log as log_module
from kjobs.kafka import survey as survey_module
from kjobs.kafka import tail as tail_module
from kjobs.kafka.consumer import Consumer
from kjobs.kafka.doubts import TRIES, Doubts
from kjobs.kafka.log import Log, Span
from kjobs.kafka.survey import UNREADABLE, Unreadable, border, surveyed
from kjobs.kafka.tail import Tail
from tests.patience import until
from tests.unit.logs import Batch, FakeLogs

HERE, THERE = ("q", 0), ("q", 1)
BAD = KafkaError._BAD_COMPRESSION


def damaged(*, times: float = float("inf"), code: int = BAD, **habits: bool) -> FakeLogs:
    """A log with a damaged batch, [20, 33), and one that is in order."""
    return FakeLogs(
        {
            HERE: [Batch(0, 20), Batch(20, 33, code, times), Batch(33, 40)],
            THERE: [Batch(0, 10)],
        },
        **habits,
    )


# --- the survey ---------------------------------------------------------------------------------------


@given(inside=st.integers(0, 50), length=st.integers(1, 5000), more=st.integers(0, 5000))
def test_the_border_is_exact_and_found_by_few_looks(inside: int, length: int, more: int) -> None:
    looks: list[int] = []

    def is_within(offset: int) -> bool:
        looks.append(offset)
        return offset < inside + length

    assert border(inside, inside + length + more, is_within) == inside + length
    assert len(looks) <= 2 * length.bit_length() + 2
    assert all(inside < offset < inside + length + more for offset in looks)


@pytest.fixture
def survey(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeLogs], Callable[[Place, int], Any]]:
    def of(logs: FakeLogs) -> Callable[[Place, int], Unreadable | None]:
        monkeypatch.setattr(survey_module, "Client", logs.reader)
        monkeypatch.setattr(survey_module, "_PATIENCE", 0.2)
        return partial(surveyed, "nowhere", {})

    return of


@pytest.mark.parametrize("code", sorted(UNREADABLE))
@pytest.mark.parametrize("stumbles", [False, True])
def test_a_survey_finds_where_a_batch_ends(survey: Any, code: int, stumbles: bool) -> None:
    found = survey(damaged(code=code, stumbles=stumbles))(HERE, 20)
    assert (found.first, found.end) == (20, 33)
    assert "damaged" in found.reason


def test_a_survey_of_a_batch_at_the_end_and_before_another_bad_one(survey: Any) -> None:
    logs = FakeLogs({HERE: [Batch(0, 7, BAD), Batch(7, 9, BAD)]})
    assert survey(logs)(HERE, 0).end == 7
    assert survey(logs)(HERE, 7).end == 9


def test_what_can_be_read_after_all_is_not_given_up(survey: Any) -> None:
    assert survey(damaged(times=0))(HERE, 20) is None


@pytest.mark.parametrize(
    "code", [KafkaError._TRANSPORT, KafkaError.INVALID_MSG, KafkaError._CRIT_SYS_RESOURCE]
)
def test_trouble_that_is_not_the_batchs_is_no_end(survey: Any, code: int) -> None:
    with pytest.raises(BrokerError, match="is not known"):
        survey(damaged(code=code))(HERE, 20)


def test_what_retention_removes_meanwhile_is_no_end(survey: Any) -> None:
    logs = damaged()
    find = survey(logs)
    logs.batches[HERE] = [Batch(0, 10)]
    with pytest.raises(BrokerError, match="is not known"):
        find(HERE, 20)


# --- doubts -------------------------------------------------------------------------------------------


def test_a_batch_is_surveyed_after_three_tries_and_once() -> None:
    asked: list[tuple[Place, int]] = []
    answer = threading.Event()

    def survey(place: Place, first: int) -> Unreadable | None:
        asked.append((place, first))
        answer.wait(10)
        return Unreadable(first, first + 5, "no")

    doubts = Doubts(survey)
    for _ in range(TRIES - 1):
        assert doubts.raise_(HERE, 3)
    assert asked == []
    for _ in range(5):
        doubts.raise_(HERE, 3)
    assert doubts.settled() == []
    answer.set()
    until(lambda: doubts._answers, "its answer")
    assert doubts.settled() == [(HERE, 3, Unreadable(3, 8, "no"))]
    assert asked == [(HERE, 3)]
    assert not doubts


def test_what_is_said_of_offsets_behind_a_batch_in_doubt_does_not_count() -> None:
    doubts = Doubts(lambda place, first: None)
    doubts.raise_(HERE, 3)
    assert not doubts.raise_(HERE, 99)
    assert doubts.about(HERE) == 3


def test_a_survey_that_failed_is_made_again_after_as_many_tries() -> None:
    answers: list[Any] = [BrokerError("away"), OSError("broken"), Unreadable(3, 4, "no")]

    def survey(place: Place, first: int) -> Unreadable | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    doubts = Doubts(survey)
    for left in (2, 1):
        for _ in range(TRIES):
            doubts.raise_(HERE, 3)
        until(lambda: doubts._answers, "its failure")
        assert doubts.settled() == []
        assert len(answers) == left
        assert doubts.about(HERE) == 3
    for _ in range(TRIES):
        doubts.raise_(HERE, 3)
    until(lambda: doubts._answers, "its answer")
    assert doubts.settled() == [(HERE, 3, Unreadable(3, 4, "no"))]


def test_the_answer_about_a_partition_that_was_left_is_dropped() -> None:
    doubts = Doubts(lambda place, first: Unreadable(first, first + 1, "no"))
    for _ in range(TRIES):
        doubts.raise_(HERE, 3)
    until(lambda: doubts._answers, "its answer")
    doubts.forget(HERE)
    doubts.raise_(HERE, 3)
    assert doubts.settled() == []
    assert doubts.about(HERE) == 3


# --- a worker's consumer ------------------------------------------------------------------------------


class Reading:
    """A consumer, and what it has given: as a scheduler does, it forgets what it had already."""

    def __init__(self, logs: FakeLogs, survey: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs = logs
        self.positions: dict[Place, int] = {}
        self.offsets: dict[Place, list[int]] = {HERE: [], THERE: []}
        self.skips: list[tuple[Place, int, int]] = []
        self.told: list[tuple[Place, int, int]] = []
        monkeypatch.setattr(consumer_module, "Client", logs.reader)
        admin = SimpleNamespace(
            topic_ids=lambda topics: {},
            ends=lambda places: {place: (0, logs.end(place)) for place in places},
        )
        self.consumer = Consumer(
            {},
            admin,  # type: ignore[arg-type]
            listener=lambda event: None,
            on_revoke=lambda places: None,
            on_resume=lambda place, found: None,
            on_unreadable=lambda place, found: self.told.append((place, found.first, found.end)),
            position=lambda place: self.positions.get(place),
            survey=survey(logs),
        )
        self.consumer.subscribe(["q"])
        self.client = logs.clients[0]

    def poll(self) -> None:
        for event in self.consumer.poll(0.01, 7):
            assert isinstance(event, Fetched | Skipped)
            position = self.positions.get(event.place, 0)
            if isinstance(event, Fetched):
                fresh = [r.offset() for r in event.records if r.offset() >= position]
                assert fresh == list(range(position, position + len(fresh))), "a silent jump"
                self.offsets[event.place] += fresh
                self.positions[event.place] = position + len(fresh)
            elif event.offset > position:
                self.skips.append((event.place, position, event.offset))
                self.positions[event.place] = event.offset

    def finish(self) -> None:
        def look() -> bool:
            self.poll()
            return self.positions == {place: self.logs.end(place) for place in self.logs.batches}

        until(look, "everything is read", told=lambda: repr(self.__dict__))


HABITS = [{}, {"leaps": True}, {"stumbles": True}]


@pytest.mark.parametrize("habits", HABITS)
@pytest.mark.parametrize("code", sorted(UNREADABLE))
def test_exactly_the_batch_is_stepped_over_and_told(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool], code: int
) -> None:
    reading = Reading(damaged(code=code, **habits), survey, monkeypatch)
    reading.finish()
    assert reading.told == [(HERE, 20, 33)]
    assert reading.skips == [(HERE, 20, 33)]
    assert reading.offsets[HERE] == [*range(20), *range(33, 40)]
    assert reading.offsets[THERE] == list(range(10))


@pytest.mark.parametrize("habits", HABITS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_batch_that_can_be_read_at_another_try_is_read(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool], times: int
) -> None:
    reading = Reading(damaged(times=times, **habits), survey, monkeypatch)
    reading.finish()
    assert reading.told == reading.skips == []
    assert reading.offsets[HERE] == list(range(40))
    assert len(reading.logs.clients) == 1, "it was surveyed"


@pytest.mark.parametrize("habits", HABITS)
def test_a_doubt_that_is_over_hides_no_later_one(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs = damaged(times=1, **habits)
    logs.batches[HERE] += [Batch(40, 43, BAD), Batch(43, 50)]
    reading = Reading(logs, survey, monkeypatch)
    reading.finish()
    assert reading.told == [(HERE, 40, 43)]
    assert reading.offsets[HERE] == [*range(40), *range(43, 50)]


def test_other_partitions_go_on_while_one_is_surveyed(monkeypatch: pytest.MonkeyPatch, survey: Any) -> None:
    logs = damaged()
    answer = threading.Event()

    def slow(logs: FakeLogs) -> Callable[[Place, int], Unreadable | None]:
        found = survey(logs)

        def wait(place: Place, first: int) -> Unreadable | None:
            assert answer.wait(10)
            return found(place, first)  # type: ignore[no-any-return]

        return wait

    reading = Reading(logs, slow, monkeypatch)
    until(lambda: (reading.poll(), reading.positions.get(HERE) == 20)[1], "it is at the batch")
    for _ in range(10):
        reading.poll()
    end = logs.end(THERE)
    logs.batches[THERE].append(Batch(end, end + 5))
    reading.client.incremental_assign(_parts((THERE, end)))
    until(lambda: (reading.poll(), reading.positions.get(THERE) == end + 5)[1], "the other one goes on")
    assert reading.told == []
    answer.set()
    reading.finish()
    assert reading.told == [(HERE, 20, 33)]


class Gated:
    """A survey that a test lets go on."""

    def __init__(self) -> None:
        self.asked, self.opened = threading.Event(), threading.Event()
        self.ended = threading.Event()

    def __call__(self, *where: Any) -> Unreadable:
        self.asked.set()
        assert self.opened.wait(10)
        self.ended.set()
        return Unreadable(20, 33, "damaged")


def test_a_partition_that_is_lost_meanwhile_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = Gated()
    reading = Reading(damaged(), lambda logs: gated, monkeypatch)
    until(lambda: (reading.poll(), gated.asked.is_set())[1], "the survey begins")
    reading.client.callbacks["on_lost"](reading.client, _parts((HERE, 0)))
    reading.client.incremental_unassign(_parts((HERE, 0)))
    gated.opened.set()
    assert gated.ended.wait(10)
    until(lambda: reading.consumer._doubts._answers, "its answer")
    for _ in range(5):
        reading.poll()
    assert reading.told == reading.skips == []
    assert HERE not in reading.client.following


def test_of_a_batch_that_was_read_in_part_before_only_the_rest_is_told(
    survey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(damaged(), survey, monkeypatch)
    reading.client.incremental_unassign(_parts((HERE, 0)))
    reading.client.incremental_assign(_parts((HERE, 25)))
    reading.positions[HERE] = 25
    reading.finish()
    assert reading.told == [(HERE, 25, 33)]


@pytest.mark.parametrize("code", [KafkaError.INVALID_MSG, KafkaError._TRANSPORT])
def test_trouble_of_another_kind_is_only_told(
    survey: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    reading = Reading(damaged(code=code, times=10), survey, monkeypatch)
    reading.finish()
    assert reading.told == []
    assert reading.offsets[HERE] == list(range(40))


# --- the deferred store's reader ----------------------------------------------------------------------


@pytest.mark.parametrize("habits", HABITS)
def test_a_tail_steps_over_it_too(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs = damaged(**habits)
    survey(logs)
    monkeypatch.setattr(tail_module, "Client", logs.reader)
    told: list[tuple[Place, int, int]] = []
    tail = Tail(
        "nowhere",
        {},
        group="g",
        embedded=False,
        on_unreadable=lambda place, found: told.append((place, found.first, found.end)),
    )
    tail.follow(HERE, 0)
    offsets: list[int] = []

    def look() -> bool:
        records, positions, lost = tail.read(10)
        assert not lost
        offsets.extend(record.offset() for record in records.get(HERE, ()))
        return positions.get(HERE) == 40

    until(look, "its end")
    assert told == [(HERE, 20, 33)]
    assert offsets == [*range(20), *range(33, 40)]


def test_a_log_that_is_left_meanwhile_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gated, logs, told = Gated(), damaged(), []
    monkeypatch.setattr(tail_module, "Client", logs.reader)
    monkeypatch.setattr(tail_module, "surveyed", gated)
    tail = Tail("nowhere", {}, group="g", embedded=False, on_unreadable=lambda *what: told.append(what))
    tail.follow(THERE, 0)
    tail.follow(HERE, 0)
    until(lambda: (tail.read(10), gated.asked.is_set())[1], "the survey begins")
    tail.leave(HERE)
    gated.opened.set()
    until(lambda: tail._doubts._answers, "its answer")
    tail.read(10)
    tail.follow(HERE, 33)
    until(lambda: tail.read(10)[1].get(HERE) == 40, "its end")
    assert told == []


@pytest.mark.parametrize("habits", HABITS)
def test_a_batch_whose_beginning_was_compacted_away_is_read_at_another_try(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs, told = damaged(times=1, **habits), []
    logs.batches[HERE][1].gone = 3
    survey(logs)
    monkeypatch.setattr(tail_module, "Client", logs.reader)
    tail = Tail("nowhere", {}, group="g", embedded=False, on_unreadable=lambda *what: told.append(what))
    tail.follow(HERE, 0)
    offsets: list[int] = []

    def look() -> bool:
        records, positions, _ = tail.read(10)
        offsets.extend(record.offset() for record in records.get(HERE, ()))
        return positions.get(HERE) == 40

    until(look, "its end")
    assert told == []
    assert offsets == [*range(20), *range(23, 40)]


@pytest.mark.parametrize("habits", HABITS)
def test_of_a_tail_too_a_doubt_that_is_over_hides_no_later_one(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs = damaged(times=1, **habits)
    logs.batches[HERE].append(Batch(40, 43, BAD))
    survey(logs)
    monkeypatch.setattr(tail_module, "Client", logs.reader)
    told: list[int] = []
    tail = Tail(
        "nowhere", {}, group="g", embedded=False, on_unreadable=lambda place, found: told.append(found.first)
    )
    tail.follow(HERE, 0)
    offsets: list[int] = []

    def look() -> bool:
        records, positions, _ = tail.read(10)
        offsets.extend(record.offset() for record in records.get(HERE, ()))
        return positions.get(HERE) == 43

    until(look, "its end")
    assert told == [40]
    assert offsets == list(range(40))


# --- the readers of commands --------------------------------------------------------------------------


@pytest.mark.parametrize("habits", HABITS)
def test_a_command_says_where_a_log_cannot_be_read(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs = damaged(**habits)
    survey(logs)
    monkeypatch.setattr(log_module, "Client", logs.reader)
    log = Log("nowhere", {}, "q")
    offsets: list[int] = []
    with pytest.raises(BrokerError, match="offsets 20 to 32 are in a batch that is damaged"):
        offsets.extend(record.offset() for record in log.read({0: Span(0, 40)}))
    assert offsets == list(range(20))


@pytest.mark.parametrize("habits", HABITS)
def test_a_command_reads_what_can_be_read_the_second_time(
    survey: Any, monkeypatch: pytest.MonkeyPatch, habits: dict[str, bool]
) -> None:
    logs = damaged(times=1, **habits)
    survey(logs)
    monkeypatch.setattr(log_module, "Client", logs.reader)
    log = Log("nowhere", {}, "q")
    assert [record.offset() for record in log.read({0: Span(0, 40)})] == list(range(40))


def _parts(*places: tuple[Place, int]) -> list[Any]:
    return [SimpleNamespace(topic=topic, partition=number, offset=at) for (topic, number), at in places]
