"""Histories as files: what is written is what is read, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import get_args

import pytest

from .good_histories import GOOD
from .history import AnyEvent, Buffered, DeadLogged, Killed, Logged, Recorder, merge, read, read_all
from .script import Script


def everyday() -> list[AnyEvent]:
    """A history with many kinds of events."""
    script = Script()
    GOOD["everyday"][0](script)
    return script.finish()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    events: list[AnyEvent] = [
        *everyday(),
        Logged(
            1.5, place=("q", 0), offset=1, call=None, key=b"\xff\x00", headers=(("h", None), ("h", b"\xfe"))
        ),
        DeadLogged(2, place=("q.dead", 0), offset=0, call=None, source=("q", 0, 1)),
    ]
    with Recorder(tmp_path / "w1.1.jsonl") as recorder:
        for event in events:
            recorder.record(event)
    assert read(tmp_path / "w1.1.jsonl") == events


def test_every_kind_of_event_has_its_own_tag() -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(AnyEvent)}
    assert len(tags) == len(get_args(AnyEvent))


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    first = [Killed(1.0, "a"), Killed(3.0, "a"), Killed(3.0, "b")]
    second = [Killed(2.0, "c"), Killed(3.0, "c")]
    (tmp_path / "below").mkdir()
    for path, events in ((tmp_path / "1.jsonl", first), (tmp_path / "below/2.jsonl", second)):
        with Recorder(path) as recorder:
            recorder.record(*events)
    merged = read_all(tmp_path)
    assert merged == merge(first, second)
    assert [(event.t, event.inc) for event in merged] == [
        (1.0, "a"),
        (2.0, "c"),
        (3.0, "a"),
        (3.0, "b"),
        (3.0, "c"),
    ]


def test_nothing_recorded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing was recorded"):
        read_all(tmp_path)


def test_a_line_that_was_cut_off_at_the_end_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Recorder(path) as recorder:
        recorder.record(Killed(1.0, "a"))
    path.write_bytes(path.read_bytes() + b'{"ev":"Killed","t":2')
    assert read(path) == [Killed(1.0, "a")]


def test_a_line_that_is_no_event_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text('{"ev":"Killed","t":1.0}\n{"ev":"Resurrected","t":2.0}\n')
    with pytest.raises(ValueError, match=r"h\.jsonl:2 is not an event.*Resurrected"):
        read(path)


def test_what_was_written_outlives_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    child = os.fork()
    if child == 0:
        recorder = Recorder(path)
        recorder.record(Killed(1.0, "a"))
        recorder.record(Killed(2.0, "a"))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert read(path) == [Killed(1.0, "a"), Killed(2.0, "a")]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with Recorder(path) as recorder:

        def write(inc: str) -> None:
            for number in range(300):
                recorder.record(Buffered(0.0, inc, records=number, size=0))

        threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read(path)
    for inc in ("w0", "w1", "w2", "w3"):
        own = [event.records for event in events if isinstance(event, Buffered) and event.inc == inc]
        assert own == list(range(300))
