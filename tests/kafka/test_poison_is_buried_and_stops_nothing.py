"""Records that are no calls, or calls of nothing, lie between good ones: each is buried as it was."""

from __future__ import annotations

import pytest

from tests.kafka import rawheader
from tests.kafka.dump import digest
from tests.kafka.poison import NONSENSE, POISON, call
from tests.kafka.scenario import Scenario
from tests.proof import history as h


def test_poison_is_buried_and_stops_nothing(scenario: Scenario) -> None:
    scenario.set_up(partitions=1)
    scenario.worker().ready()
    offsets = {}
    for name, poison in POISON.items():
        scenario.enqueue(key="a")
        offsets[name] = scenario.write(poison.value, poison.key, headers=poison.headers)
        scenario.enqueue(key="b")
        scenario.enqueue()
    scenario.finish()
    history = scenario.judge(graceful_only=True, change=_enqueued_by_us)

    found = {
        event.source[2]: event
        for event in history
        if isinstance(event, h.DeadLogged) and event.source is not None
    }
    reasons = {name: _header(found[offset], "kj-reason") for name, offset in offsets.items()}
    assert reasons == {name: poison.reason for name, poison in POISON.items()}
    assert len(found) == len(POISON)
    for name, poison in POISON.items():
        letter = found[offsets[name]]
        assert letter.key == poison.key, name
        assert letter.value_digest == digest(poison.value), name
        assert list(letter.headers[: len(poison.headers)]) == list(poison.headers), name


@pytest.mark.parametrize(
    ("value", "reason"),
    [(NONSENSE, "undecodable"), (call(args=["ok"]), None), (call(args=["dead"]), "rejected")],
    ids=["nonsense", "ok", "dead"],
)
def test_headers_that_cannot_be_read_stop_nothing(
    scenario: Scenario, value: bytes, reason: str | None
) -> None:
    scenario.set_up(partitions=1)
    scenario.enqueue(key="a")
    rawheader.write(scenario.broker.bootstrap, scenario.topic, 0, value, b"\xff\xfe")
    scenario.enqueue(key="a")
    scenario.worker().ready()
    scenario.finish()
    history = scenario.judge(graceful_only=True, change=_enqueued_by_us)

    letters = [event for event in history if isinstance(event, h.DeadLogged)]
    assert [_header(letter, "kj-reason") for letter in letters] == ([] if reason is None else [reason])
    assert all(letter.value_digest == digest(value) for letter in letters)


def _enqueued_by_us(history: list[h.AnyEvent]) -> list[h.AnyEvent]:
    """Poison that is a call was enqueued, too, though not by kjobs."""
    ours = {event.call for event in history if isinstance(event, h.Enqueued)}
    return h.merge(
        history,
        [
            h.Enqueued(event.t, call=event.call, place=event.place, offset=event.offset, key=event.key)
            for event in history
            if isinstance(event, h.Logged) and event.call is not None and event.call not in ours
        ],
    )


def _header(letter: h.DeadLogged, name: str) -> str:
    return next((value or b"").decode() for found, value in letter.headers if found == name)
