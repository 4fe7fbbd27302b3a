"""The pytest plugin: its fixtures, and how little it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kjobs
from kjobs import testing
from kjobs.testing.plugin import kjobs_inline, kjobs_manual  # noqa: F401 - also where it is not installed

ran: list[int] = []


@kjobs.job(name="tests.unit.plugin.note")
def note(n: int) -> None:
    """Leave a trace."""
    ran.append(n)


def test_the_inline_fixture_runs_calls_of_the_default_app(kjobs_inline: testing.Queue) -> None:  # noqa: F811
    ran.clear()
    note.delay(7)
    assert ran == [7]
    kjobs_inline.assert_succeeded(note, 7)


def test_the_manual_fixture_records_them(kjobs_manual: testing.Queue) -> None:  # noqa: F811
    ran.clear()
    note.delay(7)
    assert ran == []
    kjobs_manual.assert_enqueued(note, 7)
    kjobs_manual.drain()
    assert ran == [7]


def test_both_fixtures_leave_the_app_as_it_was() -> None:
    assert type(kjobs.default_app.sender).__module__ == "kjobs.sender"


def modules_after(statement: str) -> set[str]:
    """The modules of kjobs, and Kafka's client, that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name for name in run.stdout.split() if name.partition(".")[0] in ("kjobs", "confluent_kafka")}


def test_importing_the_plugin_imports_nothing_of_kjobs() -> None:
    # Python itself imports the packages that the plugin is in, and what their __init__ imports.
    parents = modules_after("import kjobs")
    assert modules_after("import kjobs.testing.plugin") - parents == {"kjobs.testing", "kjobs.testing.plugin"}


def test_testing_needs_no_kafka_client() -> None:
    loaded = modules_after("from kjobs.testing import *; inline, manual, Totals")
    assert "kjobs.testing.stepper" in loaded
    assert not {name for name in loaded if name.startswith("confluent_kafka")}


def test_every_name_is_there() -> None:
    assert set(testing.__all__) <= set(dir(testing))
    assert all(getattr(testing, name).__module__.startswith("kjobs.") for name in testing.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'outline'"):
        testing.outline  # type: ignore[attr-defined]  # noqa: B018
