"""How far a command has come, as whoever runs it sees it."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest

from kjobs.cli.asking import progress, reading


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error is a terminal."""
    made = Terminal()
    # Not sys.stderr itself, which is pytest's.
    monkeypatch.setattr("kjobs.cli.asking.sys", SimpleNamespace(stderr=made))
    return made


def test_reading_is_shown_on_a_terminal_up_to_the_end(terminal: Terminal) -> None:
    tell = reading("mail")
    assert tell is not None
    for done in range(0, 100_001, 20_000):
        tell(done, 100_000)
    text = terminal.getvalue()
    assert "reading mail" in text
    assert re.findall(r"(\d+)%", text)[-1] == "100"
    assert text.endswith("\n")


def test_reading_again_is_shown_again(terminal: Terminal) -> None:
    tell = reading("mail")
    assert tell is not None
    for _ in range(2):
        tell(50_000, 100_000)
        tell(100_000, 100_000)
    assert terminal.getvalue().count("100%") == 2


def test_what_is_read_in_no_time_is_not_shown(terminal: Terminal) -> None:
    tell = reading("mail")
    assert tell is not None
    tell(2_000, 4_000)
    tell(4_000, 4_000)
    assert terminal.getvalue() == ""


def test_reading_is_not_shown_where_there_is_no_terminal() -> None:
    assert reading("mail") is None


def test_acting_is_a_bar_on_a_terminal(terminal: Terminal) -> None:
    with progress("cancelling", "answered", 4) as tell:
        tell(1)
        tell(4)
    assert "cancelling" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


def test_acting_is_a_line_now_and_then_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("kjobs.cli.asking.time.monotonic", lambda: now)
    with progress("cancelling", "answered", 5_000) as tell:
        for count in range(0, 5_000, 1_000):
            now += 0.4
            tell(count)
    assert capsys.readouterr().err == "answered 2,000 of 5,000\n"
