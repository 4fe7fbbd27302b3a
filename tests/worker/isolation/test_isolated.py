"""Calls in processes of their own: how they end, and that nothing else ends with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kjobs.core.outcome import (
    OK,
    Condemned,
    Crashed,
    Discarded,
    Disposition,
    Drop,
    Failed,
    Outcome,
    Reason,
    RetryAt,
    Snoozed,
    dispose,
)
from kjobs.core.partition import Entry
from kjobs.worker.isolation import wire
from kjobs.worker.isolation.cells import Cells
from kjobs.worker.isolation.outside import PAUSE
from tests.patience import until
from tests.worker.invoking import DRAW, NOW, entry_of
from tests.worker.isolation.conftest import COMMAND, Ward


def after(outcome: Outcome) -> Disposition:
    return dispose(outcome, failures=0, since=NOW, now=NOW)


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def hanging(*, deaf: bool) -> Entry:
    return entry_of(b'{"id":"call-1","job":"hangs","kwargs":{"deaf":%s}}' % str(deaf).lower().encode())


# --- ordinary ends -------------------------------------------------------------------------------------


def test_a_call_runs_in_another_process_that_is_used_again(ward: Ward, tmp_path: Path) -> None:
    path = tmp_path / "who"
    for attempt in (1, 2):
        outcome = ward.call("who", str(path), key=b"k", failures=attempt - 1, headers=[("h", b"v")])
        assert outcome is OK
    first, second = (line.split() for line in path.read_text().splitlines())
    assert first == [first[0], "call-1", "k", "1", "17", "1", "17", "v"]
    assert second[3] == "2"
    assert first[0] == second[0]
    assert int(first[0]) != os.getpid()


def test_an_async_job_runs_there_as_well(ward: Ward, tmp_path: Path) -> None:
    assert ward.call("whither", str(tmp_path / "it")) is OK
    assert (tmp_path / "it").read_text() == "call-1\n"


def test_what_is_raised_is_judged_by_the_policy_and_told_by_its_name(ward: Ward) -> None:
    outcome = ward.call("raises", "retried")
    assert isinstance(outcome, Failed)
    assert outcome.draw == DRAW
    assert type(outcome.error).__qualname__ == "ValueError"
    assert type(outcome.error).__module__ == "builtins"
    assert str(outcome.error) == "try again"
    assert 'raise ValueError("try again")' in outcome.error.__notes__[0]
    assert isinstance(after(outcome), RetryAt)


@pytest.mark.parametrize(
    ("what", "reason"), [("not retried", Reason.NOT_RETRIED), ("peculiar", Reason.NOT_RETRIED)]
)
def test_what_is_not_retried_is_not(ward: Ward, what: str, reason: Reason) -> None:
    disposition = after(ward.call("raises", what))
    assert getattr(disposition, "reason", None) is reason


def test_what_is_discarded_is(ward: Ward) -> None:
    assert isinstance(after(ward.call("raises", "discarded")), Drop)


def test_what_jobs_ask_for_comes_across(ward: Ward) -> None:
    retry = after(ward.call("raises", "retry"))
    assert isinstance(retry, RetryAt)
    assert retry.due == NOW + 7
    snooze = ward.call("raises", "snooze")
    assert isinstance(snooze, Snoozed)
    assert snooze.delay == 9
    assert ward.call("raises", "discard") == Discarded("not wanted")
    dead = ward.call("raises", "dead")
    assert isinstance(dead, Condemned)
    assert dead.reason is Reason.REJECTED
    assert str(dead.error) == "no use"


def test_errors_of_any_kind_are_told(ward: Ward) -> None:
    for what, text in (
        ("peculiar", "<the error's own __str__ raised RuntimeError>"),
        ("surrogate", "?"),
        ("exit", "4"),
        ("long", "x" * 10_000),
    ):
        outcome = ward.call("raises", what)
        assert isinstance(outcome, Failed)
        assert str(outcome.error) == text


def test_arguments_that_do_not_fit_end_as_they_do_in_a_thread(ward: Ward) -> None:
    outcome = ward.call("fine", 1, 2, 3)
    assert isinstance(outcome, Condemned)
    assert outcome.reason is Reason.BAD_ARGUMENTS


def test_a_flood_of_output_holds_nobody_up(ward: Ward, capfd: pytest.CaptureFixture[str]) -> None:
    assert ward.call("floods") is OK
    assert len(capfd.readouterr().err) >= 3_000_000


# --- crashes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("segv", "was killed by SIGSEGV"),
        ("abort", "was killed by SIGABRT"),
        ("kill", "was killed by SIGKILL"),
        ("exit", "ended with exit code 3"),
        ("exit 0", "ended with exit code 0"),
    ],
)
def test_a_crash_is_told_and_the_next_call_has_another_process(ward: Ward, how: str, told: str) -> None:
    outcome = ward.call("crashes", how)
    assert isinstance(outcome, Crashed)
    assert f"its process {told}" in str(outcome.error)
    assert ward.call("fine") is OK


def test_the_last_words_are_told(ward: Ward) -> None:
    outcome = ward.call("crashes", "exit")
    assert isinstance(outcome, Crashed)
    assert "these are my last words" in str(outcome.error)
    segv = ward.call("crashes", "segv")
    assert isinstance(segv, Crashed)
    assert "Segmentation fault" in str(segv.error)


def test_a_process_that_ends_while_it_is_idle_costs_nothing(ward: Ward, tmp_path: Path) -> None:
    ward.call("who", str(tmp_path / "who"))
    pid = int((tmp_path / "who").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), "it is gone")
    assert ward.call("fine") is OK


def test_a_process_that_ends_just_before_its_call_is_no_crash(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the order, or seems to have it, and the call has not begun."""
    ward.call("who", str(tmp_path / "who"))
    pid = int((tmp_path / "who").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)  # it cannot begin
    real, sent = wire.send, list[str]()

    def send(to: Any, message: Any) -> None:
        real(to, message)
        sent.append(type(message).__name__)
        if len(sent) == 1:
            os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(wire, "send", send)
    assert ward.call("who", str(tmp_path / "who")) is OK
    assert sent == ["Order", "Order"]
    first, second = (tmp_path / "who").read_text().splitlines()
    assert first.split()[0] == str(pid) != second.split()[0]


def test_a_call_whose_process_cannot_begin_waits_and_the_reason_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = Cells((*COMMAND[:-1], "no.such.module"))
    outcome = Ward(cells).call("fine")
    cells.close()
    assert isinstance(outcome, Snoozed), "it never ran: neither a crash nor a failed attempt"
    assert outcome.delay == PAUSE
    assert "there is no module 'no.such.module'" in caplog.text


# --- limits --------------------------------------------------------------------------------------------


def test_a_call_that_takes_too_long_is_interrupted(ward: Ward) -> None:
    outcome = ward.run(hanging(deaf=False))
    assert isinstance(outcome, Failed)
    assert type(outcome.error).__qualname__ == "TimeLimitExceeded"
    assert ward.call("fine") is OK


def test_one_that_hears_nothing_is_killed(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kjobs.worker.isolation.outside.HARD", 0.5)
    outcome = ward.run(hanging(deaf=True))
    assert isinstance(outcome, Failed)
    assert "its process was killed" in str(outcome.error)
    assert isinstance(after(outcome), RetryAt)
    assert ward.call("fine") is OK


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no limit of address space")
def test_a_call_that_wants_too_much_memory_does_not_get_it(ward: Ward) -> None:
    outcome = ward.call("eats", 3 << 30)
    assert isinstance(outcome, Failed)
    assert type(outcome.error).__qualname__ == "MemoryError"
    assert ward.call("eats", 1 << 20) is OK


def test_a_call_that_wants_too_much_processor_time_is_killed(ward: Ward) -> None:
    outcome = ward.call("burns")
    assert isinstance(outcome, Crashed)
    assert "was killed by SIGXCPU" in str(outcome.error)


def test_a_call_is_told_that_it_should_end_soon(ward: Ward, tmp_path: Path) -> None:
    entry = ward.entry("patient", str(tmp_path / "begun"))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(ward.run(entry)))
    thread.start()
    until((tmp_path / "begun").exists, "it has begun")
    assert not outcomes
    entry.partition.open = False
    thread.join(20)
    (outcome,) = outcomes
    assert isinstance(outcome, Snoozed)


# --- the end -------------------------------------------------------------------------------------------


def test_what_runs_when_all_are_ended_is_cut_off(ward: Ward, tmp_path: Path) -> None:
    entry = ward.entry("patient", str(tmp_path / "begun"))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(ward.run(entry)))
    thread.start()
    until((tmp_path / "begun").exists, "it has begun")
    ward.cells.close()
    thread.join(20)
    (outcome,) = outcomes
    assert isinstance(outcome, Crashed)


def test_a_cell_does_not_outlive_its_worker(tmp_path: Path) -> None:
    path = tmp_path / "who"
    program = (
        "import os\n"
        "from kjobs.worker.isolation.cells import Cells\n"
        "from tests.worker.isolation.conftest import COMMAND, Ward\n"
        f"Ward(Cells(COMMAND)).call('who', {str(path)!r})\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    pid = int(path.read_text().split()[0])
    until(lambda: gone(pid), "it ends")
