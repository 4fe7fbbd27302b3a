"""The package as users see it: its names, what it costs to import, and what a fork keeps apart."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import kjobs
from kjobs import errors

NAMES = [
    "App",
    "ArgumentError",
    "Backoff",
    "BatchError",
    "BrokerError",
    "CallTooLarge",
    "CheckpointError",
    "CheckpointFailed",
    "CheckpointRefused",
    "CheckpointTooLarge",
    "Concurrency",
    "ConfigError",
    "Context",
    "DeadLetter",
    "DeclarationError",
    "Discard",
    "EnqueueError",
    "EnqueueRefused",
    "Fence",
    "Handle",
    "Isolation",
    "Job",
    "KjobsError",
    "NoCurrentCall",
    "OutcomeUnknown",
    "QueueFull",
    "Retry",
    "Snooze",
    "UnknownJob",
    "UnknownQueue",
    "Verdict",
    "args",
    "batch",
    "configure",
    "current",
    "default_app",
    "job",
]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    root = str(Path(kjobs.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_exported_names_are_these() -> None:
    assert sorted(kjobs.__all__) == NAMES
    assert {"App", "job", "batch", "current", "Backoff", "Retry", "Snooze", "DeadLetter", "Discard"} <= set(
        NAMES
    )
    for name in NAMES:
        getattr(kjobs, name)


@pytest.mark.parametrize("name", NAMES)
def test_every_exported_name_is_documented(name: str) -> None:
    thing = getattr(kjobs, name)
    text = thing.__doc__ if inspect.isclass(thing) or callable(thing) else type(thing).__doc__
    assert text
    assert re.match(r"[A-Z`].{10,}\.", text.strip().split("\n\n")[0].replace("\n", " ")), (
        "a sentence comes first"
    )


@pytest.mark.parametrize("kind", [kjobs.App, kjobs.Job, kjobs.Handle, kjobs.Context, kjobs.Backoff])
def test_every_public_member_is_documented(kind: type) -> None:
    for name, member in vars(kind).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(member), f"{kind.__name__}.{name}"


def test_every_error_is_in_the_tree_and_is_kjobs_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert errors.__doc__ is not None
    for kind in kinds:
        assert issubclass(kind, kjobs.KjobsError)
        assert re.search(rf"\b{kind.__name__}\b", errors.__doc__)
    for name in NAMES:
        thing = getattr(kjobs, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            verdict = issubclass(thing, kjobs.Retry.__mro__[1])
            assert issubclass(thing, kjobs.KjobsError) != verdict, (
                "verdicts are raised by jobs, errors by kjobs"
            )


def test_importing_kjobs_imports_no_client_no_event_loop_and_no_command_line() -> None:
    loaded = python("import kjobs, sys; print(*sorted(sys.modules))").split()
    assert "kjobs.job" in loaded
    heavy = {
        "confluent_kafka",
        "asyncio",
        "click",
        "cronsim",
        "multiprocessing",
        "sqlite3",
        "pydantic",
        "ctypes",
    }
    assert not heavy & set(loaded)
    assert not [name for name in loaded if name.startswith(("kjobs.worker", "kjobs.cli", "kjobs.testing"))]


def test_declaring_a_job_and_composing_a_call_need_no_client() -> None:
    code = """
import sys, kjobs
from kjobs.job import Options
@kjobs.job(key="a")
def send(a: int) -> None: ...
send(7)
send.compose((7,), {}, Options())
send.options(delay=5, queue="bulk")
print("confluent_kafka" in sys.modules, "asyncio" in sys.modules)
"""
    assert python(code).split() == ["False", "False"]


def test_parent_and_child_of_a_fork_make_different_ids() -> None:
    code = """
import os, kjobs
app = kjobs.default_app
app.new_id()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, app.new_id()[0][13:].encode())
    os._exit(0)
mine = app.new_id()[0][13:]
os.wait()
print(mine, os.read(read, 100).decode())
"""
    mine, childs = python(code).split()
    assert len(mine) == len(childs) == 19
    assert mine != childs


def test_the_version_is_the_packages() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", kjobs.__version__)
    try:
        installed = metadata.version("kjobs")
    except metadata.PackageNotFoundError:
        project = Path(kjobs.__file__).parent.parent / "pyproject.toml"
        assert f'version = "{kjobs.__version__}"' in project.read_text()
    else:
        assert installed == kjobs.__version__


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(kjobs.__file__).parent / "py.typed").is_file()
