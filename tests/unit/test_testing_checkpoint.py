"""Calls under test store how far they are, by the rules of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from kjobs import (
    App,
    ArgumentError,
    CheckpointRefused,
    CheckpointTooLarge,
    Context,
    DeadLetter,
    Retry,
    Snooze,
    current,
    testing,
)
from kjobs.context import MOST_STATE
from kjobs.testing.queue import Queue


@pytest.fixture
def app() -> App:
    return App(bootstrap_servers="nowhere:1")


@pytest.fixture
def queue(app: App) -> Iterator[Queue]:
    with testing.manual(app) as queue:
        yield queue


@pytest.mark.parametrize("wait", ["1s", "2h"])
@pytest.mark.parametrize("delay", [None, "1h"])
@pytest.mark.parametrize("ending", [Retry, Snooze])
@pytest.mark.parametrize("key", [None, "k"])
def test_an_attempt_goes_on_with_what_the_one_before_stored(
    app: App, queue: Queue, wait: str, delay: str | None, ending: Any, key: str | None
) -> None:
    seen: list[Any] = []

    @app.job
    def long(name: str) -> None:
        call = current()
        seen.append((name, call.state))
        for page in range(call.state["page"] if call.state else 0, 3):
            call.checkpoint({"page": page + 1})
            assert call.state == {"page": page + 1}
            if page == 1:
                raise ending(delay=wait)

    for name in "ab":
        long.options(key=key, delay=delay).delay(name)
    queue.drain()
    first, second = [("a", None), ("a", {"page": 2})], [("b", None), ("b", {"page": 2})]
    assert seen == [*first, *second] if key else sorted(seen, key=str) == sorted([*first, *second], key=str)
    assert [call.checkpoint for call in queue.calls] == [b'{"page":3}'] * 2
    queue.drain()
    assert len(seen) == 4, "they have ended"


def test_an_async_job_stores_too(app: App, queue: Queue) -> None:
    seen: list[Any] = []

    @app.job
    async def long() -> None:
        seen.append(current().state)
        await current().acheckpoint(len(seen))
        if len(seen) < 3:
            raise ValueError

    long.delay()
    asyncio.run(queue.adrain())
    assert not queue.drain().done
    assert seen == [None, 1, 2]


def test_what_is_stored_is_plain_json_and_a_copy(app: App, queue: Queue) -> None:
    seen: list[Any] = []

    @app.job
    def long() -> None:
        state = {"at": (1, 2)}
        current().checkpoint(state)
        state.clear()
        seen.append(current().state)

    long.delay()
    queue.drain()
    assert seen == [{"at": [1, 2]}]


@pytest.mark.parametrize(
    ("state", "kind"),
    [(object(), ArgumentError), ("x" * MOST_STATE, CheckpointTooLarge), ({1: {2: object()}}, ArgumentError)],
)
def test_what_cannot_be_stored_is_told_and_what_was_stored_stays(
    app: App, queue: Queue, state: Any, kind: type[Exception]
) -> None:
    seen: list[Any] = []

    @app.job
    def long() -> None:
        current().checkpoint("before")
        with pytest.raises(kind):
            current().checkpoint(state)
        seen.append(current().state)

    long.delay()
    queue.drain()
    assert seen == ["before"]


def test_the_largest_state_is_one_byte_less(app: App, queue: Queue) -> None:
    @app.job
    def long() -> None:
        current().checkpoint("x" * (MOST_STATE - 2))

    long.delay()
    assert queue.drain().done == 1


def test_after_its_end_a_call_stores_nothing(app: App, queue: Queue) -> None:
    kept: list[Context] = []

    @app.job
    def long() -> None:
        kept.append(current())

    long.delay()
    queue.drain()
    with pytest.raises(CheckpointRefused, match="while it runs"):
        kept[0].checkpoint(1)


def test_a_call_that_is_cancelled_while_it_runs_is_refused(app: App, queue: Queue) -> None:
    seen: list[Any] = []

    @app.job
    def long() -> None:
        call = current()
        call.checkpoint(1)
        seen.append(bool(handle.cancel()))
        assert call.cancelled
        with pytest.raises(CheckpointRefused, match="cancelled"):
            call.checkpoint(2)
        raise ValueError

    handle = long.options(delay="1h").delay()
    queue.drain()
    assert seen == [False], "it had begun"
    assert queue.calls[0].state == "dropped"


def test_a_call_that_has_stored_does_not_expire(app: App, queue: Queue) -> None:
    seen: list[Any] = []

    @app.job
    def long() -> None:
        seen.append(current().state)
        current().checkpoint(1)
        if len(seen) == 1:
            raise Snooze("2h")

    long.options(expires="1h").delay()
    queue.drain()
    assert seen == [None, 1]


def test_a_dead_letter_ends_it(app: App, queue: Queue) -> None:
    @app.job
    def long() -> None:
        current().checkpoint(7)
        raise DeadLetter("no")

    long.delay()
    queue.drain()
    assert [letter.call.checkpoint for letter in queue.dead] == [b"7"]
