"""What the roster decides about worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

import pytest

from kjobs.supervisor.messages import Beat, Hello, Ready
from kjobs.supervisor.roster import (
    HEALTHY,
    LAST_WORDS,
    LONGEST_PAUSE,
    AllReady,
    Begin,
    Command,
    Exit,
    Pausing,
    Roster,
    Send,
    State,
    Wish,
)

TERM, KILL, TSTP, USR1 = signal.SIGTERM, signal.SIGKILL, signal.SIGTSTP, signal.SIGUSR1


def hello(processes: int = 2, **limits: float) -> Hello:
    common: dict[str, Any] = {
        "grace": 25.0,
        "watchdog": 60.0,
        "recycle_calls": 0,
        "recycle_age": 0.0,
        "recycle_size": 0,
        "health": None,
    }
    return Hello(processes, **{**common, **limits})


def at_work(processes: int = 2, **limits: float) -> Roster:
    """A roster of processes that are ready, at the time 0."""
    roster = Roster(processes)
    roster.open(0.0)
    for number in range(processes):
        roster.heard(number, hello(processes, **limits), 0.0)
        roster.heard(number, Ready(1), 0.0)
    return roster


def fail_twice(roster: Roster, number: int) -> None:
    """Let a process end by itself at the time 1, and the next one as well, so that a pause begins."""
    assert Begin(number) in roster.ended(number, 1, 1.0)
    assert Begin(number) not in roster.ended(number, 1, 1.0)


def signals(commands: Iterable[Command]) -> list[tuple[int, signal.Signals]]:
    return [(c.number, c.signal) for c in commands if isinstance(c, Send)]


def alive(roster: Roster, until: float, *numbers: int) -> list[Command]:
    """Let time pass while processes give signs of life."""
    commands: list[Command] = []
    now = 0.0
    while now < until:
        now = min(until, now + 1.0)
        for number in numbers:
            roster.heard(number, Beat(0, 0), now)
        commands += roster.look(now)
    return commands


# --- beginning ---------------------------------------------------------------------------------------


def test_so_many_begin_at_once_as_are_wanted() -> None:
    assert Roster(3).open(0.0) == [Begin(0), Begin(1), Begin(2)]


def test_the_first_one_says_how_many_there_are_to_be_if_nobody_else_does() -> None:
    roster = Roster(None)
    assert roster.open(0.0) == [Begin(0)]
    assert roster.heard(0, hello(3), 1.0) == [Begin(1), Begin(2)]
    assert roster.heard(1, hello(3), 1.0) == []


def test_it_is_ready_when_all_are_and_says_so_once() -> None:
    roster = Roster(2)
    roster.open(0.0)
    assert roster.heard(0, hello(), 1.0) == []
    assert roster.heard(0, Ready(4), 1.0) == []
    assert roster.heard(1, hello(), 1.0) == []
    assert roster.heard(1, Ready(4), 1.0) == [AllReady(2)]
    roster.ended(1, -9, 2.0)
    roster.look(4.0)
    assert roster.heard(1, Ready(4), 5.0) == []


@pytest.mark.parametrize(("code", "told"), [(2, 2), (1, 1), (-11, 1)])
def test_jobs_that_cannot_be_imported_are_not_tried_for_ever(code: int, told: int) -> None:
    roster = Roster(None)
    roster.open(0.0)
    assert roster.ended(0, code, 0.3) == [Exit(told)]


def test_processes_that_all_fail_before_one_was_ever_ready_end_it() -> None:
    roster = Roster(2)
    roster.open(0.0)
    for number in range(2):
        roster.heard(number, hello(), 0.5)
    assert Exit(1) not in roster.ended(0, 1, 1.0)
    assert roster.ended(1, 1, 1.1) == [Exit(1)]


# --- ending by itself --------------------------------------------------------------------------------


def test_one_that_has_worked_for_a_while_is_begun_again_at_once() -> None:
    roster = at_work()
    alive(roster, HEALTHY, 0, 1)
    assert roster.ended(1, -signal.SIGKILL, HEALTHY) == [Pausing(1, -signal.SIGKILL, 0.0), Begin(1)]


def test_one_that_is_killed_soon_after_it_was_ready_is_begun_again_at_once() -> None:
    roster = at_work()
    assert roster.ended(1, -signal.SIGKILL, 1.0) == [Pausing(1, -signal.SIGKILL, 0.0), Begin(1)]


@pytest.mark.parametrize(
    ("gets_ready", "pauses"),
    [
        (True, [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]),
        # One that does not get so far might never, so that it waits from the first time on.
        (False, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]),
    ],
)
def test_one_that_keeps_ending_is_begun_again_after_longer_and_longer_pauses(
    gets_ready: bool, pauses: list[float]
) -> None:
    roster = Roster(2)
    roster.open(0.0)
    for number in range(2):
        roster.heard(number, hello(), 0.5)
    roster.heard(0, Ready(1), 0.5)
    now = 1.0
    for pause in pauses:
        roster.heard(1, hello(), now)
        if gets_ready:
            roster.heard(1, Ready(1), now)
        commands = roster.ended(1, 1, now)
        assert Pausing(1, 1, pause) in commands
        if pause:
            assert Begin(1) not in [*commands, *roster.look(now + pause - 0.01)]
            now += pause
            roster.heard(0, Beat(0, 0), now)
            commands = roster.look(now)
        assert Begin(1) in commands


def test_one_that_works_again_is_forgiven() -> None:
    roster = at_work()
    for now in (1.0, 3.0, 6.0):
        roster.ended(1, 1, now)
        roster.look(now + 4.0)
    roster.heard(1, hello(), 10.0)
    roster.heard(1, Ready(1), 10.0)
    assert Pausing(1, 1, 0.0) in roster.ended(1, 1, 10.0 + HEALTHY)


def test_those_that_have_done_all_there_was_are_not_begun_again() -> None:
    roster = at_work()
    assert roster.ended(0, 0, 5.0) == []
    assert roster.ended(1, 0, 6.0) == [Exit(0)]


# --- stopping ----------------------------------------------------------------------------------------


def test_all_are_told_to_stop_and_then_it_ends() -> None:
    roster = at_work()
    assert signals(roster.wished(Wish.STOP, 1.0)) == [(0, TERM), (1, TERM)]
    assert roster.ended(0, 0, 2.0) == []
    assert roster.ended(1, 0, 3.0) == [Exit(0)]


@pytest.mark.parametrize(
    ("codes", "told"), [((0, 0), 0), ((0, 2), 2), ((1, 0), 1), ((2, 1), 2), ((-9, 0), 1), ((0, 77), 1)]
)
def test_the_exit_code_is_that_of_the_worst(codes: tuple[int, int], told: int) -> None:
    roster = at_work()
    roster.wished(Wish.STOP, 1.0)
    roster.ended(0, codes[0], 2.0)
    assert roster.ended(1, codes[1], 2.0) == [Exit(told)]


def test_what_went_wrong_before_is_not_in_the_exit_code() -> None:
    roster = at_work()
    fail_twice(roster, 1)
    roster.wished(Wish.STOP, 1.1)
    assert roster.ended(0, 0, 2.0) == [Exit(0)]


def test_the_second_time_they_end_at_once_and_it_is_told_that_they_were_forced() -> None:
    roster = at_work()
    roster.wished(Wish.STOP, 1.0)
    assert signals(roster.wished(Wish.STOP, 2.0)) == [(0, KILL), (1, KILL)]
    roster.ended(0, -9, 2.0)
    assert roster.ended(1, -9, 2.0) == [Exit(2)]


def test_one_that_is_about_to_begin_again_does_not() -> None:
    roster = at_work()
    fail_twice(roster, 1)
    assert signals(roster.wished(Wish.STOP, 1.1)) == [(0, TERM)]
    assert Begin(1) not in roster.look(60.0)


def test_without_a_process_it_ends_at_once() -> None:
    roster = at_work(1)
    fail_twice(roster, 0)
    assert roster.wished(Wish.STOP, 1.1) == [Exit(0)]


def test_one_that_ends_by_the_signal_before_it_knows_what_it_means_ends_in_order() -> None:
    roster = Roster(1)
    roster.open(0.0)
    roster.wished(Wish.STOP, 0.1)
    assert roster.ended(0, -TERM, 0.2) == [Exit(0)]


def test_one_that_does_not_stop_in_its_grace_period_says_where_it_is_and_is_killed() -> None:
    roster = at_work(1)
    roster.wished(Wish.STOP, 1.0)
    commands = [c for n in range(80) for c in (roster.heard(0, Beat(0, 0), n), *roster.look(float(n))) if c]
    assert [c for c in commands if isinstance(c, Send)] == [
        Send(0, USR1, "it did not stop in its grace period"),
        Send(0, KILL, "killed"),
        Send(0, KILL, "killed"),
    ]


# --- watching ----------------------------------------------------------------------------------------


def test_one_whose_owner_gives_no_sign_says_where_it_is_and_is_killed_and_replaced() -> None:
    roster = at_work(watchdog=30.0)
    assert alive(roster, 29.5, 0) == []
    roster.heard(0, Beat(0, 0), 30.0)
    assert signals(roster.look(30.0)) == [(1, USR1)]
    assert roster.look(30.5) == []
    assert signals(roster.look(30.0 + LAST_WORDS)) == [(1, KILL)]
    assert Begin(1) in roster.ended(1, -9, 31.1)


def test_one_that_has_not_begun_to_work_is_not_watched() -> None:
    roster = Roster(1)
    roster.open(0.0)
    assert [c for n in range(200) for c in roster.look(float(n))] == []
    roster.heard(0, hello(watchdog=30.0), 200.0)
    assert [c for n in range(201, 400) for c in roster.look(float(n))] == []


def test_nobody_is_killed_because_this_process_was_frozen_itself() -> None:
    roster = at_work(watchdog=30.0)
    alive(roster, 10.0, 0, 1)
    assert roster.look(500.0) == []
    assert roster.look(501.0) == []


def test_the_watchdog_can_be_off() -> None:
    roster = at_work(watchdog=0.0)
    assert alive(roster, 300.0) == []


# --- replacing ---------------------------------------------------------------------------------------


def test_one_after_the_other_is_restarted_each_when_the_last_one_is_ready_again() -> None:
    roster = at_work()
    assert signals(roster.wished(Wish.RESTART, 1.0)) == [(0, TERM)]
    assert roster.look(2.0) == []
    assert roster.ended(0, 0, 3.0) == [Begin(0)]
    assert roster.heard(0, hello(), 4.0) == []
    assert roster.look(4.0) == []
    roster.heard(0, Ready(1), 5.0)
    assert signals(roster.look(5.0)) == [(1, TERM)]
    assert roster.ended(1, 0, 6.0) == [Begin(1)]
    roster.heard(1, Ready(1), 7.0)
    assert roster.look(8.0) == []


@pytest.mark.parametrize(
    ("limit", "beat", "now"),
    [
        ({"recycle_calls": 100}, Beat(100, 0), 1.0),
        ({"recycle_size": 5000}, Beat(0, 5000), 1.0),
        ({"recycle_age": 4.0}, Beat(0, 0), 4.0),
    ],
)
def test_one_that_is_worn_is_replaced_and_only_one_at_a_time(
    limit: dict[str, float], beat: Beat, now: float
) -> None:
    roster = at_work(**limit)
    assert roster.look(0.9) == []
    for number in range(2):
        roster.heard(number, beat, now)
    assert signals(roster.look(now)) == [(0, TERM)]
    assert roster.ended(0, 0, now) == [Begin(0)]
    roster.heard(0, Ready(1), now)
    assert signals(roster.look(now)) == [(1, TERM)]


def test_one_more_and_one_less() -> None:
    roster = at_work()
    assert roster.wished(Wish.MORE, 1.0) == [Begin(2)]
    roster.heard(2, hello(), 1.0)
    roster.heard(2, Ready(1), 1.0)
    assert signals(roster.wished(Wish.FEWER, 2.0)) == [(2, TERM)]
    assert roster.ended(2, 0, 3.0) == []
    assert roster.look(90.0) == []
    assert set(roster.seats) == {0, 1}


def test_there_is_always_one() -> None:
    roster = at_work(1)
    assert roster.wished(Wish.FEWER, 1.0) == []
    assert roster.seats[0].state is State.READY


def test_one_less_may_be_one_that_is_about_to_begin_again() -> None:
    roster = at_work()
    fail_twice(roster, 1)
    assert roster.wished(Wish.FEWER, 1.1) == []
    assert Begin(1) not in roster.look(60.0)


# --- being quiet, and telling ------------------------------------------------------------------------


def test_all_are_quiet_and_so_are_those_that_come_later() -> None:
    roster = at_work()
    assert signals(roster.wished(Wish.QUIET, 1.0)) == [(0, TSTP), (1, TSTP)]
    assert roster.wished(Wish.QUIET, 1.5) == []
    roster.ended(1, -9, 20.0)
    assert signals(roster.heard(1, hello(), 21.0)) == [(1, TSTP)]


def test_a_restart_ends_the_quiet() -> None:
    roster = at_work()
    roster.wished(Wish.QUIET, 1.0)
    roster.wished(Wish.RESTART, 2.0)
    roster.ended(0, 0, 3.0)
    assert roster.heard(0, hello(), 4.0) == []


def test_only_those_that_listen_are_asked_what_they_do() -> None:
    roster = Roster(2)
    roster.open(0.0)
    roster.heard(1, hello(), 1.0)
    assert signals(roster.wished(Wish.DUMP, 1.5)) == [(1, USR1)]
    assert roster.look(1.6) == []


def test_one_after_the_other_is_asked_what_it_does() -> None:
    roster = at_work()
    assert signals(roster.wished(Wish.DUMP, 1.0)) == [(0, USR1)]
    assert signals(roster.look(1.25)) == [(1, USR1)]
    assert roster.look(1.5) == []


def test_signs_of_an_unknown_end_do_not_outlive_their_process() -> None:
    roster = at_work(recycle_calls=100)
    roster.heard(1, Beat(99, 0), 1.0)
    roster.ended(1, -9, HEALTHY + 1)
    assert roster.seats[1].calls == 0
