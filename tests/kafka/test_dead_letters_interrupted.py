"""Replays that are killed, stopped or overtaken: each letter is replayed once all the same."""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from kjobs.admin.dead import DeadLetters
from kjobs.errors import BrokerError
from kjobs.kafka.transaction import Transactions
from tests.kafka.graveyard import KJOBS, Corpse, Graveyard

if TYPE_CHECKING:
    from pathlib import Path

LETTERS = 3000

#: `kjobs dead`, but it gets a signal when it commits its n-th transaction, or when it has.
_ARMED = f"""
import os, sys
from kjobs.kafka import transaction

when, left, number = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
commit = transaction.Transactions._commit

def armed(self):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), number)
    commit(self)
    if left == 0 and when == "after":
        os.kill(os.getpid(), number)

transaction.Transactions._commit = armed
{KJOBS}
"""


@pytest.fixture
def graveyard(kafka: str, topic_prefix: str, tmp_path: Path) -> Graveyard:
    """A queue with some thousand dead letters."""
    graveyard = Graveyard(kafka, topic_prefix, tmp_path)
    graveyard.bury(Corpse(str(n), partition=n % 3, key=b"%d" % n, value=b"%d" % n) for n in range(LETTERS))
    return graveyard


def check_each_was_replayed_once(graveyard: Graveyard) -> None:
    """Each letter is in the queue once, in its partition, in its turn; and has one settlement."""
    queued = graveyard.queued()
    assert Counter(call.value for call in queued) == {b"%d" % n: 1 for n in range(LETTERS)}
    numbers = defaultdict(list)
    for call in queued:
        numbers[call.partition].append(int(call.value or b""))
    assert numbers == {partition: list(range(partition, LETTERS, 3)) for partition in range(3)}
    notes = [record for record in graveyard.dead() if record.value is None]
    settled = Counter((note.partition, note.header("kj-settles")) for note in notes)
    assert len(settled) == LETTERS
    assert set(settled.values()) == {1}
    assert list(DeadLetters(graveyard.app, "mail").list()) == []


@pytest.mark.parametrize(("when", "done"), [("before", 1000), ("after", 1500)])
def test_a_killed_replay_is_gone_on_with(graveyard: Graveyard, when: str, done: int) -> None:
    killed = graveyard.run(
        when, "3", str(int(signal.SIGKILL)), "dead", "replay", "mail", "--yes", script=_ARMED
    )
    assert killed.code == -signal.SIGKILL
    again = graveyard.run("dead", "replay", "mail", "--yes", "--json")
    assert again.code == 0, again.err
    assert again.objects[0]["replayed"] == LETTERS - done
    check_each_was_replayed_once(graveyard)


def test_a_replay_killed_again_and_again_comes_to_the_end(graveyard: Graveyard) -> None:
    arms = [("before", 1), ("after", 1), ("before", 2), ("after", 2), ("before", 1)]
    for when, count in arms:
        number = str(int(signal.SIGKILL))
        killed = graveyard.run(when, str(count), number, "dead", "replay", "mail", "--yes", script=_ARMED)
        assert killed.code == -signal.SIGKILL
    assert graveyard.run("dead", "replay", "mail", "--yes").code == 0
    check_each_was_replayed_once(graveyard)


def test_an_interrupted_replay_says_how_far_it_came_and_leaves_nothing_open(graveyard: Graveyard) -> None:
    number = str(int(signal.SIGINT))
    ended = graveyard.run("before", "2", number, "dead", "replay", "mail", "--yes", script=_ARMED)
    assert ended.code == 1
    assert "kjobs: interrupted when 500 of 3,000 letters were replayed." in ended.err
    # An open transaction would hide from the workers what comes after it.
    graveyard.enqueue(b"next", partition=0)
    assert [call.value for call in graveyard.queued() if call.value == b"next"] == [b"next"]
    assert len(graveyard.queued()) == 501


@pytest.mark.parametrize(("when", "done"), [("before", 500), ("after", 1000)])
@pytest.mark.parametrize("other", ["replay", "discard"])
def test_the_later_of_two_commands_takes_over(graveyard: Graveyard, when: str, done: int, other: str) -> None:
    number = str(int(signal.SIGSTOP))
    with graveyard.start(when, "2", number, "dead", "replay", "mail", "--yes", script=_ARMED) as first:
        first.wait_until_stopped()
        second = graveyard.run("dead", other, "mail", "--yes", "--json")
        assert second.code == 0, second.err
        assert second.objects[0][f"{other}ed"] == LETTERS - done
        first.go_on()
        ended = first.end()
    assert ended.code == 1
    assert "kjobs: another command began to replay or discard dead letters of mail and took over" in ended.err
    assert f"had replayed {done if when == 'before' else 1000:,} letters" in ended.err
    assert "Traceback" not in ended.err
    if other == "replay":
        check_each_was_replayed_once(graveyard)
    else:
        assert len(graveyard.queued()) == done
        assert list(DeadLetters(graveyard.app, "mail").list()) == []


def test_replays_at_the_same_time_replay_each_letter_once(graveyard: Graveyard) -> None:
    with (
        graveyard.start("dead", "replay", "mail", "--yes") as one,
        graveyard.start("dead", "replay", "mail", "--yes") as two,
    ):
        ended = [one.end(), two.end()]
    assert 0 in {end.code for end in ended}, ended
    assert all(end.code == 0 or "took over" in end.err for end in ended), ended
    check_each_was_replayed_once(graveyard)


def test_a_replay_looks_what_is_settled_only_when_nobody_else_can_settle_more(
    graveyard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that is quick enough to begin and end before this one begins leaves it nothing."""
    first, second = DeadLetters(graveyard.app, "mail"), DeadLetters(graveyard.app, "mail")
    survey = first.survey()
    begin = Transactions.open

    def late(transactions: Transactions) -> None:
        monkeypatch.undo()
        assert second.replay() == LETTERS
        begin(transactions)

    monkeypatch.setattr(Transactions, "open", late)
    assert first.replay(within=survey) == 0
    check_each_was_replayed_once(graveyard)


def test_a_script_is_told_too(graveyard: Graveyard) -> None:
    """The same by the Python interface: what overtakes is begun in the middle."""
    first, second = DeadLetters(graveyard.app, "mail"), DeadLetters(graveyard.app, "mail")
    replayed = []

    def progress(done: int) -> None:
        if done == 1500:
            replayed.append(second.replay())

    with pytest.raises(BrokerError, match=r"took over; .* It had replayed 1,500 letters"):
        first.replay(progress=progress)
    assert replayed == [1500]
    check_each_was_replayed_once(graveyard)
