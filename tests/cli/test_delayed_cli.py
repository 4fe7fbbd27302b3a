"""``kjobs delayed``: usage, and what it prints of what others wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kjobs.admin.delayedcall import DelayedCall, State
from kjobs.cli import group
from kjobs.cli.waiting import as_json, away, listing, whole

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def run(*arguments: str) -> Result:
    """Run ``kjobs delayed``."""
    return CliRunner().invoke(group, ["delayed", *arguments], prog_name="kjobs")


# --- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "Missing argument 'QUEUE'"),
        (["list", "mail", "--due-before", "soon"], "'soon' is neither a duration such as 30m, 2h or 7d"),
        (["list", "mail", "--due-after", "2026-13-01"], "'2026-13-01' is neither a duration"),
        (["list", "mail", "--due-after", "99999999999d"], "is neither a duration"),
        (["list", "mail", "--limit", "0"], "0 is not in the range"),
        (["list", "mail", "--state", "bored"], "'bored' is not one of 'scheduled', 'retrying', 'parked'"),
        (["list", "mail", "a"], "Got unexpected extra argument (a)"),
        (["show", "mail"], "name one call, by its ID or its partition@offset"),
        (["show", "mail", "a", "--id", "b"], "name one call"),
        (["list", "mail.delayed"], "names that end in .delayed or .dead belong to companion topics"),
        (["cancel", "a b", "--all", "--yes"], "a queue's name may have letters, digits"),
        (["reschedule", "mail", "a"], "give the new time, with --at or with --delay"),
        (["reschedule", "mail", "a", "--at", "2h", "--delay", "2h"], "give the new time"),
        (["reschedule", "mail", "a", "--delay", "soon"], "'soon' is not a duration"),
        (["reschedule", "mail", "a", "--at", "soon"], "'soon' is neither a duration"),
        (["list", "mail", "-m", "no.such.module"], "there is no module 'no.such.module'"),
        (["replay", "mail"], "No such command"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], said: str) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2, ended.output
    assert said in " ".join(ended.output.split())


@pytest.mark.parametrize("command", ["list", "show", "cancel", "reschedule"])
def test_help_needs_no_broker(command: str) -> None:
    ended = run(command, "--help")
    assert ended.exit_code == 0
    assert "QUEUE" in ended.output


@pytest.mark.parametrize("command", ["cancel", "reschedule"])
def test_help_says_whose_word_the_answer_is(command: str) -> None:
    text = " ".join(run(command, "--help").output.split())
    assert "workers must run for certain answers" in text
    assert "counts for a call that has not begun when a worker reads it" in text


# --- calls ---------------------------------------------------------------------------------------------


def call(**more: Any) -> DelayedCall:
    """A delayed call of which little is known."""
    fields = {
        "id": "01a",
        "job": None,
        "queue": "mail",
        "key": None,
        "state": State.SCHEDULED,
        "due": None,
        "attempts": 0,
        "enqueued_at": None,
        "expires": None,
        "relaxed": False,
        "partition": 0,
        "offset": 7,
        "record_id": "01a@9",
        "record_key": None,
        "value": b"{}",
        "headers": [],
    }
    return DelayedCall(**{**fields, **more})


def test_what_is_not_known_is_a_dash() -> None:
    _, row = listing([call()], NOON)
    assert row.split() == ["01a", "-", "-", "scheduled", "0", "-", "-", "0@7"]


def test_what_others_wrote_does_not_break_the_table() -> None:
    _, row = listing([call(id="x" * 5000, job="\x1b[2J", key="\n" * 9)], NOON)
    assert len(row) < 170
    assert "\x1b" not in row
    assert "\n" not in row


@pytest.mark.parametrize(
    ("distance", "told"),
    [
        (timedelta(days=400, hours=5), "400d 5h"),
        (timedelta(days=2, minutes=59), "2d"),
        (timedelta(hours=3, minutes=12, seconds=40), "3h 12m"),
        (timedelta(minutes=1), "1m"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(seconds=1), "1s"),
        (timedelta(seconds=0.9), "now"),
        (timedelta(seconds=-0.9), "now"),
        (timedelta(seconds=-61), "1m 1s ago"),
    ],
)
def test_a_time_is_told_by_how_far_it_is(distance: timedelta, told: str) -> None:
    assert away(NOON + distance, NOON) == told


def test_a_call_is_shown_whole() -> None:
    text = whole(
        call(
            job="mail.send",
            key="7",
            record_key=b"7",
            relaxed=True,
            state=State.RETRYING,
            attempts=2,
            due=NOON + timedelta(hours=2),
            value=b'{"job":"mail.send","args":[7]}',
            headers=[("x", b"\x1b"), ("y", None)],
        ),
        NOON,
    )
    facts = dict(line.split(maxsplit=1) for line in text.partition("\n\n")[0].splitlines())
    assert facts["order"] == "relaxed"
    assert facts["failed"] == "2 times"
    assert facts["due"].endswith("(in 2h)")
    assert "headers\n  x: \\x1b\n  y: null" in text
    assert text.endswith('value\n  {\n    "job": "mail.send",\n    "args": [\n      7\n    ]\n  }')


def test_json_has_bytes_that_are_no_text_in_base64() -> None:
    told = as_json(call(value=b"\xff", record_key=b"\xfe", due=NOON))
    assert (told["value"], told["value_base64"]) == (None, "/w==")
    assert (told["key"], told["key_base64"]) == (None, "/g==")
    assert (told["args"], told["kwargs"]) == (None, None)
    assert told["due"] == "2026-11-24T12:00:00.000+00:00"
