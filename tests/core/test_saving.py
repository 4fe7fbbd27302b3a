"""Running calls save how far they are: when that is written, what counts, and what is told."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from kjobs.core.commands import Erase, Save, SaveAnswered, Start
from kjobs.core.deferred import QUEUED, Fate, Kind, Row, Verdict
from kjobs.core.events import (
    CancelAsked,
    Certain,
    Event,
    Finished,
    Lost,
    MoveAsked,
    NotSaved,
    Revoked,
    Revoking,
    SaveAsked,
    Saved,
    Stopping,
)
from kjobs.core.outcome import OK, Condemned, Outcome, Reason
from kjobs.core.partition import Entry
from kjobs.core.saving import PAUSE
from tests.core.shell import HERE, RELAXED, STRICT, Label, failure
from tests.core.storing import StoreShell, asleep, later, queued, row_in


class SavingShell(StoreShell):
    """A shell in which calls save states; the test says what becomes of what is written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._numbers = count()
        self.fates: list[tuple[int, Fate]] = []

    def ask(self, label: Label, state: str = "1") -> int:
        """Let a call that runs ask for a state to be saved; returns the number of the request."""
        return self.ask_of(self.out[label], state)

    def ask_of(self, entry: Entry, state: str = "1") -> int:
        """Let a call ask for a state to be saved, whether it runs or not."""
        number = next(self._numbers)
        self.told(SaveAsked(entry, state.encode(), number))
        return number

    def told(self, *events: Event) -> None:
        """Tell events, and take note of what is answered."""
        commands = self.tell(*events)
        self.fates += [(c.asked.asker, c.fate) for c in commands if isinstance(c, SaveAnswered)]

    @property
    def saving(self) -> list[Row]:
        """What is being written for calls that run."""
        return [command.row for command in self.heard if isinstance(command, Save)]

    def write(self, *, certain: bool = True) -> Row:
        """Let the log acknowledge what is being written for the one call that saves."""
        (save,) = self.take(Save)
        row = msgspec.structs.replace(save.row, offset=self._new_offset())
        self.kept[row.id] = row
        self.told(Saved(save.entry, row))
        if certain:
            self.told(Certain(save.entry))
        return row

    def refuse_save(self, *, definite: bool) -> None:
        """Let the log refuse what is being written for the one call that saves."""
        (save,) = self.take(Save)
        self.told(NotSaved(save.entry, "no room", definite))


def shelled(keys: str = "a", **options: Any) -> SavingShell:
    """A shell that runs calls of the queue."""
    shell = SavingShell(**options)
    shell.assign()
    shell.fetch(keys)
    return shell


# --- of the queue -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "-"])
def test_the_first_state_takes_a_call_into_the_store_while_it_runs(key: str) -> None:
    shell = shelled(key)
    number = shell.ask(0, "7")
    (row,) = shell.saving
    assert (row.id, row.state, row.rank, row.of) == (queued(0), b"7", (0, QUEUED), -1)
    assert row.kind is (Kind.RANKED if key == "a" else Kind.FREE)
    assert row.due_ms >= shell.now * 1000 - 1, "it is due: whoever has it next begins it at once"
    assert shell.commit()[0] == 0, "nothing has it but the queue"
    shell.write(certain=False)
    assert shell.commit()[0] == 1, "the store has it"
    assert shell.fates == []
    shell.told(Certain(shell.out[0] if 0 in shell.out else next(iter(shell.out.values()))))
    assert shell.fates == [(number, Fate.SAVED)]
    assert shell.scheduler.busy()
    assert shell.scheduler.held == 1


def finish(shell: SavingShell, entry: Entry, outcome: Outcome = OK) -> None:
    """End the attempt of a call that runs."""
    entry.outcome = outcome
    for name in [name for name, one in shell.out.items() if one is entry]:
        del shell.out[name]
    shell.told(Finished([entry]))


def test_when_it_succeeds_it_is_taken_out_and_its_key_waits_for_that() -> None:
    shell = shelled("aab")
    entry = shell.out[0]
    shell.ask(0)
    shell.write()
    assert shell.running == [0, 2]
    finish(shell, entry)
    assert shell.erasing == [queued(0)]
    assert 1 not in shell.running, "it might be committed, and the first one come again"
    shell.acknowledge()
    assert 1 in shell.running
    assert shell.commit()[0] == 1


def test_a_call_that_fails_waits_in_the_store_with_its_state_and_its_key_behind_it() -> None:
    shell = shelled("aa")
    entry = shell.out[0]
    shell.ask(0, '"half"')
    shell.write()
    finish(shell, entry, failure())
    row, behind = (row_in(order) for order in shell.orders)
    assert (row.id, row.state, row.failures, row.rank) == (queued(0), b'"half"', 1, (0, QUEUED))
    assert behind.id == queued(1)
    assert behind.state is None
    shell.acknowledge()
    assert shell.in_store == {"a"}
    shell.wait(4.0)
    shell.lane_due("a", 1)
    shell.give("a", queued(0))
    assert shell.out[queued(0)].row is not None
    assert shell.out[queued(0)].row.state == b'"half"'


def test_one_whose_job_is_relaxed_lets_its_key_go_on_when_it_fails() -> None:
    shell = shelled("aa")
    entry = shell.out[0]
    shell.ask(0)
    assert not shell.saving[0].relaxed, "as long as it runs its key waits, whoever runs it"
    shell.write()
    finish(shell, entry, failure(RELAXED))
    assert shell.running == [1]
    assert row_in(*shell.orders).relaxed


def test_one_that_has_let_its_key_go_on_before_does_not_hold_it_when_it_saves() -> None:
    shell = shelled("aa")
    shell.finish(0, outcome=failure(RELAXED))
    shell.live(4.0)
    shell.ask(0)
    assert shell.saving[0].relaxed


def test_a_dead_letter_takes_it_out() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    shell.write()
    finish(shell, entry, Condemned(Reason.REJECTED, ValueError("no")))
    shell.bury()
    assert shell.erasing == [queued(0)]


def test_the_next_owner_finds_it_in_the_store_and_passes_over_the_queues() -> None:
    shell = shelled("ab")
    shell.ask(0)
    shell.write()
    shell.ask(1)
    other = shell.successor()
    other.fetch("b")
    assert other.order == [1], "of the first one the store will tell, the second one is the queue's still"


# --- of the store -------------------------------------------------------------------------------------


def test_further_states_go_on_from_the_record_that_was_given_out() -> None:
    shell = SavingShell()
    shell.assign()
    given = shell.put_in("x", "a", failures=1)
    shell.due("x", end=0)
    for state in ("1", "2"):
        shell.ask("x", state)
        (row,) = shell.saving
        assert (row.of, row.failures, row.due_ms, row.state) == (
            given.offset,
            1,
            given.due_ms,
            state.encode(),
        )
        assert row.rank == (0, 1), "it has taken its place"
        shell.write()
    shell.finish("x")
    (erase,) = shell.take(Erase)
    assert erase.entry.row is not None
    assert erase.entry.row.offset == given.offset


def test_a_call_that_is_cancelled_saves_nothing_more() -> None:
    shell = SavingShell()
    shell.assign()
    row = shell.put_in("x")
    shell.due("x")
    shell.tell(CancelAsked(HERE, row.offset, "r"))
    assert shell.verdicts == {"r": Verdict.STARTED}
    assert shell.fates == []
    number = shell.ask("x")
    assert shell.fates == [(number, Fate.REFUSED)]
    assert not shell.saving


def test_one_that_is_cancelled_while_it_saves_is_not_told_that_it_has() -> None:
    shell = SavingShell()
    shell.assign()
    row = shell.put_in("x")
    shell.due("x")
    number = shell.ask("x")
    shell.tell(CancelAsked(HERE, row.offset, "r"))
    shell.write()
    assert shell.fates == [(number, Fate.UNKNOWN)]


def test_a_call_of_the_queue_that_has_saved_can_be_cancelled_and_is_not_moved() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    row = shell.write()
    shell.tell(MoveAsked(HERE, row.offset, "m", 0))
    shell.tell(CancelAsked(HERE, row.offset, "r", 0))
    assert entry.cancelled
    shell.tell()
    shell.confirm()
    shell.live(1.0)
    assert shell.verdicts == {"m": Verdict.STARTED, "r": Verdict.STARTED}
    finish(shell, entry, failure())
    assert shell.erasing == [queued(0)], "there is no other attempt"


# --- who may ------------------------------------------------------------------------------------------


def test_a_worker_that_is_to_stop_saves_states() -> None:
    shell = shelled()
    shell.told(Stopping())
    number = shell.ask(0)
    shell.write()
    assert shell.fates == [(number, Fate.SAVED)]


def test_a_worker_whose_partition_is_about_to_go_saves_states() -> None:
    shell = shelled()
    shell.told(Revoking([HERE]))
    shell.ask(0)
    assert shell.saving


@pytest.mark.parametrize("event", [Revoked([HERE]), Lost([HERE])])
def test_one_whose_partition_has_gone_does_not(event: Event) -> None:
    shell = shelled()
    entry = shell.out[0]
    pending = shell.ask(0)
    more = shell.ask(0)
    shell.told(event)
    assert shell.fates == [(pending, Fate.UNKNOWN), (more, Fate.REFUSED)]
    shell.take(Save)
    last = shell.ask_of(entry)
    assert shell.fates[-1] == (last, Fate.REFUSED)
    assert not shell.saving


def test_one_that_the_group_may_have_given_up_does_not() -> None:
    shell = shelled()
    shell.wait(60.0)
    number = shell.ask(0)
    assert shell.fates == [(number, Fate.REFUSED)]
    assert not shell.saving


def test_nor_is_it_told_so_when_what_it_wrote_before_arrives() -> None:
    shell = shelled()
    number = shell.ask(0)
    shell.wait(60.0)
    shell.write()
    assert shell.fates == [(number, Fate.UNKNOWN)]


def test_a_call_that_has_ended_saves_nothing() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.finish(0)
    number = shell.ask_of(entry)
    assert shell.fates == [(number, Fate.REFUSED)]


# --- what goes wrong ----------------------------------------------------------------------------------


def test_what_is_not_written_for_certain_leaves_the_call_as_it_was() -> None:
    shell = shelled("aa")
    number = shell.ask(0)
    shell.refuse_save(definite=True)
    assert shell.fates == [(number, Fate.FAILED)]
    shell.finish(0)
    assert shell.running == [1], "nothing is to be taken out"
    assert shell.commit()[0] == 1


def test_what_may_be_written_is_written_again_with_what_was_asked_for_since() -> None:
    shell = shelled()
    first = shell.ask(0, "1")
    shell.refuse_save(definite=False)
    second = shell.ask(0, "2")
    assert not shell.saving
    shell.live(PAUSE)
    assert [row.state for row in shell.saving] == [b"2"]
    shell.write()
    assert shell.fates == [(first, Fate.SAVED), (second, Fate.SAVED)]


def test_a_definite_no_after_an_indefinite_one_is_none() -> None:
    shell = shelled()
    shell.ask(0)
    shell.refuse_save(definite=False)
    shell.live(PAUSE)
    shell.refuse_save(definite=True)
    assert shell.fates == []
    shell.live(PAUSE)
    assert shell.saving, "the first one may be there"


@pytest.mark.parametrize("outcome", [OK, failure(), later(), asleep()])
def test_the_end_of_an_attempt_waits_for_what_is_being_written(outcome: Outcome) -> None:
    shell = shelled("aa")
    entry = shell.out[0]
    shell.ask(0)
    finish(shell, entry, outcome)
    assert shell.orders == []
    assert 1 not in shell.running
    assert shell.scheduler.busy()
    assert shell.commit()[0] == 0
    shell.write(certain=False)
    assert len(shell.orders) > 0
    assert (shell.erasing == [queued(0)]) == (outcome is OK)


def test_it_waits_too_if_that_has_to_be_written_again() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    shell.refuse_save(definite=False)
    finish(shell, entry)
    shell.live(PAUSE)
    assert shell.scheduler.busy()
    shell.write()
    assert shell.erasing == [queued(0)]


def test_and_no_longer_if_it_is_not_written_for_certain() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    finish(shell, entry)
    shell.refuse_save(definite=True)
    assert not shell.scheduler.busy()
    assert shell.commit()[0] == 1


def test_the_end_of_an_attempt_does_not_wait_until_it_is_certain() -> None:
    shell = shelled()
    entry = shell.out[0]
    number = shell.ask(0)
    shell.write(certain=False)
    finish(shell, entry)
    assert shell.erasing == [queued(0)]
    assert shell.fates == [(number, Fate.UNKNOWN)]


def test_states_that_are_asked_for_at_once_are_written_as_one() -> None:
    shell = shelled()
    numbers = [shell.ask(0, state) for state in "123"]
    assert [row.state for row in shell.saving] == [b"1"]
    shell.write()
    assert [row.state for row in shell.saving] == [b"3"]
    shell.write()
    assert shell.fates == [(number, Fate.SAVED) for number in numbers]


def test_a_partition_that_goes_and_comes_back_locks_the_call_as_long_as_it_runs() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    row = shell.write()
    shell.told(Revoked([HERE]))
    shell.out.clear()
    shell.assign(offset=1, lanes=[b"a"])
    shell.lane_due("a", 1)
    shell.give("a", row.id)
    assert shell.running == []
    finish(shell, entry)
    assert shell.running == [row.id]


def test_one_whose_end_waited_when_its_partition_went_locks_nothing() -> None:
    shell = shelled()
    entry = shell.out[0]
    shell.ask(0)
    finish(shell, entry, failure(STRICT))
    shell.told(Revoked([HERE]))
    assert entry.outcome is OK, "its error keeps its frames alive"
    shell.assign()
    shell.refetch("a")
    assert shell.running == [0]
    assert not shell.take(Start)[-1].first
