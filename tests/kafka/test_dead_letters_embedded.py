"""Dead letters on the embedded broker, whose transactions mean nothing."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from kjobs.admin.dead import DeadLetters
from kjobs.kafka.embedded import EmbeddedBroker
from tests.kafka.graveyard import KJOBS, Corpse, Graveyard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JOBS = """
from pathlib import Path
from kjobs import job


@job(name="mail.send", queue="mail", retries=0)
def send(number: int) -> None:
    with Path("ran").open("a") as file:
        file.write(f"{number}\\n")
"""

#: `kjobs dead`, killed when the calls of its second batch are acknowledged and not settled.
_ARMED = f"""
import os, signal
from kjobs.kafka.transaction import Transactions

left = 4
send = Transactions._send

def armed(self, records):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    send(self, records)

Transactions._send = armed
{KJOBS}
"""


@pytest.fixture
def graveyard(tmp_path: Path) -> Iterator[Graveyard]:
    """A queue without dead letters, on a broker of its own."""
    with EmbeddedBroker() as broker:
        yield Graveyard(broker.bootstrap, "kjobs", tmp_path, create=broker.create_topic)


def test_replayed_calls_run(graveyard: Graveyard) -> None:
    """Also those behind the place where a transaction would have ended."""
    (graveyard.folder / "jobs.py").write_text(_JOBS)
    value = b'{"job":"mail.send","args":[%d]}'
    graveyard.bury(Corpse(str(n), partition=n % 3, value=value % n) for n in range(6))
    first = graveyard.run("dead", "replay", "mail", "--id", "0@0", "--yes", "--json")
    assert first.objects == [{"queue": "mail", "matched": 1, "replayed": 1, "dry_run": False}]
    assert "(embedded broker: if this is interrupted, a call may be replayed twice)" in first.err
    assert graveyard.run("dead", "replay", "mail", "--yes").out == "replayed 5 dead letters of mail\n"
    assert graveyard.run("dead", "list", "mail").out == ""
    ended = graveyard.run("worker", "jobs", "--burst")
    assert ended.code == 0, ended.err
    assert sorted((graveyard.folder / "ran").read_text().split()) == list("012345")


def test_a_killed_replay_loses_nothing(graveyard: Graveyard) -> None:
    graveyard.bury(Corpse(str(n), partition=n % 3, value=b"%d" % n) for n in range(1200))
    killed = graveyard.run("dead", "replay", "mail", "--yes", script=_ARMED)
    assert killed.code == -signal.SIGKILL
    letters = DeadLetters(graveyard.app, "mail")
    assert letters.survey().letters == 700
    assert letters.replay() == 700
    queued = [call.value for call in graveyard.queued()]
    assert set(queued) == {b"%d" % n for n in range(1200)}
    assert len(queued) == 1700  # the second batch came twice
