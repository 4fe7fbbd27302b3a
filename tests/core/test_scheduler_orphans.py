"""Calls that still run when their partition has gone: their keys are locked until they end."""

from __future__ import annotations

import pytest

from kjobs.core.events import Finished, Lost, Recalled, Revoked, Revoking
from kjobs.core.outcome import OK, Outcome
from tests.core.shell import HERE, THERE, Shell, failure


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    return shell


# --- calls that still run of what went ----------------------------------------------------------------


@pytest.mark.parametrize("away", [Revoked, Lost])
@pytest.mark.parametrize("outcome", [OK, failure()])
def test_a_key_stays_locked_while_a_call_of_it_still_runs_here(
    away: type[Revoked | Lost], outcome: Outcome
) -> None:
    shell = assigned(chain=1)
    shell.fetch("ab-")
    old = {offset: shell.out.pop(offset) for offset in (0, 1, 2)}
    shell.tell(away([HERE]))
    shell.assign()
    shell.refetch("ab-c-")
    assert shell.running == [3, 4], "the keys a and b, and the call without one, run here already"
    old[0].outcome = outcome
    shell.tell(Finished([old[0]]))
    assert shell.running == [3, 4, 0]
    assert shell.out[0] is not old[0], "it counts for the new assignment only"
    old[2].outcome = outcome
    shell.tell(Finished([old[2]]))
    assert shell.running == [3, 4, 0, 2]
    shell.run()
    assert shell.commit()[0] == 1, "the key b is locked still"


def test_a_key_is_free_once_all_its_calls_of_earlier_assignments_ended() -> None:
    shell = assigned(chain=1)
    shell.fetch("a")
    first = shell.out.pop(0)
    shell.tell(Lost([HERE]))
    shell.assign()
    shell.refetch("a")
    assert shell.running == []
    first.outcome = OK
    shell.tell(Finished([first]))
    assert shell.running == [0]
    second = shell.out.pop(0)
    shell.tell(Lost([HERE]))
    shell.assign()
    shell.refetch("aa")
    assert shell.running == []
    second.outcome = OK
    shell.tell(Finished([second]))
    shell.run()
    assert shell.commit()[0] == 2


def test_a_call_that_was_taken_back_unbegun_locks_nothing() -> None:
    shell = assigned(chain=1)
    shell.fetch("a")
    old = shell.out.pop(0)
    shell.tell(Revoking([HERE]), Revoked([HERE]))
    shell.assign()
    shell.refetch("a")
    assert shell.running == []
    shell.tell(Recalled([old]))
    assert shell.running == [0]


def test_a_chain_that_still_runs_locks_its_key_until_it_ends() -> None:
    shell = assigned(chain=4)
    shell.fetch("aaa")
    old = [shell.out.pop(0), *(entry for entry in shell.scheduler.partitions[HERE].order if entry.offset)]
    shell.tell(Lost([HERE]))
    shell.assign()
    shell.refetch("aaa")
    shell.tell(Finished([old[0]]))  # its slot went on with the second at that moment
    assert shell.running == []
    old[1].more = False  # and saw then that the partition was gone
    shell.tell(Finished([old[1]]))
    assert shell.running == [0]


def test_locks_are_of_one_partition() -> None:
    shell = assigned(chain=1)
    shell.fetch("a")
    shell.out.pop(0)
    shell.tell(Lost([HERE]))
    shell.assign(THERE, 100)
    shell.fetch("a", THERE)
    assert shell.running == [100]
