"""Time limits in threads: they end what takes too long, and never anything else."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from kjobs.worker import timelimit as module
from kjobs.worker.timelimit import TimeLimitExceeded, TimeLimits
from tests.worker.owner import DEADLINE


@pytest.fixture
def limits() -> Iterator[TimeLimits]:
    """Limits that are enforced all the time, as a worker's owner thread does."""
    limits, end = TimeLimits(), threading.Event()

    def enforce() -> None:
        while not end.wait(0.0005):
            limits.enforce()

    thread = threading.Thread(target=enforce)
    thread.start()
    yield limits
    end.set()
    thread.join()


def spin(seconds: float = DEADLINE) -> None:
    """Be busy for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_spinning_call_is_ended(limits: TimeLimits) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeLimitExceeded, match="took longer than the job's timeout"), limits.limited(0.05):
        spin()
    assert 0.05 <= time.monotonic() - begun < DEADLINE / 2


def test_a_call_that_is_in_time_is_left_alone(limits: TimeLimits) -> None:
    for _ in range(50):
        with limits.limited(DEADLINE):
            spin(0.001)
    spin(0.01)


def test_what_the_call_raises_itself_comes_out(limits: TimeLimits) -> None:
    with pytest.raises(KeyError), limits.limited(DEADLINE):
        raise KeyError


def test_only_the_thread_whose_time_is_up_is_told(limits: TimeLimits) -> None:
    ended: list[str] = []
    begun = threading.Barrier(2)

    def call(name: str, length: float, work: float) -> None:
        try:
            with limits.limited(length):
                begun.wait(DEADLINE)
                spin(work)
        except TimeLimitExceeded:
            ended.append(name)

    threads = [
        threading.Thread(target=call, args=("short", 0.02, DEADLINE)),
        threading.Thread(target=call, args=("long", DEADLINE, 0.2)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert ended == ["short"]


def test_nothing_is_raised_before_its_time_or_after_the_block() -> None:
    limits = TimeLimits()
    limits.enforce()
    with limits.limited(DEADLINE):
        limits.enforce()
        spin(0.002)
    limits.enforce()
    spin(0.002)


def test_one_that_is_on_its_way_does_not_hit_the_next_call() -> None:
    """The time is up in the last instruction of a call: it counts for this call or for none."""
    limits = TimeLimits()
    for _ in range(200):
        over = threading.Event()

        def enforce(over: threading.Event = over) -> None:
            limits.enforce()
            over.set()

        try:
            with limits.limited(0.0):
                thread = threading.Thread(target=enforce)
                thread.start()
                # Waits in C code: what is raised in this thread meanwhile cannot arrive before its end.
                over.wait(DEADLINE)
        except TimeLimitExceeded:
            pass
        spin(0.0001)
        thread.join()


def test_one_that_has_not_arrived_by_the_end_of_its_call_is_called_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_their_way: dict[int, object] = {}

    def set_exception(thread: int, what: object) -> None:
        if what is TimeLimitExceeded:
            on_their_way[thread] = what
        else:
            del on_their_way[thread]

    monkeypatch.setattr(module, "_set_exception", set_exception)
    limits = TimeLimits()
    with limits.limited(0.0):
        limits.enforce()
        assert on_their_way == {threading.get_ident(): TimeLimitExceeded}
    assert on_their_way == {}
    with limits.limited(DEADLINE):
        limits.enforce()
    assert on_their_way == {}, "nothing was called back that was not there"


def test_one_that_came_before_its_block_began_does_not_end_the_limit_of_the_next_call(
    limits: TimeLimits,
) -> None:
    interrupted = limits.limited(0.0)
    with pytest.raises(TimeLimitExceeded):
        interrupted.__enter__()
        spin()  # stands for the instructions between the clock's start and the block
    with pytest.raises(TimeLimitExceeded), limits.limited(0.05):
        del interrupted
        spin(DEADLINE / 10)


@pytest.mark.parametrize("threads", [1, 4])
def test_it_never_leaks_into_the_next_call_and_every_call_has_its_limit(
    limits: TimeLimits, threads: int
) -> None:
    leaked: list[str] = []
    ended = [0] * threads
    endless = [0] * threads
    until = time.monotonic() + 1.5

    def calls(number: int) -> None:
        turn = 0
        while time.monotonic() < until:
            turn += 1
            try:
                try:
                    with limits.limited(turn % 7 * 0.0002):
                        spin(turn % 5 * 0.0003)
                except TimeLimitExceeded:
                    ended[number] += 1
                spin(0.0002)
                if turn % 50 == 0:
                    # A limit that an earlier call took away with it would let this one run for ever.
                    begun = time.monotonic()
                    try:
                        with limits.limited(0.001):
                            spin(DEADLINE / 3)
                        endless[number] += 1
                    except TimeLimitExceeded:
                        assert time.monotonic() - begun < DEADLINE / 3
            except TimeLimitExceeded:
                leaked.append(f"{number}, turn {turn}")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.disable()  # what is raised while somebody's callback of the collector runs is swallowed there
    try:
        workers = [threading.Thread(target=calls, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(DEADLINE)
            assert not worker.is_alive()
    finally:
        gc.enable()
        sys.setswitchinterval(before)
    assert leaked == []
    assert endless == [0] * threads
    assert sum(ended) > 10
