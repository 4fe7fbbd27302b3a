"""What is made of the deferred store's log from outside, without a broker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kjobs.admin.delayedcall import DelayedCall, State, delayed_call
from kjobs.admin.delayedfilter import DelayedFilter
from kjobs.admin.delayedindex import DelayedIndex
from kjobs.core.deferred import QUEUED, Answered, Change, End, Move, Row, Verdict
from kjobs.deferred import wire
from kjobs.kafka.log import Log, LoggedRecord, Span
from tests.admin.test_dead_letters import Stored

NOW_MS = 1_795_527_108_240
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
OWNER = (3, "aa")


class FakeLog:
    """A log in memory."""

    def __init__(self) -> None:
        self.records: dict[int, list[Stored]] = {0: [], 1: []}
        self.firsts = {0: 0, 1: 0}
        self.taken = 0

    def write(self, change: Change, partition: int = 0) -> int:
        """Append a record; returns its offset."""
        written = wire.written(change)
        return self.append(Stored((0, 0), written.key, written.value, written.headers), partition)

    def append(self, record: Stored, partition: int = 0) -> int:
        """Append a record, whatever it is; returns its offset."""
        record.place = (partition, self.firsts[partition] + len(self.records[partition]))
        self.records[partition].append(record)
        return record.place[1]

    def spans(self, partitions: Iterable[int]) -> dict[int, Span]:
        return {n: Span(self.firsts[n], self.firsts[n] + len(self.records[n])) for n in partitions}

    def read(self, spans: Mapping[int, Span]) -> Iterator[LoggedRecord]:
        for number, span in spans.items():
            for record in self.records[number]:
                if span.first <= record.offset() < span.end:
                    self.taken += 1
                    yield record


def row(name: str, due_ms: int = NOW_MS, **more: Any) -> Row:
    """A call."""
    value = more.pop("value", b'{"id":"%s","job":"mail.send","args":[1]}' % name.partition("@")[0].encode())
    return Row(id=name, value=value, due_ms=due_ms, **more)


def found(log: FakeLog, *names: str, before: Mapping[int, int] | None = None) -> list[str]:
    """What waits, by the keys of the records."""
    index = DelayedIndex(names)
    index.read(cast(Log, log), [0, 1])
    rows = [row.id for _, row in index.rows(before)]
    index.close()
    return rows


def read(row: Row) -> DelayedCall:
    """A call as it is read."""
    return delayed_call(row, queue="mail", partition=0, now_ms=NOW_MS)


# --- the log ---------------------------------------------------------------------------------------


def test_the_last_record_of_a_call_is_what_is_so() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(row("b", 2_000))
    log.write(row("a", 3_000))
    log.write(End(id="b", of=1, owner=OWNER))
    log.write(row("c", 4_000), 1)
    assert found(log) == ["a", "c"]


def test_the_end_of_an_earlier_call_does_not_end_a_later_one() -> None:
    log = FakeLog()
    first = log.write(row("a", 1_000))
    log.write(row("a", 2_000))
    log.write(End(id="a", of=first, owner=OWNER))
    assert found(log) == ["a"]


def test_whoever_cancels_ends_what_is_there_whatever_the_offset() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(End(id="a", of=-1, request="r"))
    log.write(row("b", 1_000))
    log.append(Stored((0, 0), b"b", None, [("kj-of", b"0")]))
    assert found(log) == []


def test_requests_and_answers_are_no_calls() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(Move(request="r", id="a", due_ms=9_000))
    log.write(Answered(request="r", verdict=Verdict.MOVED))
    log.write(Answered(request="a", verdict=Verdict.GONE))
    assert found(log) == ["a"]


def test_calls_come_by_their_time_over_all_partitions_and_those_without_one_at_last() -> None:
    log = FakeLog()
    for at, partition in ((5_000, 0), (1_000, 1), (0, 0), (3_000, 0), (2_000, 1), (4_000, 1), (-7, 1)):
        log.write(row(f"at{at}", at), partition)
    assert found(log) == ["at1000", "at2000", "at3000", "at4000", "at5000", "at-7", "at0"]


def test_many_with_the_same_time_are_all_there_once() -> None:
    log = FakeLog()
    names = [f"n{number:05}" for number in range(2_600)]
    for name in names:
        log.write(row(name, 1_000 if name < "n01300" else 0))
    assert found(log) == names


def test_what_was_read_is_not_read_again() -> None:
    log = FakeLog()
    index = DelayedIndex()
    log.write(row("a", 1_000))
    log.write(row("b", 2_000), 1)
    told: list[tuple[int, int]] = []
    index.read(cast(Log, log), [0, 1], lambda done, total: told.append((done, total)))
    assert (log.taken, told) == (2, [(2, 2)])
    log.write(End(id="a", of=0, owner=OWNER))
    log.write(row("c", 1_500))
    index.read(cast(Log, log), [0, 1], lambda done, total: told.append((done, total)))
    assert (log.taken, told) == (4, [(2, 2), (2, 2)])
    assert [row.id for _, row in index.rows()] == ["c", "b"]
    assert index.ends == {0: 3, 1: 1}
    index.close()


@pytest.mark.parametrize("firsts", [{0: 0, 1: 0}, {0: 9, 1: 9}], ids=["made anew", "cut off"])
def test_a_log_that_is_another_is_read_from_its_beginning(firsts: dict[int, int]) -> None:
    log = FakeLog()
    index = DelayedIndex()
    for name in "abc":
        log.write(row(name, 1_000))
    index.read(cast(Log, log), [0, 1])
    log.records, log.firsts = {0: [], 1: []}, firsts
    log.write(row("d", 1_000))
    index.read(cast(Log, log), [0, 1])
    assert [row.id for _, row in index.rows()] == ["d"]
    index.close()


def test_progress_is_told_over_a_long_log() -> None:
    log = FakeLog()
    for number in range(5_000):
        log.write(row(f"n{number}", 1_000), number % 2)
    told: list[tuple[int, int]] = []
    index = DelayedIndex()
    index.read(cast(Log, log), [0, 1], lambda done, total: told.append((done, total)))
    index.close()
    assert told == [(2_000, 5_000), (4_000, 5_000), (5_000, 5_000)]


def open_files() -> list[str]:
    """What this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # what this look itself opened
            found.append(str(entry.readlink()))
    return found


def test_nothing_is_left_of_an_index_nor_can_be_found_while_it_is_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = FakeLog()
    for number in range(3_000):
        log.write(row(f"n{number}", 1_000, value=bytes(500)))
    index = DelayedIndex()
    index.read(cast(Log, log), [0, 1])
    assert any(name.startswith(str(tmp_path)) for name in open_files())  # it is there
    assert list(tmp_path.iterdir()) == []
    assert len(list(index.rows())) == 3_000
    index.close()
    assert not any(name.startswith(str(tmp_path)) for name in open_files())


# --- by name ---------------------------------------------------------------------------------------


def test_a_call_is_found_by_its_id_and_by_that_of_its_record() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(row("b@17", 2_000, rank=(17, QUEUED)), 1)
    log.write(row("c", 3_000))
    assert found(log, "a") == ["a"]
    assert found(log, "b") == ["b@17"]
    assert found(log, "b@17") == ["b@17"]
    assert found(log, "a", "b", "d") == ["a", "b@17"]


def test_an_id_that_ends_like_that_of_a_record_is_another() -> None:
    log = FakeLog()
    own = b'{"id":"user@42","job":"mail.send"}'
    log.write(row("user@42", 1_000, value=own))
    assert found(log, "user") == []
    assert found(log, "user@42") == ["user@42"]


def test_a_place_names_the_call_that_was_there_wherever_it_is_now() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(row("b", 2_000))
    log.write(row("a", 3_000))
    assert found(log, "0@0") == found(log, "0@2") == ["a"]
    assert found(log, "0@1") == ["b"]
    assert found(log, "1@0") == found(log, "0@3") == []
    log.write(End(id="a", of=2, owner=OWNER))
    assert found(log, "0@0") == []


def test_only_what_was_there_before_is_meant_if_that_is_said() -> None:
    log = FakeLog()
    log.write(row("a", 1_000))
    log.write(row("b", 2_000), 1)
    log.write(row("c", 3_000))
    log.write(row("b", 2_500), 1)  # it is not what it was
    assert found(log, before={0: 1, 1: 1}) == ["a"]
    assert found(log, before={0: 2}) == ["a", "c"]


# --- a call ----------------------------------------------------------------------------------------


def test_a_call_has_all_that_its_record_says() -> None:
    value = (
        b'{"id":"01a","job":"mail.send","args":[7],"kwargs":{"x":null},'
        b'"at":1795527100000,"expires":1795527200000}'
    )
    made = row("01a@9", NOW_MS, value=value, key=b"7", failures=2, headers=[("traceparent", b"00-1")])
    call = read(made)
    assert (call.id, call.record_id, call.job, call.key) == ("01a", "01a@9", "mail.send", "7")
    assert (call.args, call.kwargs, call.value) == ([7], {"x": None}, value)
    assert (call.attempts, call.state, call.due) == (2, State.RETRYING, NOW)
    assert call.enqueued_at == datetime.fromtimestamp(1795527100, UTC)
    assert call.expires == datetime.fromtimestamp(1795527200, UTC)
    assert call.headers == [("traceparent", b"00-1")]
    moved = delayed_call(
        row("a", value=value, expires_ms=NOW_MS, offset=5), queue="mail", partition=3, now_ms=NOW_MS
    )
    assert (moved.expires, moved.place) == (NOW, "3@5")


@pytest.mark.parametrize("args", [b'["\xff"]', b"[" * 100_000 + b"]" * 100_000])
def test_arguments_that_cannot_be_read_are_none(args: bytes) -> None:
    call = read(row("a", value=b'{"id":"a","job":"mail.send","args":%s}' % args))
    assert (call.id, call.args) == ("a", None)


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (row("a", NOW_MS + 1), State.SCHEDULED),
        (row("a", NOW_MS - 1), State.SCHEDULED),
        (row("a", NOW_MS + 1, key=b"k"), State.SCHEDULED),
        (row("a", NOW_MS + 1, failures=1), State.RETRYING),
        (row("a@5", NOW_MS - 1, failures=1, key=b"k", rank=(5, QUEUED)), State.RETRYING),
        (row("a@5", 0, key=b"k", rank=(5, QUEUED)), State.PARKED),
        (row("a", NOW_MS - 1, key=b"k", rank=(5, 1)), State.PARKED),
        (row("a@5", NOW_MS + 1, key=b"k", rank=(5, QUEUED)), State.SCHEDULED),  # it was put off
        (row("a@5", 0, key=b"k", rank=(5, QUEUED), relaxed=True), State.SCHEDULED),
        (row("a@5", 0, rank=(5, QUEUED)), State.SCHEDULED),
    ],
)
def test_what_a_call_waits_for(made: Row, state: State) -> None:
    assert read(made).state is state


def test_what_waits_for_others_is_never_overdue() -> None:
    assert read(row("a", NOW_MS - 1)).overdue(NOW)
    assert not read(row("a", NOW_MS + 1)).overdue(NOW)
    assert not read(row("a", NOW_MS - 1, key=b"k", rank=(5, 1))).overdue(NOW)
    assert not read(row("a@5", 0, key=b"k", rank=(5, QUEUED))).overdue(NOW)


_numbers = st.integers().map(lambda number: b"%d" % number)
_values = st.none() | st.binary(max_size=30) | _numbers | _numbers.map(lambda digits: digits + b".9")
_names = ("due", "key", "failures", "since", "rank", "of", "expires", "owner", "topic-id", "relaxed")
_headers = st.lists(st.tuples(st.sampled_from([f"kj-{name}" for name in _names]), _values))
_bodies = st.none() | st.binary(max_size=20) | st.just(b'{"job":"a","at":99999999999999999}')


@settings(max_examples=200)
@given(st.lists(st.builds(Stored, st.just((0, 0)), st.none() | st.binary(max_size=3), _bodies, _headers)))
def test_no_record_is_too_strange_to_be_read(records: list[Stored]) -> None:
    log = FakeLog()
    for record in records:
        log.append(record)
    index = DelayedIndex()
    index.read(cast(Log, log), [0, 1])
    for number, row in index.rows():
        call = delayed_call(row, queue="mail", partition=number, now_ms=NOW_MS)
        assert call.id
        assert call.job is not None or call.args is call.kwargs is None
        call.overdue(NOW)
        DelayedFilter(due_after=NOW).matches(call)
    index.close()


# --- filters ---------------------------------------------------------------------------------------


def test_times_without_zone_are_refused() -> None:
    with pytest.raises(ValueError, match=r"due_before=2026-01-01 00:00:00: the time has no time zone"):
        DelayedFilter(due_before=datetime(2026, 1, 1))


def test_bounds_in_time_are_half_open_and_what_has_none_is_outside() -> None:
    call, parked = read(row("a")), read(row("b", 0, key=b"k", rank=(5, QUEUED)))
    assert DelayedFilter(due_after=NOW).matches(call)
    assert not DelayedFilter(due_before=NOW).matches(call)
    assert DelayedFilter(due_before=NOW + timedelta(milliseconds=1)).matches(call)
    assert DelayedFilter().matches(parked)
    assert not DelayedFilter(due_before=NOW).matches(parked)
    assert not DelayedFilter(due_after=NOW).matches(parked)


@pytest.mark.parametrize(
    ("matching", "names"),
    [
        (DelayedFilter(job="mail.send"), "abc"),
        (DelayedFilter(job="mail"), ""),
        (DelayedFilter(key="é"), "b"),
        (DelayedFilter(key="\\xff"), ""),
        (DelayedFilter(key=""), "d"),
        (DelayedFilter(state=State.RETRYING), "c"),
        (DelayedFilter(state=State.PARKED), "b"),
        (DelayedFilter(job="mail.send", state=State.SCHEDULED), "a"),
    ],
)
def test_a_filter_means_what_agrees_with_all_of_it(matching: DelayedFilter, names: str) -> None:
    calls = [
        read(row("a")),
        read(row("b", 0, key="é".encode(), rank=(5, QUEUED))),
        read(row("c", key=b"\xff", failures=1)),
        read(row("d", key=b"", value=b"nothing")),
    ]
    assert "".join(call.id for call in calls if matching.matches(call)) == names
