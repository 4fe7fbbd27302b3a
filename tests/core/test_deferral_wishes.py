"""Somebody wants a call of the store cancelled, or at another time, while it is in memory."""

from __future__ import annotations

import pytest

from kjobs.core.commands import BuryEntry, Dropped
from kjobs.core.deferral import PAUSE
from kjobs.core.deferred import QUEUED, Row, Verdict, moved
from kjobs.core.events import Buried, CancelAsked, MoveAsked
from kjobs.core.outcome import Condemned, Outcome, Reason
from tests.core.shell import HERE, THERE
from tests.core.storing import StoreShell, asleep, later, queued, stored

CANCEL, MOVE = CancelAsked, MoveAsked
ASKED = [(CANCEL, Verdict.CANCELLED), (MOVE, Verdict.MOVED)]
Asked = type[CancelAsked] | type[MoveAsked]


def behind(key: str | None = "a") -> StoreShell:
    """A shell in which x waits behind 0 in its key, and 1 behind x."""
    shell = stored()
    shell.put_in("x", key)
    shell.fetch("a")
    shell.due("x", end=1)
    shell.fetch("a")
    return shell


def ask(shell: StoreShell, kind: Asked, name: str = "x") -> Verdict:
    shell.tell(kind(HERE, shell.kept[name].offset, "r"))
    return shell.verdicts["r"]


# --- before it has begun ------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
def test_a_call_that_waits_in_its_key_is_let_go_of(kind: Asked, verdict: Verdict) -> None:
    shell = behind()
    assert ask(shell, kind) is verdict
    shell.finish(0)
    assert shell.running == [1]
    assert shell.scheduler.held == 1
    shell.finish(1)
    assert shell.order == [0, 1]
    assert shell.orders == [], "whoever asked has taken it out of the store, or put it elsewhere"


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
def test_a_call_whose_place_is_not_reached_yet_is_let_go_of(kind: Asked, verdict: Verdict) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x", end=1)
    assert ask(shell, kind) is verdict
    shell.fetch("aa")
    assert shell.running == [0]
    shell.finish(0)
    assert shell.running == [1]
    assert shell.scheduler.held == 1


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
@pytest.mark.parametrize("key", ["b", None])
def test_a_call_that_waits_for_the_group_is_let_go_of(key: str | None, kind: Asked, verdict: Verdict) -> None:
    shell = StoreShell()
    shell.put_in("x", key)
    shell.assign(confirm=False)
    shell.due("x")
    assert ask(shell, kind) is verdict
    shell.tell()
    shell.confirm()
    assert shell.running == []
    assert shell.scheduler.held == 0


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
def test_a_call_of_a_lane_in_the_store_is_let_go_of_and_the_lane_goes_on(
    kind: Asked, verdict: Verdict
) -> None:
    shell = StoreShell()
    for n, name in enumerate("wxy"):
        shell.put_in(name, "a", rank=n)
    shell.assign(offset=3, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"wxy")
    assert ask(shell, kind) is verdict
    shell.finish("w")
    assert shell.running == ["y"]


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
def test_a_call_that_is_let_go_of_is_not_given_back_when_the_head_of_its_lane_goes_to_the_store(
    kind: Asked, verdict: Verdict
) -> None:
    shell = StoreShell()
    for n, name in enumerate("wxy"):
        shell.put_in(name, "a", rank=n)
    shell.assign(offset=3, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"wxy")
    ask(shell, kind)
    shell.finish("w", outcome=later())
    assert shell.released == [shell.kept["y"].offset]
    assert shell.deferring == ["w"]
    shell.acknowledge()
    assert shell.scheduler.held == 0


@pytest.mark.parametrize(("kind", "verdict"), ASKED)
def test_a_call_let_go_of_is_not_parked(kind: Asked, verdict: Verdict) -> None:
    shell = behind()
    ask(shell, kind)
    shell.finish(0, outcome=later())
    assert shell.deferring == [queued(0), queued(1)]
    shell.acknowledge()
    assert shell.scheduler.held == 0


def test_the_last_of_a_lane_that_is_let_go_of_frees_the_key() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("a")
    shell.due("x", end=1)
    ask(shell, CANCEL)
    shell.finish(0)
    shell.fetch("a")
    assert shell.running == [1]


# --- after it has begun -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [CANCEL, MOVE])
def test_a_call_that_runs_has_started(kind: Asked) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    assert ask(shell, kind) is Verdict.STARTED
    shell.finish("x")
    assert shell.erasing == ["x"]


@pytest.mark.parametrize("kind", [CANCEL, MOVE])
def test_a_call_that_has_just_ended_has_started(kind: Asked) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    shell.finish("x")
    assert ask(shell, kind) is Verdict.STARTED


@pytest.mark.parametrize("kind", [CANCEL, MOVE])
def test_a_call_that_is_being_buried_has_started(kind: Asked) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    entry = shell.out["x"]
    shell.finish("x", outcome=Condemned(Reason.REJECTED, ValueError()))
    shell.take(BuryEntry)
    assert ask(shell, kind) is Verdict.STARTED
    shell.tell(Buried(entry))
    assert shell.erasing == ["x"]


@pytest.mark.parametrize("outcome", [later(), asleep()])
def test_of_a_call_that_was_cancelled_while_it_ran_there_is_no_other_attempt(outcome: Outcome) -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.fetch("a")
    shell.due("x")
    shell.put_in("y", "a")
    shell.due("y", end=1)
    ask(shell, CANCEL, "y")
    shell.finish(0)
    assert shell.running == ["x"]
    assert ask(shell, CANCEL) is Verdict.STARTED
    shell.finish("x", outcome=outcome)
    (told,) = shell.take(Dropped)
    assert told.why == "cancelled while it ran"
    assert shell.deferring == []
    assert shell.erasing == ["x"]


def test_a_call_that_was_to_be_moved_while_it_ran_is_tried_again() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    ask(shell, MOVE)
    shell.finish("x", outcome=later())
    assert shell.deferring == ["x"]


def test_a_call_cancelled_when_a_slot_had_it_that_never_began_it_does_not_run() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    assert ask(shell, CANCEL) is Verdict.STARTED, "nobody knows"
    shell.give_back("x")
    assert shell.running == []
    assert shell.scheduler.held == 0


def test_a_call_moved_when_a_slot_had_it_that_never_began_it_runs() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    assert ask(shell, MOVE) is Verdict.STARTED
    shell.give_back("x")
    assert shell.running == ["x"]


# --- while it is being written --------------------------------------------------------------------------


def test_a_call_that_waits_for_its_next_attempt_has_not_begun_since() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    shell.finish("x", outcome=later())
    assert ask(shell, CANCEL) is Verdict.CANCELLED
    shell.acknowledge()
    assert shell.scheduler.held == 0


def test_a_call_is_not_moved_before_the_store_knows_how_often_it_failed() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    shell.finish("x", outcome=later())
    assert ask(shell, MOVE) is Verdict.UNKNOWN
    shell.refuse()
    shell.live(PAUSE)
    assert shell.deferring == ["x"], "it is written all the same"


def test_a_write_that_was_refused_is_not_made_again_for_a_call_that_was_let_go_of() -> None:
    shell = stored()
    shell.put_in("x", "a")
    shell.due("x")
    shell.finish("x", outcome=later())
    ask(shell, CANCEL)
    shell.refuse()
    shell.live(PAUSE)
    assert shell.orders == [], "it would come again, or at its old time"
    assert shell.scheduler.held == 0
    assert not shell.scheduler.busy()
    assert shell.asked == [("a", 0)], "its key is free"


# --- what is not there ----------------------------------------------------------------------------------


def test_a_call_that_was_given_back_and_then_taken_out_is_cancelled() -> None:
    shell = StoreShell()
    for n, name in enumerate("wx"):
        shell.put_in(name, "a", rank=n)
    shell.assign(offset=2, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"wx")
    shell.finish("w", outcome=later())
    assert shell.released == [shell.kept["x"].offset]
    # The store had taken it out by then, and nobody begins what it does not have.
    assert ask(shell, CANCEL) is Verdict.CANCELLED


def test_a_call_that_was_given_back_is_not_moved() -> None:
    shell = StoreShell()
    for n, name in enumerate("wx"):
        shell.put_in(name, "a", rank=n)
    shell.assign(offset=2, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", *"wx")
    shell.finish("w", outcome=later())
    assert ask(shell, MOVE) is Verdict.MOVED, "the store sees whether it was fetched again by now"


@pytest.mark.parametrize("kind", [CANCEL, MOVE])
def test_of_a_partition_that_is_not_ours_nothing_is_said(kind: Asked) -> None:
    shell = stored()
    shell.tell(kind(THERE, 1, "r"))
    assert shell.verdicts == {}


# --- a call at another time -------------------------------------------------------------------------------


def row(**more: object) -> Row:
    options = {
        "id": "x",
        "value": b'{"job":"j","expires":5000}',
        "due_ms": 1000,
        "key": b"a",
        "offset": 7,
        "rank": (3, QUEUED),
        **more,
    }
    return Row(**options)  # type: ignore[arg-type]


def test_a_call_that_is_moved_gives_up_its_place_and_goes_on_from_its_record() -> None:
    other = moved(row(failures=2), 9000)
    assert (other.due_ms, other.rank, other.of, other.offset, other.failures) == (9000, None, 7, -1, 2)


@pytest.mark.parametrize(("due_ms", "expires_ms"), [(9000, 13_000), (1000, 5000), (500, 4500)])
def test_a_call_that_is_moved_has_as_long_to_start_as_before(due_ms: int, expires_ms: int) -> None:
    assert moved(row(), due_ms).expires_ms == expires_ms
    assert moved(moved(row(), 77_000), due_ms).expires_ms == expires_ms


def test_a_call_that_does_not_expire_does_not_when_it_is_moved() -> None:
    assert moved(row(value=b'{"job":"j"}'), 9000).expires_ms is None
    assert moved(row(value=b"no call"), 9000).expires_ms is None


def test_an_expiry_is_never_before_all_time() -> None:
    assert moved(row(due_ms=100_000), 0).expires_ms == 0
