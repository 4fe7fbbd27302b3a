"""A history is taken apart by partition, and nothing of it is left out or told twice."""

from __future__ import annotations

from pathlib import Path

from tests.proof import history as h
from tests.torture.eras import eras
from tests.torture.insight import prepared
from tests.torture.shards import Shards, events_of, processes_in, shards_in

_ZERO, _ONE = ("t.mail", 0), ("t.mail", 1)


def split(folder: Path, *events: h.Event) -> list[Path]:
    (folder / "histories").mkdir()
    (folder / "shards").mkdir()
    path = folder / "histories" / "w1.jsonl"
    with h.Recorder(path) as recorder:
        recorder.record(*events)
    with path.open("ab") as file:
        file.write(b'{"ev":"Started","t":1')  # its process was killed
    shards = Shards(folder / "shards")
    shards.split([path])
    shards.close()
    return shards_in(folder / "shards")


def enqueued(call: str, place: h.Place = _ZERO, offset: int = 0, t: float = 1.0) -> h.Enqueued:
    return h.Enqueued(t, "c1", call=call, place=place, offset=offset)


def test_every_partition_has_its_own(tmp_path: Path) -> None:
    shards = split(tmp_path, enqueued("a"), enqueued("b", _ONE), enqueued("c", offset=1))
    found = {shard.stem: [e.call for e in events_of(shard) if isinstance(e, h.Enqueued)] for shard in shards}
    assert found == {"t.mail-0": ["a", "c"], "t.mail-1": ["b"]}


def test_companion_topics_belong_to_their_queue(tmp_path: Path) -> None:
    dead = h.DeadLogged(2.0, place=("t.mail.dead", 0), offset=0, call="a")
    row = h.DelayedLogged(2.0, place=("t.mail.delayed", 0), offset=0, name="a", what="call")
    (shard,) = split(tmp_path, enqueued("a"), dead, row)
    assert list(events_of(shard)) == [enqueued("a"), dead, row]


def test_what_is_of_no_partition_is_of_all(tmp_path: Path) -> None:
    end = h.Killed(3.0, "w1")
    shards = split(tmp_path, enqueued("a"), enqueued("b", _ONE), end)
    assert all(end in events_of(shard) for shard in shards)


def test_commits_show_for_all_partitions_that_a_process_was_heard(tmp_path: Path) -> None:
    commit = h.Committed(2.0, "w1", place=_ONE, offset=1)
    lease = h.LeaseUntil(2.0, "w1", until=5.0)
    split(tmp_path, enqueued("a"), commit, lease)
    assert sorted(processes_in(tmp_path / "shards"), key=repr) == [commit, lease]


def test_a_delayed_call_is_where_it_was_enqueued_wherever_it_was_moved_to() -> None:
    log = ("t.mail.delayed", 0)
    put = h.Scheduled(1.0, "c1", call="a", name="a", place=log, offset=3, due=2.0)
    moved = h.DelayedLogged(1.5, "worker", place=log, offset=8, name="a", what="call", call="a", of=3)
    start = h.Started(2.0, "w1", call="a", place=_ZERO, offset=8, epoch=1)
    settled = [event for event in prepared([put, moved, start]) if isinstance(event, h.Started)]
    assert [(event.place, event.offset) for event in settled] == [(log, 3)]


def test_a_wish_is_told_by_its_request_though_the_asker_knows_only_the_call() -> None:
    row = h.DelayedLogged(1.0, place=("t.mail.delayed", 0), offset=1, name="a", what="end", request="r1")
    told = h.Told(2.0, "c1", request="?a", verdict="cancelled")
    assert [e.request for e in prepared([row, told]) if isinstance(e, h.Told)] == ["r1"]


def test_a_replayed_letter_is_known_by_what_its_record_says() -> None:
    header = ("kj-replay-of", b"t.mail.dead[0]@17")
    record = h.Logged(9.0, place=_ZERO, offset=5, call="a", headers=(header,))
    (replayed,) = (event for event in prepared([record]) if isinstance(event, h.Replayed))
    assert (replayed.place, replayed.offset, replayed.call) == (("t.mail.dead", 0), 17, "a")


def test_a_topic_made_anew_is_another_one() -> None:
    before, after = enqueued("old", t=1.0), enqueued("new", t=6.0)
    mistaken = h.Started(6.5, "w1", call="new", place=_ZERO, offset=0, epoch=1)
    taken = h.AssignedTo(7.0, "w1", place=_ZERO, epoch=2, offset=0)
    start = h.Started(8.0, "w1", call="new", place=_ZERO, offset=0, epoch=2)
    end = h.Killed(9.0, "w1")
    first, second = eras([before, after, mistaken, taken, start, end], [5.0])
    assert (list(first.events), first.last) == ([before, end], False)
    assert (list(second.events), second.last) == ([after, taken, start, end], True)


def test_a_delayed_call_whose_acknowledgement_was_lost_is_where_the_log_has_it() -> None:
    log = ("t.mail.delayed", 0)
    unknown = h.EnqueueUnknown(1.0, "c1", call="a")
    row = h.DelayedLogged(0.9, place=log, offset=3, name="a", what="call", call="a", due=2.0)
    start = h.Started(2.0, "w1", call="a", place=_ZERO, offset=3, key=b"k", epoch=1)
    whole = prepared([unknown, row, start])
    assert [(e.place, e.offset) for e in whole if isinstance(e, h.Started)] == [(log, 3)]
    assert [(e.call, e.key, e.due) for e in whole if isinstance(e, h.Scheduled)] == [("a", b"k", 2.0)]
