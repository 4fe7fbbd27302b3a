"""``kjobs dead``: usage, and what it prints of what others wrote."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from kjobs.admin.deadletter import DeadLetter, State
from kjobs.cli import group
from kjobs.cli.letters import listing, whole
from kjobs.cli.table import block, escaped, table


def run(*arguments: str) -> Result:
    """Run ``kjobs dead``."""
    return CliRunner().invoke(group, ["dead", *arguments], prog_name="kjobs")


# --- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "Missing argument 'QUEUE'"),
        (["list", "mail", "--since", "yesterday"], "'yesterday' is neither a duration such as 30m, 2h or 7d"),
        (["list", "mail", "--until", "2026-13-01"], "'2026-13-01' is neither a duration"),
        (["list", "mail", "--since", "99999999999d"], "is neither a duration"),
        (["list", "mail", "--limit", "0"], "0 is not in the range"),
        (["list", "mail", "--limit", "few"], "'few' is not a valid integer"),
        (["replay", "mail", "--reason", "bored"], "'bored' is not one of 'retries-exhausted'"),
        (["replay", "mail", "--limit", "3"], "No such option"),
        (["show", "mail"], "name one letter, by its ID or its partition@offset"),
        (["show", "mail", "a", "--id", "b"], "name one letter"),
        (["list", "mail.dead"], "names that end in .delayed or .dead belong to companion topics"),
        (["discard", "a b", "--yes"], "a queue's name may have letters, digits"),
        (["list", "mail", "-m", "no.such.module"], "there is no module 'no.such.module'"),
        (["bury", "mail"], "No such command"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], said: str) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2, ended.output
    assert said in " ".join(ended.output.split())


@pytest.mark.parametrize("command", ["list", "show", "replay", "discard"])
def test_help_needs_no_broker(command: str) -> None:
    ended = run(command, "--help")
    assert ended.exit_code == 0
    assert "QUEUE" in ended.output


def test_help_of_replay_says_what_is_promised_and_what_not() -> None:
    text = " ".join(run("replay", "--help").output.split())
    assert "What was replayed when the command is interrupted is not replayed again by the next" in text
    assert "The embedded broker has no real ones: there, a call may be replayed twice." in text


# --- text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2028\ud800\U000e0001", r"\u2028\ud800\U000e0001"),
    ],
)
def test_what_moves_the_cursor_or_the_eye_is_spelled_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_long_text_is_cut_where_that_is_asked_for() -> None:
    assert escaped("x" * 50, longest=10) == "x" * 9 + "…"
    assert escaped("x" * 10, longest=10) == "x" * 10


def test_lines_of_others_are_indented() -> None:
    assert block("a\n\tb\r\nkjobs: done\x1b") == "  a\n      b\\r\n  kjobs: done\\x1b"


def test_a_table_lines_its_columns_up_and_grows_as_it_goes() -> None:
    rows = [("a", "1")] * 200 + [("longer than before", "2")] * 2
    lines = list(table(("name", "number"), rows))
    assert lines[:2] == ["name  number", "a     1"]
    assert lines[-1] == "longer than before  2"
    assert len(lines) == 203
    assert list(table(("name",), [])) == []


# --- letters -------------------------------------------------------------------------------------------


def letter(value: bytes | None = b"{}", name: str = "01a") -> DeadLetter:
    """A dead letter of which little is known."""
    return DeadLetter(
        id=name,
        job=None,
        queue="mail",
        key=None,
        reason="",
        error="",
        message="",
        traceback=None,
        attempts=0,
        partition=0,
        offset=7,
        failed_at=None,
        enqueued_at=None,
        value=value,
        record_key=None,
        headers=[],
        replay_of=None,
        replays=0,
        state=State.OPEN,
    )


def test_what_is_not_known_is_a_dash() -> None:
    _, row = listing([letter()], settled=False)
    assert row.split() == ["01a", "-", "-", "-", "-", "0", "-", "0@7"]
    _, row = listing([letter()], settled=True)
    assert row.split()[-1] == "open"


def test_a_long_id_does_not_break_the_table() -> None:
    _, row = listing([letter(name="x" * 5000)], settled=False)
    assert len(row) < 150
    assert "0@7" in row


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a":[1.10,1e400]}', '  {\n    "a": [\n      1.10,\n      1e400\n    ]\n  }'),
        (b'{"a":1,"a":2}', '  {\n    "a": 1,\n    "a": 2\n  }'),
        (b"not json\nat all", "  not json\n  at all"),
        (b"\xff\x1b", "  \\xff\\x1b"),
        (b'"\xc2\x9b"', '  "\\x9b"'),
        (b"", "  empty"),
        (None, "  null: the record has no value"),
        (b"[" * 100_000, "  " + "[" * 100_000),
    ],
)
def test_a_value_is_shown_as_it_is(value: bytes | None, shown: str) -> None:
    assert whole(letter(value), None).endswith(f"\n\nvalue\n{shown}")
