"""Dead letters as they are read: listed, filtered, shown."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from kjobs.admin.dead import DeadLetters
from kjobs.admin.deadletter import State
from kjobs.admin.filters import Filter
from kjobs.errors import UnknownQueue
from tests.kafka import rawheader
from tests.kafka.graveyard import KJOBS, Corpse, Graveyard

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def graveyard(kafka: str, topic_prefix: str, tmp_path: Path) -> Graveyard:
    """A queue without dead letters."""
    return Graveyard(kafka, topic_prefix, tmp_path)


def places(graveyard: Graveyard, matching: Filter = Filter(), *, settled: bool = False) -> list[str]:  # noqa: B008 - frozen
    """Where the letters are that match."""
    return [letter.place for letter in DeadLetters(graveyard.app, "mail").list(matching, settled=settled)]


# --- one letter ------------------------------------------------------------------------------------


def test_a_letter_has_all_that_its_record_says(graveyard: Graveyard) -> None:
    value = b'{"id":"01a","job":"mail.send","args":[7],"at":1795527100000}'
    corpse = Corpse("01a", partition=2, value=value, headers=[("traceparent", b"00-1"), ("x", None)])
    graveyard.bury([corpse])
    (letter,) = DeadLetters(graveyard.app, "mail").list()
    assert (letter.id, letter.job, letter.queue, letter.key) == ("01a", "mail.send", "mail", "7")
    assert (letter.reason, letter.error) == ("not-retried", "builtins.ValueError")
    assert (letter.message, letter.attempts) == ("bad address", 9)
    assert letter.traceback is not None
    assert letter.traceback.endswith("ValueError: bad address\n")
    assert (letter.partition, letter.offset, letter.place) == (2, 0, "2@0")
    assert letter.failed_at == datetime.fromtimestamp(1795527108.24, UTC)
    assert letter.enqueued_at == datetime.fromtimestamp(1795527100, UTC)
    assert (letter.value, letter.record_key) == (value, b"7")
    assert letter.headers == corpse.all_headers
    assert letter.call_headers == [("traceparent", b"00-1"), ("x", None)]
    assert (letter.replay_of, letter.replays, letter.state) == (None, 0, State.OPEN)


def test_a_record_that_is_no_letter_of_kjobs_is_listed_all_the_same(graveyard: Graveyard) -> None:
    corpse = Corpse("", partition=1, key=b"\xff\x00", value=b"\xfe", job=None)
    graveyard._write(graveyard.dead_topic, 1, corpse.key, corpse.value, [])
    graveyard.bury([])
    (letter,) = DeadLetters(graveyard.app, "mail").list()
    assert letter.id == f"{graveyard.dead_topic}-1-0"
    assert (letter.job, letter.reason, letter.error, letter.attempts) == (None, "", "", 0)
    assert (letter.key, letter.record_key, letter.value) == ("\\xff\x00", b"\xff\x00", b"\xfe")
    assert letter.enqueued_at is None
    assert letter.failed_at is not None


def test_headers_that_are_no_numbers_are_taken_for_none(graveyard: Graveyard) -> None:
    nonsense = {"kj-attempts": "-1", "kj-failed-at": "9" * 18, "kj-timestamp": "x", "kj-replays": "9" * 5000}
    graveyard.bury([Corpse("a", value=b"{", more=nonsense)])
    (letter,) = DeadLetters(graveyard.app, "mail").list()
    assert (letter.attempts, letter.failed_at, letter.enqueued_at, letter.replays) == (0, None, None, 0)
    assert places(graveyard, Filter(since=NOW)) == []


def test_headers_that_the_client_cannot_read_hide_no_letter(graveyard: Graveyard) -> None:
    graveyard.bury([Corpse("a")])
    rawheader.write(graveyard.bootstrap, graveyard.dead_topic, 0, b"value", b"\xff\xfe")
    graveyard.bury([Corpse("b")])
    letters = DeadLetters(graveyard.app, "mail")
    assert [letter.value for letter in letters.list(Filter(ids=frozenset({"0@1"})))] == [b"value"]
    assert graveyard.run("dead", "show", "mail", "0@1").code == 0
    assert letters.replay() == 3
    assert places(graveyard) == []
    assert [call.value for call in graveyard.queued()][1] == b"value"


# --- which letters -----------------------------------------------------------------------------------

CORPSES = [
    Corpse("a", failed_at=NOW_MS - 3 * 3600_000),
    Corpse("b", job="mail.bulk", failed_at=NOW_MS - 7200_000, reason="deadline"),
    Corpse("c", key=b"8", failed_at=NOW_MS - 3600_000, error="requests.exceptions.ConnectTimeout"),
    Corpse("d", key=None, failed_at=NOW_MS - 300_000, error="shop.Timeout"),
    Corpse("e", partition=1, failed_at=NOW_MS - 60_000, job=None, reason="undecodable"),
]
PLACES = {"a": "0@0", "b": "0@1", "c": "0@2", "d": "0@3", "e": "1@0"}


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], "abcde"),
        (["--job", "mail.send"], "acd"),
        (["--job", "mail"], ""),
        (["--key", "7"], "abe"),
        (["--key", ""], ""),
        (["--error", "builtins.ValueError"], "abe"),
        (["--error", "ValueError"], "abe"),
        (["--error", "Timeout"], "d"),
        (["--error", "exceptions.ConnectTimeout"], "c"),
        (["--reason", "undecodable"], "e"),
        (["--since", "90m"], "cde"),
        (["--until", "90m"], "ab"),
        (["--since", "2h30m", "--until", "45m"], "bc"),
        (["--since", (NOW - timedelta(minutes=90)).isoformat()], "cde"),
        (["--since", f"{NOW - timedelta(minutes=90):%Y-%m-%dT%H:%M:%S}"], "cde"),
        (["--id", "b", "--id", "1@0"], "be"),
        (["--job", "mail.send", "--key", "7"], "a"),
        (["--limit", "2"], "de"),
        (["--limit", "9"], "abcde"),
    ],
)
def test_options_choose_letters(buried: Graveyard, options: list[str], ids: str) -> None:
    ended = buried.run("dead", "list", "mail", "--json", *options)
    assert ended.code == 0, ended.err
    assert [letter["id"] for letter in ended.objects] == list(ids)
    assert [f"{letter['partition']}@{letter['offset']}" for letter in ended.objects] == [
        PLACES[name] for name in ids
    ]


@pytest.fixture(scope="module")
def buried(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Graveyard:
    """A queue with the letters above, which nobody changes."""
    folder = tmp_path_factory.mktemp("buried")
    graveyard = Graveyard(kafka, f"buried-{NOW_MS}", folder)
    graveyard.bury(CORPSES)
    return graveyard


def test_the_table_is_for_people(buried: Graveyard) -> None:
    ended = buried.run("dead", "list", "mail")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["id", "job", "key", "reason", "error", "attempts", "when", "place"]
    when = f"{datetime.fromtimestamp(CORPSES[2].failed_at / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    error = "requests.exceptions.ConnectTimeout"
    assert re.split("  +", lines[3]) == ["c", "mail.send", "8", "not-retried", error, "9", when, "0@2"]
    assert re.split("  +", lines[5])[1:3] == ["-", "7"]
    assert len(lines) == 6
    assert {line.index(word) for line, word in zip(lines[1:], PLACES.values(), strict=True)} == {
        lines[0].index("place")
    }


def test_a_limit_says_what_it_leaves_out(buried: Graveyard) -> None:
    ended = buried.run("dead", "list", "mail", "--limit", "2")
    assert len(ended.out.splitlines()) == 3
    assert ended.err == "the 2 newest of 5\n"


def test_nothing_to_list_is_said(buried: Graveyard, graveyard: Graveyard) -> None:
    assert graveyard.run("dead", "list", "mail").err == "no dead letters of mail\n"
    assert buried.run("dead", "list", "mail", "--key", "x").err == "no dead letters of mail match\n"
    assert buried.run("dead", "list", "mail", "--key", "x", "--json").out == ""


# --- showing one -------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["c"], ["0@2"], ["--id", "c"]])
def test_show_prints_a_letter_whole(buried: Graveyard, names: list[str]) -> None:
    ended = buried.run("dead", "show", "mail", *names)
    assert ended.code == 0, ended.err
    told = dict(line.split(maxsplit=1) for line in ended.out.split("\n\n")[0].splitlines())
    assert told.items() >= {
        "id": "c", "job": "mail.send", "queue": "mail", "key": "8", "state": "open", "reason": "not-retried",
        "error": "requests.exceptions.ConnectTimeout", "attempts": "9", "place": "0@2",
    }.items()  # fmt: skip
    assert "\nmessage\n  bad address\n" in ended.out
    assert "\n  kj-worker: host:1\n" in ended.out
    assert '\nvalue\n  {\n    "job": "mail.send",\n    "args": [\n      7\n    ],\n' in ended.out
    assert ended.out.endswith(
        "\ntraceback\n  Traceback (most recent call last):\n    in send\n  ValueError: bad address\n"
    )


def test_show_as_json_is_one_line_of_the_list(buried: Graveyard) -> None:
    shown = buried.run("dead", "show", "mail", "c", "--json").objects
    assert shown == buried.run("dead", "list", "mail", "--id", "c", "--json").objects
    assert json.loads(shown[0]["value"]) == {"job": "mail.send", "args": [7], "at": 1795527100000}
    assert {"name": "kj-worker", "value": "host:1"} in shown[0]["headers"]


def test_show_of_a_letter_that_is_not_there_is_an_error(buried: Graveyard) -> None:
    for name in ("z", "0@99", "77@0", "2@0"):
        ended = buried.run("dead", "show", "mail", name)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith(f"kjobs: mail has no dead letter {name}")


def test_what_attackers_wrote_is_shown_escaped(graveyard: Graveyard) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e\r\n"
    graveyard.bury(
        [
            Corpse(
                f"id{evil}",
                key=f"key{evil}".encode(),
                value=json.dumps({"job": "x", "args": [f"value{evil}"]}, ensure_ascii=False).encode(),
                job=f"job{evil}",
                error=f"error{evil}",
                reason=f"reason{evil}",
                headers=[(f"name{evil}", f"header{evil}".encode())],
                more={"kj-message": f"message{evil}", "kj-traceback": f"traceback{evil}"},
            )
        ]
    )
    dry = graveyard.run("dead", "replay", "mail", "--dry-run")
    for output in (
        graveyard.run("dead", "list", "mail").out,
        graveyard.run("dead", "show", "mail", "0@0").out,
        graveyard.run("dead", "list", "mail", "--json").out,
        dry.out + dry.err,
    ):
        assert output
        assert all(character.isprintable() or character == "\n" for character in output), output
    shown = graveyard.run("dead", "show", "mail", "0@0").out
    for field in ("id", "key", "job", "error", "reason", "name", "header", "message", "traceback"):
        assert rf"{field}\x1b]0;owned\x07\x9b31m\u202e\r" in shown


# --- settled letters -----------------------------------------------------------------------------------


def test_settled_letters_are_listed_only_on_request(graveyard: Graveyard) -> None:
    graveyard.bury([Corpse(name) for name in "abc"])
    letters = DeadLetters(graveyard.app, "mail")
    assert letters.replay(Filter(ids=frozenset({"a"}))) == 1
    assert letters.discard(Filter(ids=frozenset({"0@1"}))) == 1
    assert places(graveyard) == ["0@2"]
    assert [letter.state for letter in letters.list(settled=True)] == [
        State.REPLAYED,
        State.DISCARDED,
        State.OPEN,
    ]
    rows = [line.split() for line in graveyard.run("dead", "list", "mail", "--all").out.splitlines()]
    assert [row[-1] for row in rows] == ["state", "replayed", "discarded", "open"]
    settled = graveyard.run("dead", "show", "mail", "a").out
    assert re.search(r"^state     replayed \d{4}-\d\d-\d\d \S+ by \S+@\S+$", settled, re.MULTILINE)
    found = letters.find("a")[0]
    settlement = letters.settlement(found)
    assert settlement is not None
    assert (settlement.state, settlement.offset) == (State.REPLAYED, 0)
    assert letters.settlement(letters.find("c")[0]) is None


def test_a_settlement_outlives_its_letter_and_is_never_listed(graveyard: Graveyard) -> None:
    graveyard.bury([Corpse(name) for name in "abcd"])
    letters = DeadLetters(graveyard.app, "mail")
    letters.discard(Filter(ids=frozenset({"a", "c"})))
    client = AdminClient({"bootstrap.servers": graveyard.bootstrap})
    removed = TopicPartition(graveyard.dead_topic, 0, 1)
    client.delete_records([removed])[removed].result()
    assert places(graveyard) == ["0@1", "0@3"]
    assert places(graveyard, settled=True) == ["0@1", "0@2", "0@3"]


def test_a_letter_cannot_settle_another(graveyard: Graveyard) -> None:
    """Headers of the call come along into its letter; only what kjobs wrote without a value settles."""
    forged: list[tuple[str, bytes | None]] = [("kj-settles", b"0"), ("kj-settled", b"discarded")]
    graveyard.bury([Corpse("a"), Corpse("b", headers=forged)])
    graveyard._write(graveyard.dead_topic, 0, b"7", None, [("kj-settles", b"2")])
    graveyard._write(graveyard.dead_topic, 0, b"7", None, [("kj-settles", b"x")])
    graveyard.bury([])
    assert places(graveyard) == ["0@0", "0@1", "0@2", "0@3"]


# --- queues ----------------------------------------------------------------------------------------------


def test_a_queue_that_does_not_exist_is_an_error_with_a_guess(graveyard: Graveyard) -> None:
    for command in (["list"], ["show", "a"], ["replay", "--yes"], ["discard", "--yes"]):
        ended = graveyard.run("dead", command[0], "mial", *command[1:])
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == f"kjobs: there is no queue mial at {graveyard.bootstrap}. Did you mean mail?\n"
    with pytest.raises(UnknownQueue, match=r"There are: mail\."):
        DeadLetters(graveyard.app, "something.else")


def test_a_queue_without_dead_letter_topic_is_an_error(graveyard: Graveyard) -> None:
    graveyard.admin.create(graveyard.names.topics("lost", 1, 1000)[:1], 1)
    with pytest.raises(UnknownQueue, match=rf"{re.escape(graveyard.names.dead('lost'))} does not exist"):
        DeadLetters(graveyard.app, "lost")


# --- many -----------------------------------------------------------------------------------------------

#: Runs a command and tells how much memory it needed.
_MEASURED = f"""
import pathlib, re, sys
try:
    {KJOBS}
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path("peak").write_text(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


def test_many_letters_are_listed_without_holding_them(graveyard: Graveyard) -> None:
    def peak() -> tuple[int, int]:
        ended = graveyard.run("dead", "list", "mail", "--json", script=_MEASURED)
        assert ended.code == 0, ended.err
        return len(ended.out.splitlines()), int((graveyard.folder / "peak").read_text())

    nothing, before = peak()
    size = 40_000
    graveyard.bury(Corpse(str(n), partition=n % 3, value=b"%040d" % n * (size // 40)) for n in range(2000))
    many, after = peak()
    assert (nothing, many) == (0, 2000)
    assert after - before < 2000 * size / 1024 / 2, f"{after - before} KiB more for 80 MB of letters"
