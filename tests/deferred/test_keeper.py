"""The thread that keeps the store of a worker's partitions, on a real Kafka."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kjobs.core.commands import Answer, Release
from kjobs.core.deferred import Answered, End, Row, Verdict
from kjobs.core.events import CancelAsked, CaughtUp, Due, Erased, LaneDue, NotDeferred, NotErased, Place
from kjobs.errors import BrokerError
from tests.deferred.bench import cancel, live, move
from tests.deferred.calls import NOW, dated, free, names, parked
from tests.deferred.keeping import Owner

# --- the life of a partition ---------------------------------------------------------------------


def test_a_partition_is_told_of_when_its_log_is_read(owner: Owner) -> None:
    owner.write(free("a", 50), parked("b@7", 7), parked("c", 8, turn=3))
    told = owner.open()
    assert told.place == (owner.queue, 0)
    assert list(told.lanes) == [b"k"]
    assert set(told.sources) == {7}
    assert told.last_turn == 3


def test_calls_are_given_out_when_they_are_due(owner: Owner) -> None:
    owner.open()
    owner.write(free("a"), dated("b"), free("c", 60_000))
    assert sorted(names(owner.until_given(2))) == ["a", "b"]
    assert owner.keeper.next_due == (NOW + 60_000) / 1000
    owner.now_ms += 60_000
    assert names(owner.until_given(3)[2:]) == ["c"]


def test_a_delayed_call_is_told_with_the_end_of_its_queue(owner: Owner) -> None:
    owner.open()
    for _ in range(3):
        owner.broker.write((owner.queue, 0), b"x")
    owner.write(dated("a"))
    owner.until_given(1)
    assert owner.all(Due)[-1].end == 3


def test_a_lane_is_told_and_fetched_and_given_back(owner: Owner) -> None:
    owner.open()
    owner.write(parked("a@1", 1, due_ms=NOW), parked("b@2", 2))
    owner.until(lambda: owner.all(LaneDue), "the lane is due")
    rows = owner.lane(read=2).rows
    assert names(rows) == ["a@1"]
    owner.keeper.perform(Release((owner.queue, 0), [rows[0].offset]))
    assert names(owner.lane().rows) == ["a@1", "b@2"]


def test_what_the_scheduler_orders_is_in_the_log_and_in_the_index(owner: Owner) -> None:
    owner.open()
    owner.deferred(parked("a@3", 3, headers=[("h", b"1")]))
    (row,) = owner.lane().rows
    assert row.headers == [("h", b"1")]
    owner.deferred(replace(row, due_ms=NOW + 9, failures=1, of=row.offset), row)
    owner.now_ms += 9
    (retry,) = owner.lane().rows
    owner.erased(retry)
    first, second, end = owner.records()
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert isinstance(end, End)
    assert (second.of, end.of) == (first.offset, second.offset)
    assert {change.owner for change in (first, second, end)} == {first.owner}
    assert first.owner[0] == 1
    owner.until_read()
    assert owner.store.count == 0


def test_a_partition_that_was_closed_is_told_of_no_more(owner: Owner) -> None:
    owner.open()
    owner.write(free("a", 50), free("b"))
    (b,) = owner.until_given(1)
    owner.leave()
    entry_in_vain = b
    owner.now_ms += 50
    owner.told.clear()
    told = owner.open()
    assert owner.told[0] is told
    assert sorted(names(owner.until_given(2))) == ["a", "b"], "what was in hand is there again"
    assert entry_in_vain in owner.given()


def test_the_next_worker_reads_on_where_the_index_ends(owner: Owner) -> None:
    owner.open()
    owner.write(free("a", 50), free("b", 60))
    owner.until_read()
    owner.restart()
    owner.write(free("c", 70))
    followed: list[int] = []
    follow = owner.tail.follow
    owner.tail.follow = lambda place, offset: (followed.append(offset), follow(place, offset))  # type: ignore
    owner.open()
    assert followed == [2]
    owner.now_ms += 99
    assert names(owner.until_given(3)) == ["a", "b", "c"]


def test_the_next_worker_without_an_index_reads_everything(owner: Owner) -> None:
    owner.open()
    owner.write(free("a"), free("b", 60), free("a", 70), cancel("b"))
    owner.until_read()
    path = owner.store.path
    owner.keeper.stop(30.0)
    path.unlink()
    owner.restart()
    owner.open()
    assert owner.store.position == 4
    assert owner.store.count == 1


def test_a_partition_may_be_assigned_again_at_once(owner: Owner) -> None:
    owner.write(free("a"))
    for _ in range(3):
        owner.order()
    owner.until_given(1)
    assert len(owner.all(CaughtUp)) == 1, "only the last assignment counts"
    assert owner.store.count == 1


def test_a_log_that_was_made_anew_is_read_from_its_start(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    owner.open()
    owner.write(free("old"), free("older", 90))
    owner.until_given(1)
    owner.leave()
    owner.broker.delete(owner.log)
    owner.create_log()
    owner.told.clear()
    owner.write(*(free(f"new {n}") for n in range(3)))
    owner.open()
    assert names(owner.until_given(3)) == ["new 0", "new 1", "new 2"]
    assert owner.store.count == 3
    assert "is made anew: the id of its log's topic is " in caplog.text


def test_records_that_are_gone_before_they_were_read_make_the_index_anew(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody does that to a compacted log; but who does is not stuck for ever."""
    owner.open()
    owner.write(free("a", 50))
    owner.until_read()
    read, owner.tail.read = owner.tail.read, lambda most, timeout=0.0: ({}, {}, {(owner.log, 0)})  # type: ignore
    owner.until(lambda: "failed and is made anew" in caplog.text, "it is noticed")
    owner.tail.read = read  # type: ignore[method-assign]
    owner.until(lambda: len(owner.all(CaughtUp)) > 1, "it is read again")
    assert owner.store.count == 1


# --- the log -------------------------------------------------------------------------------------


def test_who_wishes_is_answered_in_the_log(owner: Owner) -> None:
    owner.open()
    owner.write(free("a", 50), free("b", 50), cancel("a", "r"), move("b", 90, "s"), cancel("c", "t"))
    verdicts: dict[str, Verdict] = {}

    def answered() -> bool:
        answers = [change for change in owner.records() if isinstance(change, Answered)]
        verdicts.update({answer.request: answer.verdict for answer in answers})
        return len(verdicts) == 3

    owner.until(answered, "all are answered")
    assert verdicts == {"r": Verdict.CANCELLED, "s": Verdict.MOVED, "t": Verdict.GONE}
    owner.now_ms += 90
    (row,) = owner.until_given(1)
    assert (row.id, row.due_ms) == ("b", NOW + 90)


def test_the_scheduler_is_asked_about_a_call_in_hand_and_its_answer_written(owner: Owner) -> None:
    owner.open()
    owner.write(free("a"))
    (a,) = owner.until_given(1)
    owner.write(cancel("a", "r"))
    (asked,) = owner.until(lambda: owner.all(CancelAsked), "the scheduler is asked")
    assert (asked.offset, asked.request) == (a.offset, "r")
    owner.keeper.perform(Answer((owner.queue, 0), "r", Verdict.STARTED))
    owner.until(
        lambda: any(isinstance(c, Answered) and c.verdict is Verdict.STARTED for c in owner.records()),
        "it is answered",
    )


def test_what_an_end_does_not_end_is_written_once_more(owner: Owner) -> None:
    owner.open()
    first, second = owner.write(free("a", 50), free("a", 60))
    owner.write(End(id="a", of=first, owner=(9, "later")))
    owner.until(
        lambda: owner.records()[-1] is not None and _last(owner).offset > second + 1, "it is said again"
    )
    assert (_last(owner).due_ms, _last(owner).of) == (NOW + 60, second + 1)


def _last(owner: Owner) -> Row:
    rows = [change for change in owner.records() if isinstance(change, Row)]
    return rows[-1]


def test_the_end_of_the_queue_is_asked_for_once_for_all_that_are_due(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    owner = Owner(kafka, topic_prefix, tmp_path, partitions=3)
    for number in range(3):
        owner.open(number)
        owner.write(*(dated(f"{number}-{n}", 50, key=b"%d" % n) for n in range(4)), number=number)
    for number in range(3):
        owner.until_read(number)
    asked: list[Sequence[Place]] = []
    ends = owner.admin.ends

    def spied(places: Sequence[Place], *args: Any) -> dict[Place, tuple[int, int]]:
        asked.append(places)
        return ends(places, *args)

    owner.admin.ends = spied  # type: ignore[method-assign]
    owner.now_ms += 50
    assert len(owner.until_given(12)) == 12
    assert asked == [[(owner.queue, number) for number in range(3)]]
    owner.close()


def test_what_the_client_does_not_take_is_told_and_can_be_ordered_again(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.open()
    owner.write(free("a"))
    (a,) = owner.until_given(1)
    put, full = owner.producer.put, [True]

    def crowded(*args: Any, **more: Any) -> None:
        if full[0]:
            raise BufferError("Local: Queue full")
        put(*args, **more)

    monkeypatch.setattr(owner.producer, "put", crowded)
    deferred, erased = owner.defer(parked("b@3", 3)), owner.erase(a)
    owner.until(lambda: owner.all(NotDeferred) and owner.all(NotErased), "both are refused")
    assert [event.entry for event in owner.all(NotDeferred)] == [deferred]
    assert [event.entry for event in owner.all(NotErased)] == [erased]
    assert len(owner.records()) == 1
    full[0] = False
    owner.erased(a)
    owner.deferred(parked("b@3", 3))
    owner.until_read()
    assert owner.store.count == 1
    assert set(live(owner.records())) == {"b@3"}


def test_what_is_acknowledged_without_its_place_counts_as_not_written_and_is_written_again(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client says so if the first acknowledgement was lost, and Kafka knew the record already."""
    owner.open()
    put, placeless = owner.producer.put, list[int]()

    def lost(delivery: Any, *args: Any, **more: Any) -> None:
        settle = delivery.settle

        def settled(known: Any) -> None:
            if not placeless:
                placeless.append(known.offset)
                known.offset = -1001
            if settle is not None:
                settle(known)

        delivery.settle = settled
        put(delivery, *args, **more)

    monkeypatch.setattr(owner.producer, "put", lost)
    entry = owner.defer(parked("b@3", 3))
    owner.until(lambda: owner.all(NotDeferred), "it is not known to be there")
    assert [event.entry for event in owner.all(NotDeferred)] == [entry]
    owner.deferred(parked("b@3", 3))
    owner.until_read()
    assert owner.store.count == 1
    assert set(live(owner.records())) == {"b@3"}


def test_a_wish_that_the_client_does_not_take_is_written_later(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kjobs.deferred.keeper.PAUSE", 0.01)
    owner.open()
    put, left = owner.producer.put, [3]

    def crowded(*args: Any, **more: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise BufferError("Local: Queue full")
        put(*args, **more)

    monkeypatch.setattr(owner.producer, "put", crowded)
    owner.write(cancel("a", "r"))
    owner.until(lambda: any(isinstance(change, Answered) for change in owner.records()), "it is answered")
    assert left == [0]


def test_a_call_goes_on_only_when_its_record_was_read(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be one of an enqueuer before it."""
    owner.open()
    owner.write(free("a", value=b"old"))
    (a,) = owner.until_given(1)
    read, owner.tail.read = owner.tail.read, lambda most, timeout=0.0: ({}, {}, set())  # type: ignore
    owner.write(free("a", 50, value=b"new"))
    owner.deferred(replace(a, due_ms=NOW - 1, failures=1, of=a.offset), a)
    (retry,) = owner.until_given(2)[1:]
    put, sent = owner.producer.put, list[Any]()
    monkeypatch.setattr(owner.producer, "put", lambda *args, **more: (sent.append(args), put(*args, **more)))
    entry = owner.erase(retry)
    behind = owner.erase(parked("b@1", 1, offset=0))
    owner.keeper.perform(Release((owner.queue, 0), []))
    owner.until(lambda: not owner.keeper._orders, "the last order is taken")
    assert not sent, "it may end what nobody has read"
    owner.tail.read = read  # type: ignore[method-assign]
    owner.until(lambda: len(owner.all(Erased)) == 2, "both are erased")
    assert [event.entry for event in owner.all(Erased)] == [entry, behind], (
        "in the order they were ordered in"
    )
    owner.until(lambda: owner.store.get("a") is not None, "the new one waits")
    owner.now_ms += 50
    assert owner.until_given(3)[2].value == b"new"


def test_a_keeper_that_stops_leaves_its_files(owner: Owner) -> None:
    owner.open()
    owner.write(free("a", 50))
    owner.until_read()
    path = owner.store.path
    owner.keeper.stop(30.0)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM call").fetchone() == (1,)
    db.close()
    assert owner.keeper.failure is None


def test_a_keeper_that_cannot_go_on_says_so(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    owner.open()

    def broken(most: int, timeout: float = 0.0) -> Any:
        raise BrokerError("the reader of the deferred store's log cannot go on: fatal")

    owner.tail.read = broken  # type: ignore[method-assign]
    owner.until(lambda: owner.keeper.failure, "it ends")
    assert "the deferred store cannot go on" in caplog.text
    owner.restart()
    owner.open()
