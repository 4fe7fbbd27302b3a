"""Dead letters: the record to the byte, and headers that say what happened to it."""

from __future__ import annotations

import time
import traceback
from typing import Any

import pytest

from kjobs.core.deferred import QUEUED, Row
from kjobs.core.events import Buried, NotBuried
from kjobs.core.outcome import Bury, Reason
from kjobs.core.partition import Entry
from kjobs.core.ports import Headers
from kjobs.core.topics import DEAD_LETTER_ALLOWANCE
from kjobs.errors import CallTooLarge, EnqueueError, OutcomeUnknown
from kjobs.worker.burial import Burial
from tests.worker.invoking import NOW, call_of, entry_of
from tests.worker.producing import FakeProducer, Sent


class Grave:
    """A burial and what it wrote."""

    def __init__(self) -> None:
        self.producer = FakeProducer()
        self.told = 0
        self.burial = Burial(
            self.producer,  # type: ignore[arg-type]
            {"kjobs.mail": "kjobs.mail.dead"},
            group="shop",
            worker="host:7",
            version="0.1.0",
            told=self._tell,
        )

    def _tell(self) -> None:
        self.told += 1

    def bury(
        self,
        value: bytes | None = b'{"id":"call-1","job":"mail.send"}',
        error: BaseException | None = None,
        *,
        reason: Reason = Reason.RETRIES_EXHAUSTED,
        attempts: int = 9,
        **record: Any,
    ) -> Entry:
        entry = entry_of(value, **record)
        entry.burial = Bury(reason, error or ValueError("no"), attempts)
        self.burial.bury(entry)
        return entry

    @property
    def last(self) -> Sent:
        return self.producer.sent[-1]


@pytest.fixture
def grave() -> Grave:
    return Grave()


def raised(error: BaseException, depth: int = 1) -> BaseException:
    """The error with a traceback of some frames."""
    try:
        fall(error, depth)
    except BaseException as caught:
        return caught
    raise AssertionError


def fall(error: BaseException, depth: int) -> None:
    """Raise the error so deep down. Two functions take turns: Python sums up repeated lines of one."""
    if depth <= 1:
        raise error
    fall_on(error, depth - 1)


def fall_on(error: BaseException, depth: int) -> None:
    if depth <= 1:
        raise error
    fall(error, depth - 1)


# --- the record ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [call_of("mail.send", 7), b"\xff\0 no json", b"", None])
@pytest.mark.parametrize("key", [b"7", b"\xff", b"", None])
def test_value_key_and_partition_are_those_of_the_call(
    grave: Grave, value: bytes | None, key: bytes | None
) -> None:
    grave.bury(value, key=key)
    assert (grave.last.value, grave.last.key, grave.last.partition) == (value, key, 3)
    assert grave.last.delivery.topic == "kjobs.mail.dead"


def test_the_headers_say_what_happened(grave: Grave) -> None:
    before = int(time.time() * 1000)
    error = raised(LookupError("no such user"))
    grave.bury(error=error, reason=Reason.REJECTED, attempts=3)
    headers = dict(grave.last.headers)
    assert before <= int(headers.pop("kj-failed-at")) <= int(time.time() * 1000)
    assert headers.pop("kj-traceback") == "".join(traceback.format_exception(error))
    assert headers == {
        "kj-id": "call-1",
        "kj-job": "mail.send",
        "kj-reason": "rejected",
        "kj-error": "builtins.LookupError",
        "kj-message": "no such user",
        "kj-attempts": "3",
        "kj-topic": "kjobs.mail",
        "kj-partition": "3",
        "kj-offset": "17",
        "kj-timestamp": str(int(NOW * 1000)),
        "kj-group": "shop",
        "kj-worker": "host:7",
        "kj-version": "0.1.0",
    }


def test_what_the_call_has_stored_goes_with_it_if_there_is_room(grave: Grave) -> None:
    entry = entry_of(b'{"id":"call-1","job":"mail.send"}')
    entry.row = Row(id="call-1@17", value=b"", due_ms=0, rank=(17, QUEUED), state=b'{"page":7}')
    entry.burial = Bury(Reason.REJECTED, ValueError("no"), 1)
    grave.burial.bury(entry)
    assert grave.last.headers["kj-state"] == '{"page":7}'
    grave.last.acknowledge(CallTooLarge("too large"))
    assert "kj-state" not in grave.last.headers


def test_a_record_that_cannot_be_read_is_named_by_its_place(grave: Grave) -> None:
    grave.bury(b"\xff", reason=Reason.UNDECODABLE, attempts=0)
    assert grave.last.headers["kj-id"] == "kjobs.mail-3-17"
    assert "kj-job" not in grave.last.headers
    assert "kj-traceback" not in grave.last.headers, "it was never raised"
    grave.bury(b'{"job":"j"}')
    assert (grave.last.headers["kj-id"], grave.last.headers["kj-job"]) == ("kjobs.mail-3-17", "j")


def test_the_callers_headers_are_kept_and_kjobs_own_are_not_forged(grave: Grave) -> None:
    caller: Headers = [
        ("traceparent", b"00-ab"),
        ("kj-reason", b"forged"),
        ("kj-whatever", b"forged"),
        ("kj-replay-of", b"kjobs.mail.dead[3]@1"),
        ("kj-replays", b"2"),
        ("same", b"1"),
        ("same", b"2"),
        ("none", None),
        ("bytes", b"\xff"),
    ]
    entry = entry_of(b"{}", headers=caller)
    entry.burial = Bury(Reason.UNDECODABLE, ValueError(), 0)
    grave.burial.bury(entry)
    kept = [(name, value) for name, value in grave.last.raw if (name, value) in caller]
    assert kept == [pair for pair in caller if pair[1] != b"forged"]
    assert [value for name, value in grave.last.raw if name == "kj-reason"] == [b"undecodable"]
    assert "kj-whatever" not in [name for name, _ in grave.last.raw]


# --- how much of it -----------------------------------------------------------------------------------


def test_a_long_message_is_cut(grave: Grave) -> None:
    grave.bury(error=ValueError("ä" * 5000))
    assert grave.last.headers["kj-message"] == "ä" * 1024


def test_a_long_traceback_is_shortened_in_the_middle(grave: Grave) -> None:
    error = raised(ValueError("the end"), depth=150)
    whole = "".join(traceback.format_exception(error))
    grave.bury(error=error)
    kept = grave.last.headers["kj-traceback"]
    assert len(whole) > 8192 >= len(kept) > 8000
    head, _, tail = kept.partition("\n…\n")
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert tail.endswith("ValueError: the end\n")
    assert abs(len(head) - len(tail)) < 10


@pytest.mark.parametrize(
    "value",
    [
        call_of("j" * 200_000),
        call_of("mail.send", id="i" * 200_000),
        call_of("ж" * 100_000, id="ж" * 100_000),
        call_of("mail.send"),
    ],
    ids=["long name", "long id", "both", "plain"],
)
def test_no_record_and_no_error_makes_more_headers_than_the_topic_has_room_for(
    grave: Grave, value: bytes
) -> None:
    error = raised(ValueError("ж" * 100_000), depth=150)
    grave.bury(value, error)
    assert sum(len(name) + len(text or b"") for name, text in grave.last.raw) <= DEAD_LETTER_ALLOWANCE


def test_if_the_record_is_too_large_it_is_sent_again_without_the_traceback(grave: Grave) -> None:
    entry = grave.bury(error=raised(ValueError("no")))
    assert "kj-traceback" in grave.last.headers
    grave.last.acknowledge(CallTooLarge("too large"))
    assert len(grave.producer.sent) == 2
    assert grave.told == 0
    assert grave.burial.collect() == []
    assert "kj-traceback" not in grave.last.headers
    assert grave.last.headers["kj-message"] == "no"
    assert grave.last.value == entry.record.value()
    grave.last.acknowledge()
    assert [(type(event), event.entry) for event, _, _ in grave.burial.collect()] == [(Buried, entry)]


def test_the_client_may_say_so_at_once(grave: Grave) -> None:
    grave.producer.trouble = lambda sent: CallTooLarge("no") if "kj-traceback" in sent.headers else None
    grave.bury(error=raised(ValueError("no")))
    assert [list(sent.headers).count("kj-traceback") for sent in grave.producer.sent] == [0]


def test_a_record_that_is_too_large_even_so_is_told(grave: Grave) -> None:
    grave.producer.trouble = lambda sent: CallTooLarge("no")
    entry = grave.bury(error=raised(ValueError("no")))
    ((event, burial, error),) = grave.burial.collect()
    assert (type(event), event.entry, burial) == (NotBuried, entry, entry.burial)
    assert isinstance(error, CallTooLarge)


# --- what became of it --------------------------------------------------------------------------------


def test_what_became_of_it_is_told_once_and_wakes_the_owner(grave: Grave) -> None:
    first, second = grave.bury(), grave.bury()
    assert (grave.burial.collect(), grave.told) == ([], 0)
    grave.producer.sent[1].acknowledge()
    grave.producer.sent[0].acknowledge(OutcomeUnknown("no answer"))
    assert grave.told == 2
    found = grave.burial.collect()
    assert [(type(event), event.entry) for event, _, _ in found] == [(Buried, second), (NotBuried, first)]
    assert [type(error) for _, _, error in found] == [type(None), OutcomeUnknown]
    assert grave.burial.collect() == []


@pytest.mark.parametrize("trouble", [BufferError("Local: Queue full"), OutcomeUnknown("gone")])
def test_a_producer_that_does_not_take_it_is_no_exception(grave: Grave, trouble: Exception) -> None:
    grave.producer.trouble = lambda sent: trouble
    entry = grave.bury()
    ((event, _, error),) = grave.burial.collect()
    assert (type(event), event.entry) == (NotBuried, entry)
    assert isinstance(error, EnqueueError)
    assert str(trouble) in str(error)
    assert grave.told == 1


# --- errors that misbehave ----------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Loud(Exception):
    def __str__(self) -> str:
        return "\ud800 half a pair"


class Deep(Exception):
    def __str__(self) -> str:
        return str(self)


@pytest.mark.parametrize("kind", [Mute, Loud, Deep])
def test_an_error_that_cannot_be_told_is_buried_all_the_same(grave: Grave, kind: type[Exception]) -> None:
    grave.bury(error=raised(kind()))
    headers = grave.last.headers
    assert headers["kj-error"] == f"tests.worker.test_burial.{kind.__qualname__}"
    assert headers["kj-message"]
    assert "in fall" in headers["kj-traceback"]
    if kind is Mute:
        assert headers["kj-message"] == "<the error's own __str__ raised RuntimeError>"


def test_a_group_of_errors_is_told_as_python_does(grave: Grave) -> None:
    grave.bury(error=raised(ExceptionGroup("both", [ValueError("a"), KeyError("b")])))
    assert "ValueError: a" in grave.last.headers["kj-traceback"]
    assert "KeyError: 'b'" in grave.last.headers["kj-traceback"]
