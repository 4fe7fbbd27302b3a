"""What jobs want to be saved: asked in one thread, answered in another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kjobs.core.commands import SaveAnswered
from kjobs.core.deferred import Fate
from kjobs.core.events import SaveAsked
from kjobs.errors import CheckpointError, CheckpointFailed, CheckpointRefused
from kjobs.worker.saves import Saves
from kjobs.worker.timelimit import TimeLimitExceeded, TimeLimits
from tests.worker.invoking import call_of, entry_of

ENTRY = entry_of(call_of("j"))


class Owner:
    """An owner thread that answers what is asked for."""

    def __init__(self, answer: Callable[[SaveAsked], SaveAnswered | None], patience: float = 15.0) -> None:
        self._told = threading.Event()
        self._ended = False
        self._answer = answer
        self.asked: list[bytes] = []
        self.saves = Saves(self._told.set, patience)

    @contextmanager
    def at_work(self) -> Iterator[Saves]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self.saves
        finally:
            self._ended = True
            self._told.set()
            thread.join()

    def _run(self) -> None:
        while not self._ended:
            self._told.wait()
            self._told.clear()
            for asker in self.saves.take():
                self.asked.append(asker.asked.state)
                if (answered := self._answer(asker.asked)) is not None:
                    self.saves.answer(answered)


def fated(fate: Fate) -> Callable[[SaveAsked], SaveAnswered]:
    """Answers always the same."""
    return lambda asked: SaveAnswered(asked, fate, "so it is")


@pytest.mark.parametrize("way", ["thread", "task"])
@pytest.mark.parametrize(
    ("fate", "kind", "definite"),
    [
        (Fate.SAVED, None, True),
        (Fate.REFUSED, CheckpointRefused, True),
        (Fate.FAILED, CheckpointFailed, True),
        (Fate.UNKNOWN, CheckpointFailed, False),
    ],
)
def test_whoever_asks_is_told(
    way: str, fate: Fate, kind: type[CheckpointError] | None, definite: bool
) -> None:
    owner = Owner(fated(fate))
    with owner.at_work() as saves:
        raised: CheckpointError | None = None
        try:
            if way == "thread":
                saves.save(ENTRY, b"1")
            else:
                asyncio.run(saves.asave(ENTRY, b"1"))
        except CheckpointError as error:
            raised = error
    assert owner.asked == [b"1"]
    assert (None if raised is None else type(raised)) is kind
    if raised is not None:
        assert raised.definite is definite
        assert "so it is" in str(raised)


@pytest.mark.parametrize("way", ["thread", "task"])
def test_without_an_answer_it_is_not_known(way: str) -> None:
    with (
        Owner(lambda asked: None, patience=0.05).at_work() as saves,
        pytest.raises(CheckpointFailed) as failed,
    ):
        if way == "thread":
            saves.save(ENTRY, b"1")
        else:
            asyncio.run(saves.asave(ENTRY, b"1"))
    assert not failed.value.definite
    assert "Is Kafka away?" in str(failed.value)


def test_tasks_that_wait_do_not_block_the_loop() -> None:
    owner = Owner(fated(Fate.SAVED))

    async def several() -> None:
        await asyncio.gather(*(owner.saves.asave(ENTRY, b"%d" % n) for n in range(20)))

    with owner.at_work():
        asyncio.run(several())
    assert sorted(owner.asked) == sorted(b"%d" % n for n in range(20))


def test_a_thread_that_waits_hears_that_its_time_is_up_and_is_gone_then() -> None:
    saves, limits = Saves(lambda: None), TimeLimits()
    over = threading.Event()

    def enforce() -> None:
        while not over.wait(0.005):
            limits.enforce()

    watcher = threading.Thread(target=enforce)
    watcher.start()
    try:
        with pytest.raises(TimeLimitExceeded), limits.limited(0.05):
            saves.save(ENTRY, b"1")
    finally:
        over.set()
        watcher.join()
    (asker,) = saves.take()
    assert asker.gone, "the owner need not save it any more"
    saves.answer(SaveAnswered(asker.asked, Fate.SAVED))
    assert asker.answered is None
