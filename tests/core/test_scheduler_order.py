"""What may run when: order per key, turns between keys, delays, the budget of attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kjobs.core.commands import Retrying
from kjobs.core.events import Fetched
from kjobs.core.outcome import Early, Snoozed
from tests.core.record import FakeRecord
from tests.core.shell import HERE, RELAXED, STRICT, THERE, Shell, failure


def assigned(**options: object) -> Shell:
    shell = Shell(**options)
    shell.assign()
    return shell


# --- lanes --------------------------------------------------------------------------------------------


def test_of_each_key_only_the_oldest_call_runs() -> None:
    shell = assigned(chain=1)
    shell.fetch("aabb-a-")
    assert shell.running == [0, 2, 4, 6]
    shell.finish(0)
    assert shell.running == [2, 4, 6, 1]
    shell.finish(4, 6)
    assert shell.running == [2, 1]
    shell.finish(1)
    assert shell.running == [2, 5]


@given(st.text("abcd-", min_size=1, max_size=60), st.integers(1, 20), st.randoms(use_true_random=False))
def test_every_call_runs_once_and_each_key_in_order(keys: str, chain: int, rng: object) -> None:
    shell = assigned(chain=chain)
    shell.fetch(keys)
    while shell.out:
        running = [keys[offset] for offset in shell.running if keys[offset] != "-"]
        assert len(running) == len(set(running)), "two calls of one key at a time"
        shell.finish(rng.choice(shell.running))  # type: ignore[attr-defined]
    assert sorted(shell.order) == list(range(len(keys)))
    for key in "abcd":
        mine = [offset for offset in shell.order if keys[offset] == key]
        assert mine == sorted(mine)
    assert shell.commit()[0] == len(keys)


def test_keys_take_turns() -> None:
    shell = assigned(chain=1)
    shell.fetch("aaaabc")
    shell.run()
    assert shell.order == [0, 4, 5, 1, 2, 3]


def test_no_key_starves_another_even_if_it_has_a_thousand_calls_more() -> None:
    shell = assigned(chain=16)
    shell.fetch("a" * 1000)
    shell.fetch("bb-")
    last = shell.scheduler.partitions[HERE].next_offset - 1
    shell.run(most=64)  # a worker with one slot
    assert {1000, 1001, last} <= set(shell.order)


# --- chains -------------------------------------------------------------------------------------------


def test_a_slot_may_go_on_in_its_lane_as_far_as_the_chain_is_long() -> None:
    shell = assigned(chain=3)
    shell.fetch("aaaaa")
    assert [shell.out[0].more] == [True]
    shell.finish(0)
    assert shell.out[1].more
    shell.finish(1)
    assert not shell.out[2].more, "the third in a row: others get a turn"
    shell.finish(2)
    assert shell.running == [3]
    assert shell.out[3].more


def test_a_chain_breaks_at_a_failure_and_goes_on_after_it() -> None:
    shell = assigned(chain=5)
    shell.fetch("aaa")
    shell.finish(0)
    shell.finish(1, outcome=failure())
    assert shell.running == []
    assert not shell.scheduler.busy()
    shell.wait(4.0)
    assert shell.running == [1]
    shell.run()
    assert shell.order == [0, 1, 1, 2]


def test_a_slot_may_stop_early_and_the_rest_of_its_chain_is_handed_out_again() -> None:
    shell = assigned(chain=5)
    shell.fetch("aaa")
    shell.out[0].more = False  # what a slot does whose turn is over
    shell.finish(0)
    assert shell.running == [1]
    assert shell.out[1].more


def test_a_chain_may_end_in_one_batch() -> None:
    shell = assigned(chain=5)
    shell.fetch("aaab")
    shell.finish(0, 1, 2, 3)
    assert shell.running == []
    assert not shell.scheduler.busy()
    assert shell.commit()[0] == 4


# --- waiting ------------------------------------------------------------------------------------------


def test_a_failing_call_holds_its_own_key_and_nothing_else() -> None:
    shell = assigned(chain=1)
    shell.fetch("abac-")
    shell.finish(0, outcome=failure())
    shell.finish(1, 3, 4)
    shell.fetch("abc")
    assert shell.running == [6, 7]
    shell.wait(3.99)
    assert shell.running == [6, 7]
    shell.wait(0.01)
    assert shell.running == [6, 7, 0]
    shell.finish(0)
    assert shell.running == [6, 7, 2]


def test_of_a_relaxed_job_later_calls_pass_the_one_that_waits() -> None:
    shell = assigned(chain=1)
    shell.fetch("aaa")
    shell.finish(0, outcome=failure(RELAXED))
    assert shell.running == [1]
    shell.finish(1)
    shell.finish(2)
    shell.fetch("a")
    assert shell.running == [3]
    shell.finish(3)
    shell.wait(4)
    assert shell.running == [0]
    assert shell.commit()[0] == 0, "the watermark waits for it all the same"
    shell.finish(0)
    assert shell.commit()[0] == 4


def test_a_relaxed_call_that_ends_leaves_the_lane_as_it_is() -> None:
    shell = assigned(chain=1)
    shell.fetch("a")
    shell.finish(0, outcome=failure(RELAXED))
    shell.fetch("aa")
    assert shell.running == [1]
    shell.wait(4)
    assert shell.running == [1, 0]
    shell.finish(0)
    assert shell.running == [1], "2 waits for 1, not for 0"
    shell.finish(1)
    assert shell.running == [2]


def test_waits_end_in_the_order_of_their_times_and_never_early() -> None:
    shell = assigned()
    shell.fetch("abc")
    shell.finish(0, outcome=Snoozed(9.0, STRICT))
    shell.finish(1, outcome=Snoozed(3.0, STRICT))
    shell.finish(2, outcome=Snoozed(6.0, STRICT))
    assert shell.scheduler.next_due() == shell.now + 3
    since, begun = shell.now, list[tuple[int, float]]()
    for _ in range(80):
        shell.live(0.125)
        begun += [(offset, shell.now - since) for offset in shell.running[len(begun) :]]
    assert begun == [(1, 3.0), (2, 6.0), (0, 9.0)]
    assert shell.scheduler.next_due() is None


def test_a_delayed_call_holds_its_key_in_the_order_of_the_log() -> None:
    shell = assigned(chain=1)
    shell.fetch("aab")
    shell.finish(0, outcome=Early(shell.now + 5, STRICT))
    assert shell.running == [2]
    shell.wait(5)
    assert shell.running == [2, 0]
    shell.finish(0)
    assert shell.running == [2, 1]


def test_a_snooze_counts_no_attempt_and_a_failure_does() -> None:
    shell = assigned()
    shell.fetch("a")
    for outcome, failures in ((Snoozed(1.0, STRICT), 0), (failure(), 1), (Snoozed(1.0, STRICT), 1)):
        entry = shell.out[0]
        shell.finish(0, outcome=outcome)
        assert entry.failures == failures
        shell.live(5)
    assert shell.running == [0]
    (told,) = shell.take(Retrying)
    assert isinstance(told.error, ValueError)


# --- several partitions -------------------------------------------------------------------------------


def test_lanes_are_of_one_partition() -> None:
    shell = assigned(chain=1)
    shell.assign(THERE, 100)
    shell.fetch("aa")
    shell.fetch("aa", THERE)
    assert shell.running == [0, 100]
    shell.finish(100)
    assert shell.running == [0, 101]
    assert (shell.commit()[0], shell.commit(THERE)[0]) == (0, 101)


def test_records_of_a_partition_that_is_not_ours_are_ignored() -> None:
    shell = assigned()
    assert shell.tell(Fetched(THERE, [FakeRecord(0)])) == []
    assert shell.scheduler.held == 0
