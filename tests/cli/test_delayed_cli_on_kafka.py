"""``kjobs delayed`` on a real Kafka, as an operator runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from kjobs.admin.delayed import DelayedCalls
from tests.admin.waiting_room import WaitingRoom
from tests.kafka.graveyard import KJOBS
from tests.patience import until

#: `kjobs`, but somebody presses Ctrl-C when the first answers are there.
_INTERRUPTED = f"""
import os, signal
from kjobs.deferred.inquiry import Inquiry

answers = Inquiry._answers

def interrupted(self):
    found = list(answers(self))
    yield from found
    if found:
        os.kill(os.getpid(), signal.SIGINT)

Inquiry._answers = interrupted
{KJOBS}
"""


def ids(room: WaitingRoom) -> set[str]:
    """The calls that wait."""
    with DelayedCalls(room.app, "mail") as calls:
        return {call.id for call in calls.list()}


# --- list and show -------------------------------------------------------------------------------------


def test_the_list_has_what_is_due_first_at_first_and_counts_at_the_end(room: WaitingRoom) -> None:
    late = room.order.options(delay="3d").delay(1, "k")
    soon = room.send.options(delay="10m").delay(2)
    past = room.send.options(at=datetime.now(UTC) - timedelta(minutes=2)).delay(3)
    ended = room.run("delayed", "list", "mail")
    assert ended.code == 0
    title, *rows = ended.out.splitlines()
    assert title.split() == ["id", "job", "key", "state", "failed", "due", "in", "place"]
    assert [row.split()[0] for row in rows] == [past.id, soon.id, late.id]
    assert " 2m" in rows[0]
    assert rows[0].split()[-2] == "ago"
    assert " 9m 5" in rows[1]
    assert rows[2].split()[1:5] == ["mail.order", "k", "scheduled", "0"]
    assert " 2d 23h " in rows[2]
    assert ended.err == "3 delayed calls of mail: 3 scheduled; 1 due already\n"


def test_the_list_can_be_short_or_for_programs(room: WaitingRoom) -> None:
    handles = [room.send.options(delay=f"{n}h").delay(n) for n in (3, 1, 2)]
    short = room.run("delayed", "list", "mail", "--limit", "2")
    assert [line.split()[0] for line in short.out.splitlines()[1:]] == [handles[1].id, handles[2].id]
    assert short.err == "the first 2 of 3 delayed calls of mail: 3 scheduled\n"
    told = room.run("delayed", "list", "mail", "--json", "--due-after", "2.5h").objects
    assert [(one["id"], one["args"], one["state"]) for one in told] == [(handles[0].id, [3], "scheduled")]
    none = room.run("delayed", "list", "mail", "--job", "mail.order")
    assert (none.code, none.out, none.err) == (0, "", "no delayed calls of mail match\n")


def test_one_call_is_shown_by_its_id_or_its_place(room: WaitingRoom) -> None:
    handle = room.order.options(delay="1h").delay(7, "k")
    shown = room.run("delayed", "show", "mail", handle.id)
    assert (shown.code, shown.err) == (0, "")
    assert f"id        {handle.id}\n" in shown.out
    assert "key       k\norder     strict\nstate     scheduled\ndue  " in shown.out
    (told,) = room.run("delayed", "show", "mail", f"{handle.partition}@{handle.offset}", "--json").objects
    assert (told["id"], told["args"], told["kwargs"]) == (handle.id, [7, "k"], {})
    nothing = room.run("delayed", "show", "mail", "nobody")
    assert nothing.code == 1
    assert nothing.err.startswith("kjobs: mail has no delayed call nobody: it has ended, was cancelled, or")


def test_a_queue_that_is_not_there_is_told(room: WaitingRoom) -> None:
    ended = room.run("delayed", "list", "mial")
    assert ended.code == 1
    assert ended.err.startswith("kjobs: there is no queue mial at ")
    assert ended.err.endswith("Did you mean mail?\n")


# --- cancel --------------------------------------------------------------------------------------------


def test_nothing_is_cancelled_unless_it_is_said_what_and_confirmed(room: WaitingRoom) -> None:
    handle = room.send.options(delay="1h").delay(1)
    with room.worker():
        unsaid = room.run("delayed", "cancel", "mail", "--yes")
        assert unsaid.code == 2
        assert "name calls by their IDs or by options; or give --all, and nothing else" in unsaid.err
        both = room.run("delayed", "cancel", "mail", "--yes", "--all", "--job", "mail.send")
        assert both.code == 2
        silent = room.run("delayed", "cancel", "mail", "--all")
        assert silent.code == 1
        assert silent.err.endswith(
            "\nkjobs: not confirmed, so nothing is cancelled. Give --yes where nobody can answer.\n"
        )
        no = room.run("delayed", "cancel", "mail", "--all", answer="n\n")
        assert no.code == 1
        dry = room.run("delayed", "cancel", "mail", "--all", "--dry-run")
        assert (dry.code, dry.out) == (0, "would cancel 1 delayed call of mail\n")
        assert ids(room) == {handle.id}
        yes = room.run("delayed", "cancel", "mail", "--all", answer="y\n")
        assert yes.code == 0
        assert yes.out.split()[:2] == ["1", "cancelled"]
        assert "1 delayed call of mail:\n        1  mail.send  scheduled\ndue " in yes.err
        assert ids(room) == set()


def test_calls_are_cancelled_by_id_and_what_waits_no_more_is_told(room: WaitingRoom) -> None:
    one, two, three = room.send.options(delay="1h").delay_many([(n,) for n in range(3)])
    with room.worker():
        ended = room.run("delayed", "cancel", "mail", one.id, "--id", two.id, "nobody", "--yes")
        assert ended.code == 0
        assert ended.out.split()[:2] == ["2", "cancelled"]
        assert "3 are named: the others have ended, were cancelled, or never were there\n" in ended.err
        again = room.run("delayed", "cancel", "mail", one.id, "--yes")
        assert (again.code, again.out) == (0, "")
        assert again.err == "no delayed calls of mail match: nothing to cancel\n"
        assert ids(room) == {three.id}


def test_thousands_are_cancelled_by_what_they_have_in_common(room: WaitingRoom) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(5000)])
    kept = room.order.options(delay="1h").delay(1, "k")
    with room.worker():
        ended = room.run("delayed", "cancel", "mail", "--job", "mail.send", "--yes", "--json")
    assert ended.code == 0, ended.err
    counts = {"cancelled": 5000, "started": 0, "gone": 0, "unknown": 0}
    assert ended.objects == [{"queue": "mail", "matched": 5000, **counts, "dry_run": False}]
    assert ids(room) == {kept.id}


def test_without_a_worker_the_exit_code_and_the_text_say_that_it_is_not_certain(room: WaitingRoom) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(3)])
    ended = room.run("delayed", "cancel", "mail", "--all", "--yes")
    assert ended.code == 1
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["0", "cancelled"], ["3", "unknown"]]
    assert ended.err.endswith("Workers that have the partitions of mail must run for certain answers.\n")


def test_a_call_that_runs_is_told_to_have_begun(room: WaitingRoom) -> None:
    gate = room.folder / "gate"
    with room.worker():
        handle = room.hold.options(delay=0.1).delay(1, str(gate))
        room.have_run(-1)
        moved = room.run("delayed", "reschedule", "mail", handle.id, "--delay", "1h", "--yes")
        ended = room.run("delayed", "cancel", "mail", handle.id, "--yes")
        gate.touch()
        room.have_run(1)
    assert (moved.code, ended.code) == (0, 0)
    assert [line.split()[:2] for line in moved.out.splitlines()] == [["0", "moved"], ["1", "started"]]
    assert "an attempt runs, or is about to; nothing is changed" in moved.out
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["0", "cancelled"], ["1", "started"]]
    assert "an attempt runs, or is about to; if it fails there will be no other" in ended.out


def test_an_interrupted_command_says_how_far_it_came(room: WaitingRoom) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(3000)])
    with room.worker():
        ended = room.run("delayed", "cancel", "mail", "--all", "--yes", script=_INTERRUPTED)
        assert ended.code == 1
        assert "kjobs: interrupted when " in ended.err
        assert " of 3,000 calls were cancelled. Up to a thousand others were asked for by then" in ended.err
        again = room.run("delayed", "cancel", "mail", "--all", "--yes", "--json")
        assert again.code == 0
        assert 0 < again.objects[0]["cancelled"] < 3000
        assert ids(room) == set()


# --- reschedule ----------------------------------------------------------------------------------------


def test_a_call_is_given_another_time_and_back(room: WaitingRoom) -> None:
    handle = room.send.options(delay="1h").delay(1)
    with room.worker():
        far = room.run("delayed", "reschedule", "mail", handle.id, "--at", "2040-01-01T00:00:00Z", "--yes")
        assert far.code == 0, far.err
        assert far.out.split()[:2] == ["1", "moved"]
        (told,) = room.run("delayed", "show", "mail", handle.id, "--json").objects
        assert told["due"] == "2040-01-01T00:00:00.000+00:00"
        asked = room.run("delayed", "reschedule", "mail", "--all", "--delay", "0s", answer="y\n")
        assert "Reschedule 1 delayed call of mail to 20" in asked.err
        room.have_run(1)
        until(lambda: not ids(room), "it waits no more", told=room.said)
    assert room.ran() == {1: 1}


def test_programs_are_told_the_verdicts_of_rescheduling(room: WaitingRoom) -> None:
    room.send.options(delay="1h").delay_many([(n,) for n in range(3)])
    with room.worker():
        ended = room.run("delayed", "reschedule", "mail", "--all", "--delay", "2h", "--yes", "--json")
    assert ended.code == 0
    counts = {"moved": 3, "started": 0, "gone": 0, "unknown": 0}
    assert ended.objects == [{"queue": "mail", "matched": 3, **counts, "dry_run": False}]


# --- call ----------------------------------------------------------------------------------------------


def test_a_call_can_be_delayed_by_hand(room: WaitingRoom) -> None:
    plain = room.run("call", "mail.send", "-m", "jobs:app", "--args", "[1]", "--delay", "1h")
    assert plain.code == 0, plain.err
    name, job, waits, at, place, due, *when = plain.out.split()
    assert (job, waits, at, due) == ("mail.send", "waits", "at", "due")
    assert place.startswith("mail.delayed[")
    assert datetime.fromisoformat(" ".join(when)) > datetime.now(UTC) + timedelta(minutes=59)
    dated = room.run(
        "call", "mail.send", "-m", "jobs:app", "--args", "[2]", "--at", "2040-01-01T00:00Z", "--json"
    )
    told = json.loads(dated.out)
    assert told["due"] == "2040-01-01T00:00:00.000+00:00"
    with DelayedCalls(room.app, "mail") as calls:
        assert [call.id for call in calls.list()] == [name, told["id"]]
        assert calls.find(told["id"])[0].partition == told["partition"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at", "soon"], "--at 'soon' is no time such as 2026-03-01T12:00"),
        (["--at", "2040-01-01", "--delay", "1h"], "give one of them, not both"),
    ],
)
def test_a_call_delayed_in_a_wrong_way_is_not_enqueued(
    room: WaitingRoom, options: list[str], said: str
) -> None:
    ended = room.run("call", "mail.send", "-m", "jobs:app", "--args", "[1]", *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert ids(room) == set()
