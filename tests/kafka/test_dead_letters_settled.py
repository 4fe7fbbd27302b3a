"""Dead letters replayed and discarded, without anything in the way."""

from __future__ import annotations

import json
import os
import pty
import random
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from kjobs.admin.dead import DeadLetters
from kjobs.admin.deadletter import State
from kjobs.admin.filters import Filter
from kjobs.errors import BrokerError, UnknownQueue
from tests.kafka.graveyard import Corpse, Graveyard

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graveyard(kafka: str, topic_prefix: str, tmp_path: Path) -> Graveyard:
    """A queue without dead letters."""
    return Graveyard(kafka, topic_prefix, tmp_path)


# --- replaying -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"7", b'{"job":"mail.send","args":[7], "unknown": 1.10}\n'),
        (None, b"\xff\xfe not json \x00"),
        (b"", b""),
        (b"\xff", None),
    ],
)
def test_a_replayed_call_is_the_one_that_died(
    graveyard: Graveyard, key: bytes | None, value: bytes | None
) -> None:
    headers: list[tuple[str, bytes | None]] = [("b", b"\x00\xff"), ("a", None), ("b", b""), ("a", b"1")]
    graveyard.bury([Corpse("x", partition=2, key=key, value=value, headers=headers)])
    assert DeadLetters(graveyard.app, "mail").replay() == 1
    (call,) = graveyard.queued()
    assert (call.partition, call.key, call.value) == (2, key, value)
    assert call.headers == [
        *headers,
        ("kj-replay-of", f"{graveyard.dead_topic}[2]@0".encode()),
        ("kj-replays", b"1"),
    ]


def test_the_settlement_is_in_the_log_of_the_letter(graveyard: Graveyard) -> None:
    graveyard.bury([Corpse("x", partition=1, key=b"k"), Corpse("y", partition=1, key=b"\xff")])
    letters = DeadLetters(graveyard.app, "mail")
    letters.replay(Filter(ids=frozenset({"x"})))
    letters.discard(Filter(ids=frozenset({"y"})))
    notes = graveyard.dead()[2:]
    assert [(note.partition, note.key, note.value) for note in notes] == [(1, b"k", None), (1, b"\xff", None)]
    assert [[name for name, _ in note.headers] for note in notes] == [
        ["kj-settles", "kj-settled", "kj-settled-by", "kj-settled-at"]
    ] * 2
    assert [note.header("kj-settles") for note in notes] == ["0", "1"]
    assert [note.header("kj-settled") for note in notes] == ["replayed", "discarded"]


def test_calls_of_a_key_come_in_the_order_of_their_deaths(graveyard: Graveyard) -> None:
    keys = [f"k{n}".encode() for n in range(12)]
    draw = random.Random(7)
    buried = [draw.randrange(12) for _ in range(3000)]
    graveyard.bury(
        Corpse(str(n), partition=key % 3, key=keys[key], value=b"%d" % n) for n, key in enumerate(buried)
    )
    seen: list[int] = []
    assert DeadLetters(graveyard.app, "mail").replay(progress=seen.append) == 3000
    assert seen == sorted(seen)
    assert seen[-1] == 3000
    assert len(seen) >= 6
    died = defaultdict(list)
    for n, key in enumerate(buried):
        died[keys[key]].append(b"%d" % n)
    queued = defaultdict(list)
    for call in graveyard.queued():
        queued[call.key].append(call.value)
    assert queued == died


def test_large_calls_are_replayed_though_the_topic_takes_few_at_a_time(graveyard: Graveyard) -> None:
    """A batch of the client counts as one record against the topic's limit."""
    values = [random.randbytes(100_000) for _ in range(60)]
    graveyard.bury(Corpse(str(n), value=value) for n, value in enumerate(values))
    assert DeadLetters(graveyard.app, "mail").replay() == 60
    assert [call.value for call in graveyard.queued()] == values


def test_only_letters_that_match_are_replayed(graveyard: Graveyard) -> None:
    graveyard.bury(Corpse(str(n), partition=n % 3, error=("a.A", "b.B")[n % 2]) for n in range(20))
    ended = graveyard.run("dead", "replay", "mail", "--error", "B", "--yes", "--json")
    assert ended.code == 0
    assert ended.objects == [{"queue": "mail", "matched": 10, "replayed": 10, "dry_run": False}]
    assert ended.err.splitlines() == ["10 dead letters of mail:", "       10  mail.send  b.B"]
    assert len(graveyard.queued()) == 10
    letters = DeadLetters(graveyard.app, "mail")
    assert {letter.error for letter in letters.list()} == {"a.A"}
    again = graveyard.run("dead", "replay", "mail", "--error", "B", "--yes", "--json")
    assert (again.code, again.objects[0]["replayed"]) == (0, 0)
    assert len(graveyard.queued()) == 10


def test_letters_that_died_after_the_survey_are_not_touched(graveyard: Graveyard) -> None:
    """Otherwise calls that die again at once would be replayed for ever."""
    graveyard.bury([Corpse("a")])
    letters = DeadLetters(graveyard.app, "mail")
    survey = letters.survey()
    graveyard.bury([Corpse("b"), Corpse("c", partition=1)])
    assert survey.letters == 1
    assert letters.replay(within=survey) == 1
    assert [letter.id for letter in letters.list()] == ["b", "c"]


def test_a_queue_with_fewer_partitions_is_refused(graveyard: Graveyard) -> None:
    graveyard.admin.create([graveyard.names.topics("small", 1, 1000)[0]], 1)
    graveyard.admin.create([graveyard.names.topics("small", 2, 1000)[2]], 1)
    with pytest.raises(UnknownQueue, match=r"has 2 partitions and \S+small has 1"):
        DeadLetters(graveyard.app, "small").replay()


def test_a_letter_that_the_queue_refuses_is_named_and_nothing_is_written(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    graveyard = Graveyard(kafka, topic_prefix, tmp_path)
    graveyard.bury([Corpse("small"), Corpse("large", value=random.randbytes(370_000))])
    with pytest.raises(BrokerError, match=r"letter 0@1 was not written .* 0 letters were replayed"):
        DeadLetters(graveyard.app, "mail").replay()
    # An open transaction would hide from the workers what comes after it.
    graveyard.enqueue(b"next")
    assert [call.value for call in graveyard.queued()] == [b"next"]
    assert {letter.id for letter in DeadLetters(graveyard.app, "mail").list()} == {"small", "large"}
    ended = graveyard.run("dead", "replay", "mail", "--yes")
    assert ended.code == 1
    assert "kjobs: letter 0@1 was not written" in ended.err


# --- discarding ----------------------------------------------------------------------------------------


def test_discarded_letters_are_settled_and_never_queued(graveyard: Graveyard) -> None:
    graveyard.bury(Corpse(str(n), partition=n % 3, key=b"%d" % (n % 2)) for n in range(10))
    ended = graveyard.run("dead", "discard", "mail", "--key", "1", "--yes")
    assert (ended.code, ended.out) == (0, "discarded 5 dead letters of mail\n")
    letters = DeadLetters(graveyard.app, "mail")
    assert {letter.key for letter in letters.list()} == {"0"}
    assert {letter.key for letter in letters.list(settled=True) if letter.state is State.DISCARDED} == {"1"}
    assert graveyard.run("dead", "replay", "mail", "--yes", "--json").objects[0]["replayed"] == 5
    assert {call.key for call in graveyard.queued()} == {b"0"}


# --- asking first --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "did"), [("replay", "replayed"), ("discard", "discarded")])
def test_a_dry_run_writes_nothing(graveyard: Graveyard, command: str, did: str) -> None:
    graveyard.bury(Corpse(str(n)) for n in range(4))
    ended = graveyard.run("dead", command, "mail", "--dry-run")
    assert (ended.code, ended.out) == (0, f"would {command} 4 dead letters of mail\n")
    as_json = graveyard.run("dead", command, "mail", "--dry-run", "--json").objects
    assert as_json == [{"queue": "mail", "matched": 4, did: 0, "dry_run": True}]
    assert graveyard.queued() == []
    assert len(graveyard.dead()) == 4


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 3), ("", 1, 3)])
def test_it_asks_before_it_acts(graveyard: Graveyard, answer: str, code: int, left: int) -> None:
    graveyard.bury(Corpse(str(n)) for n in range(3))
    ended = graveyard.run("dead", "replay", "mail", answer=answer)
    assert ended.code == code
    assert "Replay 3 dead letters of mail? [y/N]:" in ended.err
    assert len(list(DeadLetters(graveyard.app, "mail").list())) == left
    assert len(graveyard.queued()) == 3 - left
    if code:
        assert ended.err.endswith(
            "not confirmed, so nothing is replayed. Give --yes where nobody can answer.\n"
        )


def test_without_a_match_it_does_not_ask(graveyard: Graveyard) -> None:
    ended = graveyard.run("dead", "discard", "mail")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "no dead letters of mail: nothing to discard\n"
    ended = graveyard.run("dead", "replay", "mail", "--key", "7")
    assert (ended.code, ended.err) == (0, "no dead letters of mail match: nothing to replay\n")


def test_progress_is_a_bar_on_a_terminal(graveyard: Graveyard) -> None:
    graveyard.bury(Corpse(str(n), partition=n % 3) for n in range(1200))
    ours, theirs = pty.openpty()
    with graveyard.start("dead", "replay", "mail", "--yes", errors=theirs) as command:
        os.close(theirs)
        assert command.end().out == "replayed 1,200 dead letters of mail\n"
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "replaying  [####" in shown
    assert "1200/1200" in shown


# --- the whole way -------------------------------------------------------------------------------------

_JOBS = """
import json
from pathlib import Path
from kjobs import current, job


@job(name="mail.send", queue="mail", key="user", retries=0)
def send(user: int, text: str) -> None:
    call = current()
    with Path("ran").open("a") as file:
        file.write(json.dumps([call.id, call.key, text, call.attempt, call.headers]) + "\\n")
    if Path("broken").exists():
        raise ConnectionError("no route to host")
"""


def work(graveyard: Graveyard) -> list[list[object]]:
    """Run a worker until nothing is left; what its jobs saw."""
    ran = graveyard.folder / "ran"
    ran.unlink(missing_ok=True)
    ended = graveyard.run("worker", "jobs", "--burst")
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ran.read_text().splitlines()] if ran.exists() else []


def test_a_worker_runs_what_was_replayed_and_what_dies_again_can_be_replayed_again(
    graveyard: Graveyard,
) -> None:
    (graveyard.folder / "jobs.py").write_text(_JOBS)
    broken = graveyard.folder / "broken"
    broken.touch()
    value = b'{"id":"01a","job":"mail.send","args":[7,"hello"],"at":1795527100000}'
    graveyard.enqueue(value, b"7", [("traceparent", b"00-1")], partition=1)
    assert work(graveyard) == [["01a", "7", "hello", 1, {"traceparent": "00-1"}]]
    letters = DeadLetters(graveyard.app, "mail")
    (first,) = letters.list()
    assert (first.id, first.reason, first.error) == ("01a", "retries-exhausted", "builtins.ConnectionError")
    assert (first.attempts, first.place, first.replays, first.value) == (1, "1@0", 0, value)
    assert first.call_headers == [("traceparent", b"00-1")]

    assert graveyard.run("dead", "replay", "mail", "--yes").code == 0
    origin = f"{graveyard.dead_topic}[1]@0"
    headers = {"traceparent": "00-1", "kj-replay-of": origin, "kj-replays": "1"}
    assert work(graveyard) == [["01a", "7", "hello", 1, headers]]
    (second,) = letters.list()
    assert (second.replay_of, second.replays, second.value) == (origin, 1, value)
    assert [letter.place for letter in letters.find("01a")] == ["1@0", second.place]
    shown = graveyard.run("dead", "show", "mail", "01a")
    assert f"replay of {origin}, replay 1\n" in shown.out
    assert shown.err == "\nthis call died before: 1@0 (replayed)\n"

    broken.unlink()
    assert letters.replay() == 1
    headers |= {"kj-replay-of": f"{graveyard.dead_topic}[1]@{second.offset}", "kj-replays": "2"}
    assert work(graveyard) == [["01a", "7", "hello", 1, headers]]
    assert list(letters.list()) == []
    assert work(graveyard) == []


def test_records_that_are_no_calls_are_listed_shown_and_replayed(graveyard: Graveyard) -> None:
    (graveyard.folder / "jobs.py").write_text(_JOBS)
    graveyard.enqueue(b"\xff\xfe not a call", b"\xff", [("x", b"1")])
    graveyard.enqueue(None, None, partition=1)
    assert work(graveyard) == []
    letters = DeadLetters(graveyard.app, "mail")
    first, second = letters.list(Filter(reason="undecodable"))
    assert (first.id, first.job, first.value) == (
        f"{graveyard.queue_topic}-0-0",
        None,
        b"\xff\xfe not a call",
    )
    assert (second.id, second.job, second.value) == (f"{graveyard.queue_topic}-1-0", None, None)
    assert len(graveyard.run("dead", "list", "mail").out.splitlines()) == 3
    shown = graveyard.run("dead", "show", "mail", first.id)
    assert "\nvalue\n  \\xff\\xfe not a call\n" in shown.out
    assert "\nkey       \\xff\n" in shown.out
    as_json = graveyard.run("dead", "show", "mail", first.id, "--json").objects[0]
    assert (as_json["value"], as_json["value_base64"], as_json["job"]) == (None, "//4gbm90IGEgY2FsbA==", None)
    assert "\nvalue\n  null: the record has no value" in graveyard.run("dead", "show", "mail", second.id).out
    assert letters.replay() == 2
    again = [call for call in graveyard.queued() if call.header("kj-replays")]
    assert [(call.partition, call.key, call.value) for call in again] == [
        (0, b"\xff", b"\xff\xfe not a call"),
        (1, None, None),
    ]
    assert again[0].header("x") == "1"
    assert work(graveyard) == []
    assert [letter.replays for letter in letters.list()] == [1, 1]
