"""What a worker says: levels, words, fields, events."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from kjobs import events
from kjobs.core.deferred import Row
from kjobs.core.events import Committed
from kjobs.core.hotkeys import HotKey
from kjobs.core.outcome import Bury, Reason
from kjobs.core.partition import Entry
from kjobs.core.resume import Resumption
from kjobs.kafka.survey import Unreadable
from kjobs.worker.report import Report, brief, spelled
from tests.worker.invoking import NOW, call_of, entry_of

#: Attributes that logging itself gives every record, and that ``extra`` may not have.
LOGGINGS = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class Heard:
    """What was logged and emitted."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self.events: list[Any] = []
        self.report = Report({"kjobs.mail": "mail"})

    @property
    def line(self) -> logging.LogRecord:
        """The only line that was logged."""
        (line,) = self._caplog.records
        return line

    @property
    def lines(self) -> list[logging.LogRecord]:
        return self._caplog.records

    @property
    def fields(self) -> dict[str, Any]:
        """The extra fields of that line."""
        return {name: value for name, value in self.line.__dict__.items() if name not in LOGGINGS}


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Heard:
    monkeypatch.setattr(events, "_subscribers", {})
    caplog.set_level(logging.DEBUG, "kjobs.worker")
    found = Heard(caplog)
    kinds = [
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)
    ]
    events.subscribe(found.events.append, *kinds)
    return found


def entry(failures: int = 0, key: bytes | None = b"7", value: bytes | None = None) -> Entry:
    return entry_of(call_of("mail.send") if value is None else value, key=key, failures=failures)


CALL: dict[str, Any] = {
    "job": "mail.send",
    "queue": "mail",
    "key": "7",
    "partition": 3,
    "offset": 17,
    "epoch": 1,
}


def error_of(text: str = "no") -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


# --- clocks and the store -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "words", "seconds"),
    [
        (7.4, "this worker's clock is 7 s behind the broker's: delayed calls start that much too late", -7.4),
        (
            -90.0,
            "this worker's clock is 90 s ahead of the broker's: delayed calls start that much too early",
            90.0,
        ),
    ],
)
def test_clocks_that_are_far_apart_are_told(heard: Heard, ahead: float, words: str, seconds: float) -> None:
    heard.report.clocks_apart(ahead)
    assert (heard.line.levelname, heard.line.getMessage()) == ("WARNING", words)
    assert heard.fields == {"event": "clock.apart", "seconds": seconds}
    assert heard.events == [events.ClocksApart(seconds)]


@pytest.mark.parametrize("ahead", [0.0, 5.0, -5.0])
def test_clocks_that_are_near_are_not_told(heard: Heard, ahead: float) -> None:
    heard.report.clocks_apart(ahead)
    assert (heard.lines, heard.events) == ([], [])


def test_clocks_are_told_of_once_a_minute(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr("kjobs.worker.report.time.monotonic", lambda: now)
    heard.report.clocks_apart(9.0)
    now += 59.9
    heard.report.clocks_apart(-9.0)
    assert len(heard.events) == 1
    now += 0.2
    heard.report.clocks_apart(-9.0)
    assert heard.events == [events.ClocksApart(-9.0), events.ClocksApart(9.0)]


def test_a_call_that_goes_to_the_store_is_told_when_it_came_from_the_queue(heard: Heard) -> None:
    call = entry(failures=1)
    call.deferral = Row(id="call-1@17", value=None, due_ms=int(NOW * 1000) + 3_600_000)
    heard.report.deferred(call)
    assert heard.events == [events.CallDeferred(**CALL, id="call-1", attempt=2, due=NOW + 3600)]
    call.row = call.deferral
    heard.report.deferred(call)
    assert len(heard.events) == 1, "what was there before is no news"


# --- calls --------------------------------------------------------------------------------------------


def test_a_retry_is_a_warning(heard: Heard) -> None:
    error = error_of("the bank\nis closed")
    heard.report.retrying(entry(failures=2), error, NOW + 4, NOW)
    assert heard.line.levelname == "WARNING"
    assert heard.line.name == "kjobs.worker"
    assert heard.line.getMessage() == (
        "mail.send call-1 key='7': attempt 2 failed, retry in 4s: ValueError: the bank is closed"
    )
    assert heard.fields == {
        "event": "call.retried",
        "call_id": "call-1",
        **CALL,
        "attempt": 2,
        "due": NOW + 4,
        "error": "ValueError",
    }
    assert heard.line.exc_info is None, "a retry is no news that needs a traceback"
    assert heard.events == [events.CallRetried(id="call-1", **CALL, attempt=2, error=error, due=NOW + 4)]
    assert (heard.report.totals.failed, heard.report.totals.retried) == (1, 1)


def test_a_death_is_an_error_with_its_traceback(heard: Heard) -> None:
    error = error_of()
    heard.report.buried(entry(failures=3), Bury(Reason.RETRIES_EXHAUSTED, error, 4))
    assert heard.line.levelname == "ERROR"
    assert heard.line.getMessage() == (
        "mail.send call-1 key='7' is dead after 4 attempts (retries-exhausted): ValueError: no"
    )
    assert heard.line.exc_info == (ValueError, error, error.__traceback__)
    assert heard.fields == {
        "event": "call.dead",
        "call_id": "call-1",
        **CALL,
        "attempt": 4,
        "reason": "retries-exhausted",
        "error": "ValueError",
    }
    (event,) = heard.events
    assert event == events.CallBuried(id="call-1", **CALL, attempt=4, reason="retries-exhausted", error=error)
    assert (heard.report.totals.failed, heard.report.totals.dead) == (1, 1)


def test_a_record_that_never_ran_did_not_fail(heard: Heard) -> None:
    heard.report.buried(entry(value=b"\xff", key=None), Bury(Reason.UNDECODABLE, error_of(), 0))
    assert heard.line.getMessage().startswith("record kjobs.mail-3-17 is dead after 0 attempts (undecodable)")
    assert (heard.fields["job"], heard.fields["key"]) == ("", None)
    assert (heard.report.totals.failed, heard.report.totals.dead) == (0, 1)


def test_a_burial_that_failed_is_an_error(heard: Heard) -> None:
    heard.report.not_buried(entry(failures=1), OSError("full"))
    assert heard.line.levelname == "ERROR"
    assert "holds its key until it is: full" in heard.line.getMessage()
    assert (heard.fields["event"], heard.fields["call_id"], heard.fields["attempt"]) == (
        "burial.failed",
        "call-1",
        2,
    )
    assert heard.events == [events.BurialFailed(id="call-1", **CALL, attempt=2, error="full")]


def test_a_drop_is_told_without_alarm(heard: Heard) -> None:
    heard.report.dropped(entry(), "expired 3s ago")
    assert heard.line.levelname == "INFO"
    assert heard.line.getMessage() == "mail.send call-1 key='7' dropped: expired 3s ago"
    assert heard.fields == {
        "event": "call.dropped",
        "call_id": "call-1",
        **CALL,
        "attempt": 1,
        "why": "expired 3s ago",
    }
    assert heard.events == [events.CallDropped(id="call-1", **CALL, attempt=1, why="expired 3s ago")]
    assert heard.report.totals.dropped == 1


FORGED = "x\n2026-01-01 ERROR root: all is lost\r\x1b[31m"


def test_nothing_in_a_record_can_forge_a_line(heard: Heard) -> None:
    record = entry(value=call_of(FORGED, id=FORGED), key=FORGED.encode())
    heard.report.retrying(record, error_of(FORGED), NOW, NOW)
    heard.report.buried(record, Bury(Reason.UNKNOWN_JOB, ValueError(FORGED), 0))
    heard.report.dropped(record, FORGED)
    heard.report.not_buried(record, OSError(FORGED))
    for line in heard.lines:
        assert not {"\n", "\r", "\x1b"} & set(line.getMessage())


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_in_one_line() -> None:
    assert brief(ValueError("no")) == "ValueError: no"
    assert brief(ValueError()) == "ValueError"
    assert brief(ValueError("a\r\nb")) == "ValueError: a  b"
    assert brief(Mute()) == "Mute: <its __str__ raised>"
    assert len(brief(ValueError("x" * 10_000))) < 400


def test_an_error_that_cannot_be_told_is_logged_all_the_same(heard: Heard) -> None:
    heard.report.retrying(entry(), Mute(), NOW, NOW)
    heard.report.buried(entry(), Bury(Reason.NOT_RETRIED, Mute(), 1))
    assert all("<its __str__ raised>" in line.getMessage() for line in heard.lines)
    assert logging.Formatter().format(heard.lines[1])


# --- the summary --------------------------------------------------------------------------------------


def test_the_summary_is_info_and_counts_what_is_new(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    report = Report({"kjobs.mail": "mail"})
    report.finished(1500)
    assert not report.summary_due()
    now += 10
    assert report.summary_due()
    report.summary(int((time.time() - 7) * 1000), 12_345)
    line = heard.line
    assert line.levelname == "INFO"
    assert line.getMessage().startswith(
        "1,500 done, 0 failed, 0 retried, 0 dead, 0 dropped in 10s (150/s), 12,345 in hand, "
    )
    fields = heard.fields
    assert fields.pop("longest_wait") == pytest.approx(7, abs=1)
    assert fields == {
        "event": "worker.summary",
        "done": 1500,
        "failed": 0,
        "retried": 0,
        "dead": 0,
        "dropped": 0,
        "rate": 150.0,
        "held": 12_345,
        "hot_keys": [],
    }
    heard.lines.clear()
    assert not report.summary_due()
    now += 10
    report.summary(None, 0)
    assert heard.lines == [], "nothing happened"
    report.finished(5)
    now += 10
    report.summary(None, 0)
    assert heard.line.getMessage().startswith("5 done, 0 failed")


def test_the_summary_names_the_key_that_most_calls_wait_for(heard: Heard) -> None:
    report = heard.report
    report.finished(5)
    report.summary(None, 100, [HotKey(("kjobs.mail", 3), b"7\xff", 80, 0, running=True, parked=False)])
    assert heard.line.getMessage().endswith("; 80 of them have key '7\\\\xff' (kjobs.mail[3])")
    (told,) = heard.fields["hot_keys"]
    assert (told["key"], told["waiting"], told["partition"], told["running"]) == ("7\\xff", 80, 3, True)


def test_a_dump_names_the_hot_keys_and_nothing_if_there_are_none(heard: Heard) -> None:
    heard.report.hot([])
    assert heard.lines == []
    heard.report.hot([HotKey(("kjobs.mail", 3), b"7", 80, 0, running=False, parked=True)])
    assert "kjobs.mail[3] key='7': 80 calls" in heard.line.getMessage()
    assert heard.fields["event"] == "worker.hot"
    assert heard.fields["hot_keys"][0]["parked"] is True


# --- partitions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "words"),
    [("kjobs.mail", "Their calls were not run."), ("kjobs.mail.delayed", "Delayed calls may be missing")],
)
def test_what_cannot_be_read_is_an_error_with_the_exact_range(heard: Heard, topic: str, words: str) -> None:
    heard.report.unreadable((topic, 3), Unreadable(20, 33, "bad checksum"))
    line = heard.line
    assert line.levelname == "ERROR"
    assert line.getMessage().startswith(
        f"{topic}[3]: offsets 20 to 32 cannot be read and were stepped over: bad checksum. {words}"
    )
    assert heard.fields == {
        "event": "records.unreadable",
        "topic": topic,
        "partition": 3,
        "first": 20,
        "end": 33,
        "reason": "bad checksum",
    }
    assert heard.events == [events.RecordsUnreadable(topic, 3, 20, 33, "bad checksum")]
    assert heard.events[0].records == 13


def test_what_retention_took_is_an_error_with_the_exact_range(heard: Heard) -> None:
    heard.report.resumed(("kjobs.mail", 3), Resumption(130, gap=(100, 130)))
    assert heard.line.levelname == "ERROR"
    assert "kjobs.mail[3]: offsets 100 to 129 are gone" in heard.line.getMessage()
    assert heard.fields == {
        "event": "records.missing",
        "topic": "kjobs.mail",
        "partition": 3,
        "first": 100,
        "end": 130,
    }
    assert heard.events == [events.RecordsMissing("kjobs.mail", 3, 100, 130)]


def test_another_topic_of_the_same_name_is_an_error(heard: Heard) -> None:
    heard.report.resumed(("kjobs.mail", 3), Resumption(0, replaced=True))
    assert heard.line.levelname == "ERROR"
    assert heard.events == [events.TopicReplaced("kjobs.mail", 3)]


def test_going_on_as_usual_is_no_news(heard: Heard) -> None:
    heard.report.resumed(("kjobs.mail", 3), Resumption(5))
    assert (heard.lines, heard.events) == ([], [])


def test_partitions_come_go_and_are_lost(heard: Heard) -> None:
    heard.report.assigned(("kjobs.mail", 3), 17)
    heard.report.revoked([("kjobs.mail", 3), ("kjobs.mail", 1), ("kjobs.pay", 0)])
    heard.report.lost([("kjobs.mail", 3)])
    assert [(line.levelname, line.__dict__["event"]) for line in heard.lines] == [
        ("DEBUG", "partition.assigned"),
        ("INFO", "partitions.revoked"),
        ("WARNING", "partitions.lost"),
    ]
    assert heard.lines[1].getMessage() == "gave back kjobs.mail[1,3], kjobs.pay[0]"
    assert "may run again elsewhere" in heard.lines[2].getMessage()
    assert [type(event).__name__ for event in heard.events] == [
        "PartitionsAssigned",
        "PartitionsRevoked",
        "PartitionsLost",
    ]
    assert spelled([]) == ""


def test_commits_are_events_and_failed_ones_are_debug_lines(heard: Heard) -> None:
    heard.report.committed(Committed(("kjobs.mail", 3), 17), sent=5.0)
    assert heard.lines == []
    heard.report.committed(Committed(("kjobs.mail", 3), 18, "coordinator loading"), sent=6.0)
    assert heard.line.levelname == "DEBUG"
    assert heard.events == [
        events.OffsetsCommitted([("kjobs.mail", 3, 17)], 5.0),
        events.CommitFailed("kjobs.mail", 3, 18, "coordinator loading"),
    ]
